"""Writes the settings down, so that no page about them can be out of date.

``python -m shared.settings.reference`` rewrites ``docs/settings.md`` and ``.env.example`` in the
working directory; a test compares them with what is written here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from shared.settings.fields import Settings, shown, variable
from shared.settings.loading import ALIASES

SECTIONS: Mapping[str, str] = {
    "host": "Listening",
    "agents_dir": "Files",
    "api_token": "Our own secrets",
    "max_calls": "Calls",
    "events_url": "Webhooks that tell of calls",
    "log_level": "Logging",
    "twilio_account_sid": "Twilio",
    "dial_region": "Calls that are placed",
    "deepgram_api_key": "Speech and language providers: what call processes see",
}
"""The first field of each group and its title."""

_PAGE = """\
# Settings

Written from the settings class by `python -m shared.settings.reference`; edit that.

A value is looked for on the command line, then in the environment, then in `.env` in the working
directory, then here. A variable's own name goes before its aliases; an empty value counts as not
set. `callfarm doctor` prints each value with where it was found, secrets masked.

Call processes, which run agents' code, see the variables of the last group, everything whose name
starts with `AGENT_` (yours, for your agents), and paths, locale, certificates and proxies.
Nothing else of the environment or of `.env` reaches them.
"""

_EXAMPLE = """\
# Copy to .env and uncomment what you change: a line shows the default, or an example.
# Variables of your own, for agents' code, start with AGENT_.
"""


def settings_page() -> str:
    """Return ``docs/settings.md``."""
    parts = [_PAGE]
    for title, fields in _groups():
        parts.append(f"\n## {title}\n\n| variable | default | |\n|---|---|---|\n")
        parts += [_row(field) for field in fields]
    return "".join(parts)


def env_example() -> str:
    """Return ``.env.example``: each variable with its default, or an example if it has none."""
    parts = [_EXAMPLE]
    for title, fields in _groups():
        parts.append(f"\n# --- {title} ---\n")
        parts += [_example_line(field) for field in fields]
    return "".join(parts)


def _groups() -> Iterator[tuple[str, list[str]]]:
    """Each group's title and fields, in the class's order."""
    fields = list(Settings.model_fields)
    starts = [*map(fields.index, SECTIONS), len(fields)]
    for title, start, end in zip(SECTIONS.values(), starts, starts[1:], strict=False):
        yield title, fields[start:end]


def _row(field: str) -> str:
    default = _default(field)
    return f"| `{variable(field)}` | {f'`{default}`' if default else ''} | {_text(field)} |\n"


def _example_line(field: str) -> str:
    info = Settings.model_fields[field]
    value = _default(field) or next(iter(info.examples or ()), "")
    return f"# {info.description}\n#{variable(field)}={value}\n"


def _text(field: str) -> str:
    info = Settings.model_fields[field]
    text = info.description or ""
    for example in info.examples or ():
        text += f" Example: `{example}`."
    aliases = [f"`{name}`" for name, target in ALIASES.items() if target == field]
    return f"{text} Also: {', '.join(aliases)}." if aliases else text


def _default(field: str) -> str:
    return shown(field, Settings.model_fields[field].default)


if __name__ == "__main__":
    Path("docs/settings.md").write_text(settings_page(), encoding="utf-8")
    Path(".env.example").write_text(env_example(), encoding="utf-8")
