"""Which agents answer, and do the providers that they name have their keys and SDKs.

Agents are read and never imported: what is seen is the names that a module takes from
``worker.providers``. Whether it uses all of them is a release's affair.
"""

import ast
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gateway.doctor.finding import Finding, fail, ok, warn
from shared.engines import choose_engines
from shared.settings import Settings, call_environment
from shared.settings.fields import variable

_ROUTES = "routes.toml"
_PLACE = "worker.providers"
_CHOOSES = "hosted"
"""Who names this takes hosted providers by the keys that are set, as the shipped receptionist."""

_SDKS = {"deepgram": "deepgram", "openai": "openai", "cartesia": "cartesia"}
"""The packages of those that need one; they are looked for and never imported here."""


_KEYLESS = {"base_url", "public"}
"""A provider that is given one of these may do without a key."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a provider needs: a key, or an address in its place; the package of its SDK."""

    key: str
    address: str = ""
    sdk: str = ""


_DEEPGRAM = _Needs("deepgram_api_key", sdk="deepgram")
_OPENAI = _Needs("openai_api_key", "openai_base_url", "openai")
_ULTRAVOX = _Needs("ultravox_api_key")
_ELEVENLABS = _Needs("elevenlabs_api_key")

NEEDS: Mapping[str, _Needs] = {
    "Cartesia": _Needs("cartesia_api_key", sdk="cartesia"),
    "Deepgram": _DEEPGRAM,
    "DeepgramAura": _DEEPGRAM,
    "DeepgramFlux": _DEEPGRAM,
    "ElevenLabs": _ELEVENLABS,
    "ElevenLabsAgent": _ELEVENLABS,
    "OpenAI": _OPENAI,
    "OpenAIRealtime": _Needs("openai_api_key", "openai_base_url"),
    "OpenAISpeech": _OPENAI,
    "OpenAITranscription": _OPENAI,
    "Ultravox": _ULTRAVOX,
    "UltravoxModel": _Needs("vllm_base_url", sdk="openai"),
}
"""By the name in ``worker.providers``; what is not here needs nothing."""


def check_answering(settings: Settings) -> Iterator[Finding]:
    """Tell who answers, and what their providers lack."""
    folder = settings.agents_dir
    routed = _routed(folder / _ROUTES)
    for agent in dict.fromkeys(routed.values()):
        yield from _agent_findings(agent, folder, settings)
    if "default" in routed:
        others = len(set(routed.values())) - 1
        more = f", {others} more by their numbers or by order" if others else ""
        yield ok("agents", f"{routed['default']} answers{more}")


def _routed(path: Path) -> dict[str, str]:
    """Return the agents of the routes by who names them; a faulty file is another check's."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
    numbers, others = table.get("numbers", {}), table.get("agents", [])
    found = {"default": table.get("default")}
    found |= numbers if isinstance(numbers, dict) else {}
    found |= {
        f"agents[{at}]": it for at, it in enumerate(others if isinstance(others, list) else ())
    }
    return {name: it for name, it in found.items() if isinstance(it, str)}


def _agent_findings(agent: str, folder: Path, settings: Settings) -> Iterator[Finding]:
    module, _, name = agent.partition(":")
    if not name:
        text = f"{_ROUTES} names {agent!r}, which is no agent"
        yield fail("agents", text, "write module:Class")
        return
    path = _file_of(folder, module)
    if path is None:
        fix = f"correct {_ROUTES}, or write it: callfarm new {module.rpartition('.')[2]}"
        yield fail("agents", f"{_ROUTES} names {agent}, and there is no {module} in {folder}", fix)
        return
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, OSError):
        return  # another check tells of it
    if name not in _top_names(tree):
        fix = f"correct {_ROUTES}: module:Class"
        yield fail("agents", f"{_ROUTES} names {agent}, and {path.name} has no {name}", fix)
    named = _providers(tree)
    yield from _lacks(path.name, named, settings)
    if _CHOOSES in named:
        yield _chosen(module, settings)


def _file_of(folder: Path, module: str) -> Path | None:
    place = folder.joinpath(*module.split("."))
    return next(
        (it for it in (place.with_suffix(".py"), place / "__init__.py") if it.exists()), None
    )


def _top_names(tree: ast.Module) -> set[str]:
    """Return what a module calls its own, wherever at its top it does."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.ImportFrom(names=names):
                found |= {it.asname or it.name for it in names}
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def _providers(tree: ast.Module) -> list[str]:
    """Return what a module takes from ``worker.providers``, but what it says needs no key."""
    named: dict[str, str] = {}
    keyless: dict[str, bool] = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=module, names=names) if module == _PLACE:
                named |= {it.asname or it.name: it.name for it in names}
            case ast.Call(func=ast.Name(id=name), keywords=given):
                is_keyless = any(it.arg in _KEYLESS for it in given)
                keyless[name] = keyless.get(name, True) and is_keyless
    return [it for name, it in named.items() if not keyless.get(name, False)]


def _lacks(file: str, named: Iterable[str], settings: Settings) -> Iterator[Finding]:
    needs = {name: NEEDS[name] for name in named if name in NEEDS}
    unset: dict[str, list[str]] = {}
    for name, it in needs.items():
        if not any(
            field and getattr(settings, field) is not None for field in (it.key, it.address)
        ):
            unset.setdefault(it.key, []).append(name)
    for field, names in unset.items():
        text = f"{file} names {', '.join(names)}, and {variable(field)} is not set"
        fix = "set it, or name another: without somebody in its place no call is answered"
        yield warn("agents", text, fix)
    absent = sorted({it.sdk for it in needs.values() if it.sdk and find_spec(it.sdk) is None})
    if absent:
        text = f"{file} names {', '.join(needs)}, and there is no SDK of {', '.join(absent)}"
        yield fail("agents", text, "pip install 'callfarm[providers]'")


def _chosen(module: str, settings: Settings) -> Finding:
    """Tell which engines the keys make an agent use that does not mind which."""
    chosen = choose_engines(call_environment({}, settings))
    absent = sorted(
        engine
        for engine in {chosen.stt, chosen.llm, chosen.tts}
        if engine in _SDKS and find_spec(_SDKS[engine]) is None
    )
    if absent:
        fix = "pip install 'callfarm[providers]', or unset the keys"
        return fail(module, f"{chosen.why}, and no SDK of {', '.join(absent)}", fix)
    return warn(module, chosen.why, chosen.fix) if chosen.fix else ok(module, chosen.why)
