"""Where the settings' values come from: the command line, the environment, ``.env``, the defaults.

The first place that holds a value wins, and in each place a variable's own name goes before its
aliases, which are the names that the replaced systems used. An empty value counts as not set.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from shared.settings.errors import Problem, SettingsError
from shared.settings.fields import AGENT_PREFIX, Place, Settings, Source, shown, variable
from shared.urls import origin

ENV_FILE = Path(".env")

ALIASES: Mapping[str, str] = {
    "BASE_URL": "public_url",
    "WEBHOOK_URL": "public_url",
    "HOST_NAME": "host",
    "CERT_FILE": "tls_cert_file",
    "KEY_FILE": "tls_key_file",
    "DESTINATION_PHONE_NUMBER": "transfer_numbers",
    "ELEVEN_LABS_API_KEY": "elevenlabs_api_key",
}
"""The replaced systems' variables and the field each one is read for. ``WEBHOOK_URL`` named one
page, so only its origin counts."""


def load_settings(
    overrides: Mapping[str, object] | None = None, *, env_file: Path = ENV_FILE
) -> Settings:
    """Read the settings from the environment and ``env_file`` (which need not exist).

    ``overrides`` are command line values by field name; ``None`` counts as not given. Raises
    ``SettingsError`` that names each variable at fault, its value (secrets masked) and the fix.
    """
    given = {field: value for field, value in (overrides or {}).items() if value is not None}
    values: dict[str, object] = {}
    sources: dict[str, Source] = {}
    filed = read_env_file(env_file)
    _collect(Place.ENV_FILE, filed, values, sources)
    _collect(Place.ENVIRONMENT, EnvSettingsSource(Settings).env_vars, values, sources)
    values |= given
    sources |= dict.fromkeys(given, Source(Place.COMMAND_LINE))
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_problems(error, values, sources)) from None
    for_agents = {name: text for name, text in filed.items() if name.startswith(AGENT_PREFIX)}
    return settings.found_at(sources, for_agents)


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of an env file, none if it does not exist.

    Raises ``SettingsError`` when it cannot be read.
    """
    try:
        found = DotEnvSettingsSource(Settings, env_file=path).env_vars
    except (OSError, UnicodeDecodeError) as error:
        fix = f"{error}; make it a readable UTF-8 text file"
        raise SettingsError((Problem("", "", str(path), fix),)) from error
    return {name: value for name, value in found.items() if value is not None}


def _collect(
    place: Place,
    found: Mapping[str, str | None],
    values: dict[str, object],
    sources: dict[str, Source],
) -> None:
    """Overlay what ``place`` holds; a variable's own name comes last, so it wins over an alias."""
    own = ((variable(field), field) for field in Settings.model_fields)
    for name, field in (*ALIASES.items(), *own):
        text = (found.get(name) or "").strip()
        if text:
            values[field] = _origin_or_as_it_is(text) if name == "WEBHOOK_URL" else text
            sources[field] = Source(place, name if name in ALIASES else "")


def _origin_or_as_it_is(text: str) -> str:
    """The page's origin; what is no address stays, for the field's own check to refuse."""
    try:
        return origin(text)
    except ValueError:
        return text


def _problems(
    error: ValidationError, values: Mapping[str, object], sources: Mapping[str, Source]
) -> tuple[Problem, ...]:
    return tuple(
        _problem(detail["loc"], detail["msg"], values, sources)
        for detail in error.errors(include_url=False, include_input=False)
    )


def _problem(
    location: tuple[int | str, ...],
    message: str,
    values: Mapping[str, object],
    sources: Mapping[str, Source],
) -> Problem:
    fix = message.removeprefix("Value error, ")
    field = str(location[0]) if location else ""
    if field not in Settings.model_fields:
        return Problem(field, "", str(Place.COMMAND_LINE) if field else "", fix)
    default = Settings.model_fields[field].default
    if fix == message:  # pydantic's own words, which say what is wrong and not what is right
        usual = f"; the default is {default}" if default is not None else ""
        fix = f"{fix[0].lower()}{fix[1:]}{usual}"
    source = sources.get(field, Source(Place.DEFAULT))
    return Problem(variable(field), shown(field, values[field]), str(source), fix)
