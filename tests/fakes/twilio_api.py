"""Twilio's REST resources: a request comes in as method, path and form, an answer goes out.

Pure; ``twilio_rest`` puts it on HTTP. The subset is calls, their recordings and transcriptions,
and incoming numbers. Source: Twilio's OpenAPI description and its "Call resource" documentation.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from tests.fakes.twilio_account import (
    LIVE,
    RECORDING,
    Account,
    Call,
    Recording,
    Refusal,
    Transcription,
    new_sid,
)
from tests.fakes.twilio_form import (
    CALL_FIELDS,
    Form,
    check_detection,
    check_dialling,
    check_instructions,
    check_known,
    check_urls,
    number,
    one,
    word,
    words,
)
from tests.fakes.twilio_shown import (
    page_of,
    paged,
    shown_call,
    shown_number,
    shown_recording,
    shown_transcription,
)

Reply = tuple[int, dict[str, object] | None]


def handle(account: Account, method: str, path: str, form: Form) -> Reply:
    """Carry out a request on ``path`` below the account. Raises ``Refusal``."""
    matches = [(verb, act, pattern.fullmatch(path)) for verb, pattern, act in _ROUTES]
    found = [(verb, act, match) for verb, act, match in matches if match]
    for verb, act, match in found:
        if verb == method:
            return act(account, form, *match.groups())
    if found:
        raise Refusal(405, 20004, "Method not allowed")
    raise Refusal(404, 20404, f"The requested resource {path} was not found")


def _create_call(account: Account, form: Form) -> Reply:
    check_known(form, CALL_FIELDS)
    to = number(form, "To", 21201, 21211)
    from_ = number(form, "From", 21213, 21212)
    _check_numbers(account, to, from_)
    url, twiml = one(form, "Url"), one(form, "Twiml")
    if url is None and twiml is None and one(form, "ApplicationSid") is None:
        raise Refusal(400, 21205, "Url parameter is required.")
    check_instructions(form)
    check_dialling(form)
    check_detection(form)
    # With both, Twilio ignores the document.
    call = Call(
        new_sid("CA"), "queued", to, from_, "outbound-api", None if url is not None else twiml, url
    )
    call.form = form
    account.calls[call.sid] = call
    shown = shown_call(account, call)
    account.tell(call)
    return 201, shown


def _check_numbers(account: Account, to: str, from_: str) -> None:
    if account.numbers and from_ not in {it.phone_number for it in account.numbers.values()}:
        raise Refusal(400, 21210, f"Source phone number {from_} is not verified for your account")
    if to == from_:
        raise Refusal(400, 21266, "'To' and 'From' numbers cannot be the same")
    if to in account.blocked:
        raise Refusal(400, account.blocked[to], f"{to} cannot be called")
    if account.verified is not None and to not in account.verified:
        raise Refusal(400, 21219, f"The number {to} is unverified. Trial accounts may only ...")


_LIST_FIELDS = ("To", "From", "Status", "ParentCallSid", "PageSize", "Page", "PageToken")
_TIMES = ("StartTime", "EndTime")


def _list_calls(account: Account, form: Form) -> Reply:
    check_known(form, (*_LIST_FIELDS, *(name + sign for name in _TIMES for sign in ("", "<", ">"))))
    wanted = {"status": one(form, "Status"), "to": one(form, "To"), "from_": one(form, "From")}
    found = [
        call
        for call in reversed(account.calls.values())
        if all(value is None or getattr(call, name) == value for name, value in wanted.items())
        and _is_within(call, form)
    ]
    return 200, paged(
        account, "Calls", "calls", form, [shown_call(account, call) for call in found]
    )


def _is_within(call: Call, form: Form) -> bool:
    """Whether a call began when it was asked for; one that is queued has no beginning."""
    for name, value in (("StartTime", call.started), ("EndTime", call.ended)):
        after, before = one(form, name + ">"), one(form, name + "<")
        if (after or before) and value is None:
            return False
        if after and (value or 0) < datetime.fromisoformat(after).timestamp():
            return False
        if before and (value or 0) > datetime.fromisoformat(before).timestamp():
            return False
    return True


def _list_events(account: Account, form: Form, sid: str) -> Reply:
    return 200, paged(account, f"Calls/{sid}/Events", "events", form, account.call(sid).events)


def _fetch_call(account: Account, form: Form, sid: str) -> Reply:
    return 200, shown_call(account, account.call(sid))


def _update_call(account: Account, form: Form, sid: str) -> Reply:
    call = account.call(sid)
    url, twiml = one(form, "Url"), one(form, "Twiml")
    if url is not None and twiml is not None:
        raise Refusal(400, 21205, "Url and Twiml are mutually exclusive")
    check_instructions(form)
    if call.status not in LIVE:
        raise Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
    if url is not None or twiml is not None:
        account.answered_call(sid)  # a call that still rings can be ended, not redirected
        call.url, call.twiml = url, twiml
    if "Status" in form:
        status = word(form, "Status", "", ("completed", "canceled"))
        if status == "completed" or call.status != "in-progress":
            account.end_call(sid, status)
    account.tell(call)
    return 200, shown_call(account, call)


def _delete_call(account: Account, form: Form, sid: str) -> Reply:
    if account.call(sid).status in LIVE:
        raise Refusal(400, 20009, "Call is in progress and cannot be deleted")
    del account.calls[sid]
    return 204, None


def _create_recording(account: Account, form: Form, call_sid: str) -> Reply:
    account.answered_call(call_sid)
    check_urls(form, "RecordingStatusCallback")
    recording = Recording(
        new_sid("RE"),
        call_sid,
        1 if word(form, "RecordingChannels", "mono", ("mono", "dual")) == "mono" else 2,
        word(form, "RecordingTrack", "both", ("inbound", "outbound", "both")),
        word(form, "Trim", "do-not-trim", ("trim-silence", "do-not-trim")),
        one(form, "RecordingStatusCallback"),
        words(form, "RecordingStatusCallbackEvent", "completed", _RECORDING_EVENTS),
    )
    account.recordings[recording.sid] = recording
    return 201, shown_recording(account, recording)


def _list_recordings(account: Account, form: Form) -> Reply:
    call_sid = one(form, "CallSid")
    found = [it for it in account.recordings.values() if call_sid in (None, it.call_sid)]
    return 200, page_of("recordings", [shown_recording(account, it) for it in found])


def _list_call_recordings(account: Account, form: Form, call_sid: str) -> Reply:
    return _list_recordings(account, {"CallSid": [account.call(call_sid).sid]})


def _fetch_recording(account: Account, form: Form, sid: str) -> Reply:
    return 200, shown_recording(account, account.recording(sid))


def _fetch_call_recording(account: Account, form: Form, call_sid: str, sid: str) -> Reply:
    return 200, shown_recording(account, account.recording_of(call_sid, sid))


def _update_recording(account: Account, form: Form, call_sid: str, sid: str) -> Reply:
    recording = account.recording_of(call_sid, sid)
    status = word(form, "Status", "", ("paused", "in-progress", "stopped"))
    word(form, "PauseBehavior", "silence", ("skip", "silence"))
    if recording.status not in RECORDING:
        raise Refusal(400, 21220, "Recording is not in-progress")
    recording.status = status
    return 200, shown_recording(account, recording)


def _delete_recording(account: Account, form: Form, sid: str) -> Reply:
    if account.recording(sid).status in RECORDING:
        raise Refusal(409, 20409, "Recording is in progress and cannot be deleted")
    del account.recordings[sid]
    return 204, None


def _create_transcription(account: Account, form: Form, call_sid: str) -> Reply:
    account.answered_call(call_sid)
    check_urls(form, "StatusCallbackUrl")
    sid = new_sid("GT")
    transcription = Transcription(
        sid,
        call_sid,
        one(form, "Name") or sid,
        word(form, "Track", "both_tracks", ("inbound_track", "outbound_track", "both_tracks")),
        word(form, "TranscriptionEngine", "google", ("google", "deepgram")),
        one(form, "LanguageCode") or "en-US",
        one(form, "StatusCallbackUrl"),
    )
    account.transcriptions[sid] = transcription
    return 201, shown_transcription(account, transcription)


def _update_transcription(account: Account, form: Form, call_sid: str, key: str) -> Reply:
    transcription = account.transcription_of(call_sid, key)
    transcription.status = word(form, "Status", "", ("stopped",))
    return 200, shown_transcription(account, transcription)


def _list_numbers(account: Account, form: Form) -> Reply:
    check_known(form, ("PhoneNumber", "FriendlyName", "Beta", "Origin", "PageSize", "Page"))
    wanted = one(form, "PhoneNumber") or ""
    found = [it for it in account.numbers.values() if wanted in it.phone_number]
    shown = [shown_number(account, it) for it in found]
    return 200, paged(account, "IncomingPhoneNumbers", "incoming_phone_numbers", form, shown)


def _update_number(account: Account, form: Form, sid: str) -> Reply:
    changed = account.number(sid)
    check_known(form, _NUMBER_FIELDS)
    check_urls(form, "VoiceUrl", "VoiceFallbackUrl", "StatusCallback")
    changed.settings.update({name: values[0] for name, values in form.items()})
    return 200, shown_number(account, changed)


_NUMBER_FIELDS = (
    *("FriendlyName", "VoiceUrl", "VoiceMethod", "VoiceFallbackUrl", "VoiceFallbackMethod"),
    *("StatusCallback", "StatusCallbackMethod", "VoiceApplicationSid", "VoiceCallerIdLookup"),
    *("SmsUrl", "SmsMethod", "SmsFallbackUrl", "SmsFallbackMethod", "TrunkSid"),
)


_RECORDING_EVENTS = ("in-progress", "completed", "absent")

_SID = r"([A-Za-z0-9._-]+)"


def _routes(
    *rows: tuple[str, str, Callable[..., Reply]],
) -> Iterable[tuple[str, re.Pattern[str], Callable[..., Reply]]]:
    return [
        (verb, re.compile(path.replace("*", _SID) + r"\.json"), act) for verb, path, act in rows
    ]


_ROUTES = _routes(
    ("POST", "/Calls", _create_call),
    ("GET", "/Calls", _list_calls),
    ("GET", "/Calls/*", _fetch_call),
    ("POST", "/Calls/*", _update_call),
    ("DELETE", "/Calls/*", _delete_call),
    ("GET", "/Calls/*/Events", _list_events),
    ("POST", "/Calls/*/Recordings", _create_recording),
    ("GET", "/Calls/*/Recordings", _list_call_recordings),
    ("GET", "/Calls/*/Recordings/*", _fetch_call_recording),
    ("POST", "/Calls/*/Recordings/*", _update_recording),
    ("GET", "/Recordings", _list_recordings),
    ("GET", "/Recordings/*", _fetch_recording),
    ("DELETE", "/Recordings/*", _delete_recording),
    ("POST", "/Calls/*/Transcriptions", _create_transcription),
    ("POST", "/Calls/*/Transcriptions/*", _update_transcription),
    ("GET", "/IncomingPhoneNumbers", _list_numbers),
    ("POST", "/IncomingPhoneNumbers/*", _update_number),
)
