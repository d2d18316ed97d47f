"""How a conversation with an ElevenLabs agent begins: what is overridden of the agent. Pure.

Source: ElevenLabs, Agents WebSocket, ``conversation_initiation_client_data``. Each override must
be allowed in the agent's security settings; what is not set here is not sent.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from worker.llm import Returned
from worker.speech import Item, Opening

if TYPE_CHECKING:
    from worker.speech.elevenlabs_agent import ElevenLabsAgent

RESERVED = "system__"
"""How names of dynamic variables may not begin."""

GO_ON = "(Please go on.)"

_SPEAKERS = {"user": "Caller", "assistant": "You", "system": "Note"}


def initiation(settings: "ElevenLabsAgent", opening: Opening) -> dict[str, object]:
    """Return what the conversation begins with, without its ``type``."""
    prompt: dict[str, object] = {}
    if settings.override_prompt and opening.brief.system.strip():
        prompt["prompt"] = "\n\n".join(filter(None, [opening.brief.system, so_far(opening.items)]))
    if settings.llm is not None:
        prompt["llm"] = settings.llm
    agent: dict[str, object] = {"prompt": prompt}
    first = _first_message(settings, opening)
    if first is not None:
        agent["first_message"] = first
    if settings.language is not None:
        agent["language"] = settings.language
    voice = {
        "voice_id": opening.brief.voice or settings.voice_id,
        "stability": settings.stability,
        "speed": settings.speed,
        "similarity_boost": settings.similarity_boost,
    }
    given: dict[str, object] = {
        "conversation_config_override": {"agent": agent, "tts": voice},
        "dynamic_variables": _variables(settings.dynamic_variables, opening.metadata),
        "user_id": settings.user_id,
    }
    return _merged(_filled(given), settings.extra)


def handed_over(settings: "ElevenLabsAgent", opening: Opening) -> tuple[str, str]:
    """Return what the model is to know of the call so far, and the line it is to answer.

    Each is empty if there is none; the first, too, when the prompt has told it already.
    """
    if not opening.items:
        return "", ""
    is_told = settings.override_prompt and bool(opening.brief.system.strip())
    last = opening.items[-1]
    known = "" if is_told else so_far(opening.items)
    if isinstance(last, Returned):
        return known, GO_ON
    return known, last.text if last.role == "user" else ""


def so_far(items: Sequence[Item]) -> str:
    """Return the conversation as a model reads it, without the caller's line it is to answer."""
    if items and not isinstance(items[-1], Returned) and items[-1].role == "user":
        items = items[:-1]
    lines = []
    for item in items:
        if isinstance(item, Returned):
            lines.append(f"Result: {item.text}")
            continue
        if item.text.strip():
            lines.append(f"{_SPEAKERS[item.role]}: {item.text}")
        lines += [f"You used {call.name} with {call.arguments}" for call in item.calls]
    if not lines:
        return ""
    head = "This call is under way: go on from here, and do not greet again. So far was said:"
    return "\n".join([head, "", *lines])


def _first_message(settings: "ElevenLabsAgent", opening: Opening) -> str | None:
    """Return what the agent says first; ``None`` leaves that to the agent's own settings."""
    if opening.items:
        return ""
    return opening.greeting or ("" if settings.waits else None)


def _variables(given: Mapping[str, object], metadata: Mapping[str, str]) -> dict[str, object]:
    known = {name: text for name, text in metadata.items() if not name.startswith(RESERVED)}
    return {**known, **given}


def _filled(tree: Mapping[str, object]) -> dict[str, object]:
    """Return ``tree`` without what is not set and without what is empty for that."""
    filled: dict[str, object] = {}
    for name, value in tree.items():
        inner = _filled(value) if isinstance(value, Mapping) else value
        if inner is not None and inner != {}:
            filled[name] = inner
    return filled


def _merged(ours: Mapping[str, object], theirs: Mapping[str, object]) -> dict[str, object]:
    """Return ``ours`` with ``theirs`` on top, branch by branch."""
    merged = dict(ours)
    for name, value in theirs.items():
        known = merged.get(name)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(known, value) if both else value  # type: ignore[arg-type]
    return merged
