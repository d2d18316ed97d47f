"""What Ultravox refuses in a body: unknown fields, wrong kinds, tools that nobody could call.

Source: its OpenAPI document, ``StartCallRequest``, ``StartAgentCallRequest`` and what they refer
to. The wording of the errors is ours.
"""

import re
from typing import Any

from tests.fakes.ultravox_checks import (
    BadBodyError,
    Check,
    fields,
    is_duration,
    is_flag,
    is_object,
    is_text,
    list_of,
    number,
    one_key,
    one_of,
    seconds,
)

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONGEST_TOOL_S = 40.0
_LOCATIONS = {f"PARAMETER_LOCATION_{it}" for it in ("QUERY", "PATH", "HEADER", "BODY")}
_KNOWN = {
    f"KNOWN_PARAM_{it}"
    for it in (
        *("CALL_ID", "CONVERSATION_HISTORY", "OUTPUT_SAMPLE_RATE", "CALL_STATE", "CALL_STAGE_ID"),
        *("CALL_METADATA", "THREAD_ID", "THREAD_STATES"),
    )
}
_VOICES = {"elevenLabs", "cartesia", "lmnt", "google", "inworld", "respeecher", "generic"}
_ROLES = ("USER", "AGENT", "TOOL_CALL", "TOOL_RESULT")


def _metadata(value: Any, where: str) -> None:
    is_object(value, where)
    for name, part in value.items():
        is_text(part, f"{where}.{name}")
        if name.startswith("ultravox."):
            raise BadBodyError(f"{where}.{name}", "is reserved")


def _message(value: Any, where: str) -> None:
    fields(
        ("role",),
        role=one_of(*(f"MESSAGE_ROLE_{it}" for it in _ROLES)),
        text=is_text,
        invocationId=is_text,
        toolName=is_text,
        medium=one_of("MESSAGE_MEDIUM_VOICE", "MESSAGE_MEDIUM_TEXT"),
        metadata=is_object,
    )(value, where)
    if "TOOL" in value["role"] and not (value.get("invocationId") and value.get("toolName")):
        raise BadBodyError(where, "is of a tool and needs invocationId and toolName")


def _messages(value: Any, where: str) -> None:
    list_of(_message)(value, where)
    called = [it["invocationId"] for it in value if it["role"] == "MESSAGE_ROLE_TOOL_CALL"]
    results = [it["invocationId"] for it in value if it["role"] == "MESSAGE_ROLE_TOOL_RESULT"]
    if sorted(called) != sorted(results):
        raise BadBodyError(where, "has tool calls and results that do not belong together")


# Tools -------------------------------------------------------------------------------------------


def _schema(value: Any, where: str) -> None:
    is_object(value, where)
    if "$ref" in str(value) or "$defs" in value:
        raise BadBodyError(where, "refers to what is not there")


def _parameter(needed: str, **more: Check) -> Check:
    place = one_of(*sorted(_LOCATIONS))
    return fields(("name", "location", needed), name=is_text, location=place, **more)


_known = one_of(*sorted(_KNOWN))


def _value(value: Any, where: str) -> None:
    del value, where


_http = fields(("baseUrlPattern", "httpMethod"), baseUrlPattern=is_text, httpMethod=is_text)
_REACTIONS = [f"AGENT_REACTION_{it}" for it in ("SPEAKS", "LISTENS", "SPEAKS_ONCE")]


def _tool(value: Any, where: str) -> None:
    one_key(
        fields(
            ("modelToolName", "description"),
            modelToolName=is_text,
            description=is_text,
            dynamicParameters=list_of(_parameter("schema", schema=_schema, required=is_flag)),
            staticParameters=list_of(_parameter("value", value=_value)),
            automaticParameters=list_of(_parameter("knownValue", knownValue=_known)),
            requirements=is_object,
            timeout=is_duration,
            precomputable=is_flag,
            http=_http,
            client=fields(),
            dataConnection=fields(),
            defaultReaction=one_of(*_REACTIONS),
            staticResponse=is_object,
        ),
        {"http", "client", "dataConnection"},
    )(value, where)
    if not _NAME.fullmatch(value["modelToolName"]):
        raise BadBodyError(f"{where}.modelToolName", "is no name of a tool")
    if "timeout" in value and not 0 < seconds(value["timeout"]) <= _LONGEST_TOOL_S:
        raise BadBodyError(f"{where}.timeout", "is more than 40 s")
    if "http" not in value:
        for name in ("dynamicParameters", "staticParameters", "automaticParameters"):
            for parameter in value.get(name, ()):
                if parameter["location"] != "PARAMETER_LOCATION_BODY":
                    raise BadBodyError(where, "is no HTTP tool and may have body parameters only")


_selected = one_key(
    fields(
        toolId=is_text,
        toolName=is_text,
        temporaryTool=_tool,
        nameOverride=is_text,
        descriptionOverride=is_text,
        authTokens=is_object,
        parameterOverrides=is_object,
    ),
    {"toolId", "toolName", "temporaryTool"},
)


def _tools(value: Any, where: str) -> None:
    list_of(_selected)(value, where)
    names = [name_of(tool) for tool in value]
    if len(set(names)) != len(names):
        raise BadBodyError(where, "has two tools of one name")


def name_of(tool: dict[str, Any]) -> str:
    """Return what the model calls a selected tool."""
    given = tool.get("nameOverride") or tool.get("toolName") or tool.get("toolId")
    return str(given or tool["temporaryTool"]["modelToolName"])


# A call ------------------------------------------------------------------------------------------

_data_messages = fields(
    **dict.fromkeys(
        (
            *("pong", "state", "transcript", "clientToolInvocation", "playbackClearBuffer"),
            *("dataConnectionToolInvocation", "callStarted", "debug", "callEvent", "toolUsed"),
            *("userStartedSpeaking", "userStoppedSpeaking", "invokingTool"),
        ),
        is_flag,
    )
)
_rate = number(8000, 48_000)
_dtmf = fields(ignore=fields(), userTextMessage=is_object)
_phone = fields(outgoing=is_object, dtmfHandling=is_object)
_socket = fields(
    ("inputSampleRate",),
    inputSampleRate=_rate,
    outputSampleRate=_rate,
    clientBufferSizeMs=number(0, 600_000),
    mediaIdleTimeout=is_duration,
    dataMessages=_data_messages,
)
_medium = one_key(
    fields(
        webRtc=is_object, twilio=_phone, telnyx=_phone, plivo=_phone, exotel=_phone,
        sip=is_object, serverWebSocket=_socket,
    ),
    {"webRtc", "twilio", "telnyx", "plivo", "exotel", "sip", "serverWebSocket"},
)  # fmt: skip
_fallback = fields(delay=is_duration, text=is_text, prompt=is_text)
_first_speaker = one_key(
    fields(
        agent=fields(uninterruptible=is_flag, text=is_text, prompt=is_text, delay=is_duration),
        user=fields(fallback=_fallback),
    ),
    {"agent", "user"},
)
_callback = fields(("url",), url=is_text, secrets=list_of(is_text))
_ENDINGS = ("UNSPECIFIED", "HANG_UP_SOFT", "HANG_UP_STRICT")
_timed = fields(
    ("duration", "message"),
    duration=is_duration,
    message=is_text,
    endBehavior=one_of(*(f"END_BEHAVIOR_{it}" for it in _ENDINGS)),
)
_external = one_key(fields(**dict.fromkeys(sorted(_VOICES), is_object)), _VOICES)

_COMMON: dict[str, Check] = {
    "initialMessages": _messages, "metadata": _metadata, "medium": _medium,
    "joinTimeout": is_duration, "maxDuration": is_duration, "recordingEnabled": is_flag,
    "initialOutputMedium": one_of("MESSAGE_MEDIUM_VOICE", "MESSAGE_MEDIUM_TEXT"),
    "firstSpeakerSettings": _first_speaker, "dataConnection": is_object,
    "experimentalSettings": is_object, "voice": is_text, "voiceOverrides": _external,
    "callbacks": fields(joined=_callback, ended=_callback, billed=_callback),
    "sharedSecrets": list_of(is_text),
    "retentionPolicy": one_of("CALL_RETENTION_POLICY_RETAIN", "CALL_RETENTION_POLICY_AUTO_DELETE"),
}  # fmt: skip
_STAGE: dict[str, Check] = {
    "systemPrompt": is_text, "temperature": number(0, 1), "voice": is_text, "languageHint": is_text,
    "initialMessages": _messages, "selectedTools": _tools,
}  # fmt: skip
_CALL = {
    **_COMMON,
    **_STAGE,
    "model": one_of("ultravox-v0.7", "ultravox-v0.6"),
    "externalVoice": _external,
    "timeExceededMessage": is_text,
    "inactivityMessages": list_of(_timed),
    "firstSpeaker": one_of("FIRST_SPEAKER_AGENT", "FIRST_SPEAKER_USER"),
    "transcriptOptional": is_flag,
    "vadSettings": fields(
        turnEndpointDelay=is_duration,
        minimumTurnDuration=is_duration,
        minimumInterruptionDuration=is_duration,
        frameActivationThreshold=number(0.1, 1),
    ),
    "initialState": is_object,
}
_AGENT_CALL = {
    **_COMMON,
    "templateContext": is_object,
    "toolOverrides": fields(remove=list_of(is_text), removeAll=is_flag, add=_tools),
    "agentId": is_text,
}


def check_call(body: Any, *, of_agent: bool = False) -> None:
    """Refuse the body of a call. Raises `BadBodyError`."""
    fields(**(_AGENT_CALL if of_agent else _CALL))(body, "")
    if "voice" in body and "externalVoice" in body:
        raise BadBodyError("externalVoice", "goes not together with voice")


def check_stage(body: Any) -> None:
    """Refuse the body of a stage. Raises `BadBodyError`."""
    fields(**_STAGE, toolResultText=is_text)(body, "")
