"""Twilio's REST resources: a request comes in as method, path and form, an answer goes out.

Pure; ``twilio_rest`` puts it on HTTP. The subset is calls, their recordings and transcriptions,
and incoming numbers. Source: Twilio's OpenAPI description and its "Call resource" documentation.
"""

import re
from collections.abc import Callable, Iterable

from tests.fakes.twilio_account import (
    LIVE,
    RECORDING,
    Account,
    Call,
    Number,
    Recording,
    Refusal,
    Transcription,
    new_sid,
)
from tests.fakes.twilio_form import (
    Form,
    check_dialling,
    check_instructions,
    check_urls,
    number,
    one,
    word,
    words,
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
    to = number(form, "To", 21201, 21211)
    from_ = number(form, "From", 21213, 21212)
    if account.numbers and from_ not in {it.phone_number for it in account.numbers.values()}:
        raise Refusal(400, 21210, f"Source phone number {from_} is not verified for your account")
    url, twiml = one(form, "Url"), one(form, "Twiml")
    if url is None and twiml is None and one(form, "ApplicationSid") is None:
        raise Refusal(400, 21205, "Url parameter is required.")
    check_instructions(form)
    check_dialling(form)
    # With both, Twilio ignores the document.
    call = Call(
        new_sid("CA"), "queued", to, from_, "outbound-api", None if url is not None else twiml, url
    )
    account.calls[call.sid] = call
    account.tell(call)
    return 201, _call(account, call)


def _list_calls(account: Account, form: Form) -> Reply:
    shown = [_call(account, call) for call in account.calls.values()]
    wanted = {name.lower(): one(form, name) for name in ("Status", "To", "From")}
    found = [it for it in shown if all(v is None or it[k] == v for k, v in wanted.items())]
    return 200, _page("calls", found)


def _fetch_call(account: Account, form: Form, sid: str) -> Reply:
    return 200, _call(account, account.call(sid))


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
    return 200, _call(account, call)


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
    return 201, _recording(account, recording)


def _list_recordings(account: Account, form: Form) -> Reply:
    call_sid = one(form, "CallSid")
    found = [it for it in account.recordings.values() if call_sid in (None, it.call_sid)]
    return 200, _page("recordings", [_recording(account, it) for it in found])


def _list_call_recordings(account: Account, form: Form, call_sid: str) -> Reply:
    return _list_recordings(account, {"CallSid": [account.call(call_sid).sid]})


def _fetch_recording(account: Account, form: Form, sid: str) -> Reply:
    return 200, _recording(account, account.recording(sid))


def _fetch_call_recording(account: Account, form: Form, call_sid: str, sid: str) -> Reply:
    return 200, _recording(account, account.recording_of(call_sid, sid))


def _update_recording(account: Account, form: Form, call_sid: str, sid: str) -> Reply:
    recording = account.recording_of(call_sid, sid)
    status = word(form, "Status", "", ("paused", "in-progress", "stopped"))
    word(form, "PauseBehavior", "silence", ("skip", "silence"))
    if recording.status not in RECORDING:
        raise Refusal(400, 21220, "Recording is not in-progress")
    recording.status = status
    return 200, _recording(account, recording)


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
    return 201, _transcription(account, transcription)


def _update_transcription(account: Account, form: Form, call_sid: str, key: str) -> Reply:
    transcription = account.transcription_of(call_sid, key)
    transcription.status = word(form, "Status", "", ("stopped",))
    return 200, _transcription(account, transcription)


def _list_numbers(account: Account, form: Form) -> Reply:
    wanted = one(form, "PhoneNumber")
    found = [it for it in account.numbers.values() if wanted in (None, it.phone_number)]
    return 200, _page("incoming_phone_numbers", [_number(account, it) for it in found])


def _update_number(account: Account, form: Form, sid: str) -> Reply:
    changed = account.number(sid)
    check_urls(form, "VoiceUrl", "VoiceFallbackUrl", "StatusCallback")
    changed.settings.update({name: values[0] for name, values in form.items()})
    return 200, _number(account, changed)


def _call(account: Account, call: Call) -> dict[str, object]:
    shown: dict[str, object] = {"to": call.to, "from": call.from_, "direction": call.direction}
    return _resource(account, "Calls", call.sid) | shown | {"status": call.status}


def _recording(account: Account, it: Recording) -> dict[str, object]:
    shown: dict[str, object] = {"call_sid": it.call_sid, "status": it.status, "track": it.track}
    source: dict[str, object] = {"channels": it.channels, "source": "StartCallRecordingAPI"}
    return _resource(account, "Recordings", it.sid) | shown | source


def _transcription(account: Account, it: Transcription) -> dict[str, object]:
    shown: dict[str, object] = {"call_sid": it.call_sid, "name": it.name, "status": it.status}
    return _resource(account, "Transcriptions", it.sid) | shown


def _number(account: Account, it: Number) -> dict[str, object]:
    shown: dict[str, object] = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in it.settings.items()
    }
    return (
        _resource(account, "IncomingPhoneNumbers", it.sid)
        | {"phone_number": it.phone_number}
        | shown
    )


def _resource(account: Account, kind: str, sid: str) -> dict[str, object]:
    uri = f"/2010-04-01/Accounts/{account.sid}/{kind}/{sid}.json"
    return {"sid": sid, "account_sid": account.sid, "api_version": "2010-04-01", "uri": uri}


def _page(name: str, items: list[dict[str, object]]) -> dict[str, object]:
    return {name: items, "page": 0, "page_size": 50, "next_page_uri": None}


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
