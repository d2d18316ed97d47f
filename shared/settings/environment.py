"""What of the environment a process may see: a call process gets the providers' keys, no more.

The gateway takes its own secrets out of its environment before it starts any process, because
every process it starts inherits what is there. (What it was started with stays readable in
/proc/PID/environ; ``hide_from_ptrace`` of ``shared.kernel`` closes that.)
"""

from collections.abc import Iterator, Mapping, MutableMapping

from pydantic import SecretStr

from shared.settings.fields import AGENT_PREFIX, Settings, variable

_PROVIDERS = ("deepgram_", "openai_", "cartesia_", "elevenlabs_", "ultravox_", "vllm_")
_NOT_FOR_CALLS = frozenset({"ultravox_webhook_secret"})
_PREFIXES = (AGENT_PREFIX, "LC_")
_BASICS = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR"),
        *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONHASHSEED", "PYTHONMALLOC"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONWARNINGS"),
        *("MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    )
)


def provider_fields() -> tuple[str, ...]:
    """Return the settings that a call process may see, by field name."""
    return tuple(
        field
        for field in Settings.model_fields
        if field.startswith(_PROVIDERS) and field not in _NOT_FOR_CALLS
    )


def call_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return what a template and its call processes may see of ``environ``.

    That is: paths, locale and certificates; the speech and language providers' keys and addresses
    wherever ``settings`` found them, under their own names; and every ``AGENT_`` variable of the
    env file and of ``environ``.
    """
    allowed = {name: value for name, value in environ.items() if _is_allowed(name)}
    return {**settings.agent_variables, **allowed, **dict(_provider_variables(settings))}


def take_secrets(environ: MutableMapping[str, str], settings: Settings) -> dict[str, str]:
    """Reduce ``environ`` to ``call_environment`` and return what was taken out.

    Call it with ``os.environ`` once, before the first process is started.
    """
    allowed = call_environment(environ, settings)
    taken = {name: environ[name] for name in environ if name not in allowed}
    for name in taken:
        del environ[name]
    environ.update(allowed)
    return taken


def _is_allowed(name: str) -> bool:
    return name in _BASICS or name.startswith(_PREFIXES)


def _provider_variables(settings: Settings) -> Iterator[tuple[str, str]]:
    for field in provider_fields():
        value = getattr(settings, field)
        if value is not None:
            yield (
                variable(field),
                value.get_secret_value() if isinstance(value, SecretStr) else value,
            )
