"""What an Ultravox call is created with: the body of ``POST /api/calls``, from settings and an
opening. Pure; used whoever connects to the call afterwards.

With an ``agent_id`` the prompt, the model and the inactivity messages are those that are stored
there, and only what belongs to this call is said. Source: Ultravox' OpenAPI document,
``StartCallRequest`` and ``StartAgentCallRequest``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from worker.llm import Item, Returned, Said
from worker.speech import Brief, Opening
from worker.speech.ultravox_tools import Implementation, by_client, duration, selected_tools

if TYPE_CHECKING:
    from worker.speech.ultravox import Ultravox

JOIN_SECONDS = 15.0
"""How long a call waits to be joined; one that nobody joins counts as one in progress."""

MEDIA_IDLE_SECONDS = 30.0
"""Ultravox ends a call that gets no audio for so long: that of a process that hangs."""

USER_FIRST: Mapping[str, Any] = {"user": {}}

LOST_PROMPT = (
    "The connection was lost for a moment while you were answering. Say so in a few words, and go "
    "on from where you were."
)

OWED_PROMPT = (
    "The call is under way, and the last line is not answered yet. Answer it, and do not greet."
)


def path_of(settings: "Ultravox") -> str:
    """Return where the call is created."""
    from urllib.parse import quote

    agent = settings.agent_id
    return "/api/calls" if agent is None else f"/api/agents/{quote(agent, safe='')}/calls"


def server_web_socket(settings: "Ultravox", sample_rate: int) -> dict[str, Any]:
    """Return the medium of a call that is joined by this process, in PCM16 at ``sample_rate``."""
    return {
        "serverWebSocket": {
            "inputSampleRate": sample_rate,
            "outputSampleRate": sample_rate,
            "clientBufferSizeMs": settings.client_buffer_ms,
            "mediaIdleTimeout": duration(MEDIA_IDLE_SECONDS),
            "dataMessages": {"userStartedSpeaking": True, "userStoppedSpeaking": True},
        }
    }


def call_body(
    settings: "Ultravox",
    opening: Opening,
    medium: Mapping[str, Any],
    implementation: Implementation = by_client,
) -> dict[str, Any]:
    """Return the body that begins the conversation of ``opening`` on ``medium``.

    ``implementation`` says who runs the tools.
    """
    body: dict[str, Any] = {
        "medium": medium,
        "firstSpeakerSettings": first_speaker(settings, opening),
        "joinTimeout": duration(JOIN_SECONDS),
        "recordingEnabled": settings.recording,
    }
    metadata = {name: value for name, value in opening.metadata.items() if value}
    if metadata:
        body["metadata"] = metadata
    if settings.max_duration_s is not None:
        body["maxDuration"] = duration(settings.max_duration_s)
    messages = initial_messages(opening.items)
    if messages:
        body["initialMessages"] = messages
    tools = selected_tools(settings, opening.brief, implementation)
    if settings.agent_id is None:
        body |= _whole(settings, opening)
        body["selectedTools"] = tools
    else:
        if settings.template_context:
            body["templateContext"] = dict(settings.template_context)
        if tools:
            body["toolOverrides"] = {"add": tools}
    voice = opening.brief.voice or settings.voice
    if voice is not None and settings.external_voice is None:
        body["voice"] = voice
    return body | dict(settings.extra)


def resuming_body(
    settings: "Ultravox", brief: Brief, medium: Mapping[str, Any], *, owed: bool
) -> dict[str, Any]:
    """Return the body that goes on with an earlier call, whose settings and messages it inherits.

    ``owed``: the caller waits for an answer, or for the rest of one.
    """
    return {
        "medium": medium,
        "firstSpeakerSettings": {"agent": {"prompt": LOST_PROMPT}} if owed else USER_FIRST,
        "joinTimeout": duration(JOIN_SECONDS),
        **stage_of(settings, brief),
    }


def stage_of(settings: "Ultravox", brief: Brief) -> dict[str, Any]:
    """Return what changes with a brief: the fields of a call stage."""
    stage: dict[str, Any] = {
        "systemPrompt": brief.system,
        "selectedTools": selected_tools(settings, brief),
    }
    if brief.voice is not None and settings.external_voice is None:
        stage["voice"] = brief.voice
    return stage


def _whole(settings: "Ultravox", opening: Opening) -> dict[str, Any]:
    """Return what a stored agent would have of its own."""
    body: dict[str, Any] = {"systemPrompt": opening.brief.system, "model": settings.model}
    if settings.external_voice is not None:
        body["externalVoice"] = dict(settings.external_voice)
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    if settings.language_hint is not None:
        body["languageHint"] = settings.language_hint
    if settings.time_exceeded_message is not None:
        body["timeExceededMessage"] = settings.time_exceeded_message
    vad = {
        "turnEndpointDelay": _maybe(settings.turn_endpoint_delay_s),
        "minimumTurnDuration": _maybe(settings.minimum_turn_s),
        "minimumInterruptionDuration": _maybe(settings.minimum_interruption_s),
        "frameActivationThreshold": settings.frame_activation_threshold,
    }
    given = {name: value for name, value in vad.items() if value is not None}
    if given:
        body["vadSettings"] = given
    if opening.reminders:
        body["inactivityMessages"] = [
            {
                "duration": duration(reminder.after_s),
                "message": reminder.text,
                **({"endBehavior": "END_BEHAVIOR_HANG_UP_SOFT"} if reminder.hangs_up else {}),
            }
            for reminder in opening.reminders
        ]
    return body


def _maybe(seconds: float | None) -> str | None:
    return None if seconds is None else duration(seconds)


def first_speaker(settings: "Ultravox", opening: Opening) -> Mapping[str, Any]:
    """Return ``firstSpeakerSettings``: the agent by the greeting, or the caller.

    A call that takes another's place has the agent speak if the caller waits for an answer.
    """
    if opening.items:
        return {"agent": {"prompt": OWED_PROMPT}} if opening.is_owed else USER_FIRST
    protected = {} if opening.greeting_interruptible else {"uninterruptible": True}
    if opening.greeting:
        return {"agent": {"text": opening.greeting, **protected}}
    return {"agent": protected} if settings.speaks_first else USER_FIRST


def initial_messages(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return what was said before as ``initialMessages``.

    A tool that was called and not answered is left out: nobody will answer it here.
    """
    answered = {item.call_id for item in items if isinstance(item, Returned)}
    names: dict[str, str] = {}
    messages: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, Returned):
            if item.call_id in names:
                messages.append(_tool("RESULT", item.call_id, names[item.call_id], item.text))
            continue
        if item.text:
            messages.append(_line(item))
        for call in item.calls:
            if call.id in answered:
                names[call.id] = call.name
                messages.append(_tool("CALL", call.id, call.name, call.arguments or "{}"))
    return messages


def _line(said: Said) -> dict[str, Any]:
    if said.role == "assistant":
        return {"role": "MESSAGE_ROLE_AGENT", "text": said.text}
    text = said.text if said.role == "user" else instruction(said.text)
    return {"role": "MESSAGE_ROLE_USER", "text": text}


def _tool(kind: str, invocation: str, name: str, text: str) -> dict[str, Any]:
    return {
        "role": f"MESSAGE_ROLE_TOOL_{kind}",
        "invocationId": invocation,
        "toolName": name,
        "text": text,
    }


def instruction(text: str) -> str:
    """Return a line that tells the model something without being the caller's.

    There are no lines but the caller's and the agent's; Ultravox' guide to deferred messages marks
    instructions so.
    """
    return f"<instruction>{text}</instruction>"
