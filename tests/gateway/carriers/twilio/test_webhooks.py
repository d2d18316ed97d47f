"""Webhooks as Twilio sends them, with parts missing, unknown, or hostile."""

from dataclasses import FrozenInstanceError
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio import webhooks
from gateway.carriers.twilio.fields import FieldError
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.vocabulary import (
    Answerer,
    CallStatus,
    RecordingState,
    StreamEvent,
    TranscriptionStep,
)

CALL = "CA" + "0123456789abcdef" * 2
ACCOUNT = "AC" + "0123456789abcdef" * 2
IDS = (("CallSid", CALL), ("AccountSid", ACCOUNT))


def parameters(**values: str) -> Parameters:
    return IDS + tuple(values.items())


def test_a_voice_webhook_is_read_whole() -> None:
    pairs = parameters(From="+4930", To="+1555", CallStatus="ringing", Direction="inbound")
    pairs += (("CallerName", "A"), ("ForwardedFrom", "+44"), ("FromCity", ""), ("NewField", "x"))
    webhook = webhooks.voice_webhook(pairs)
    assert (webhook.call_sid, webhook.account_sid) == (CALL, ACCOUNT)
    assert (webhook.from_, webhook.to, webhook.direction) == ("+4930", "+1555", "inbound")
    assert webhook.call_status is CallStatus.RINGING
    assert (webhook.caller_name, webhook.forwarded_from) == ("A", "+44")
    assert webhook.everything["NewField"] == "x"
    assert webhook.everything["FromCity"] == ""


def test_a_withheld_number_and_missing_details_are_no_error() -> None:
    webhook = webhooks.voice_webhook(parameters(From="anonymous"))
    assert (webhook.from_, webhook.to, webhook.error_code) == ("anonymous", "", None)
    assert webhook.call_status is CallStatus.OTHER


def test_a_fallback_request_says_what_failed() -> None:
    assert webhooks.voice_webhook(parameters(ErrorCode="11205")).error_code == 11205


@pytest.mark.parametrize("missing", ["CallSid", "AccountSid"])
def test_a_missing_id_is_a_typed_error_that_names_it(missing: str) -> None:
    pairs = tuple(pair for pair in IDS if pair[0] != missing)
    with pytest.raises(FieldError, match=f"{missing} is missing") as caught:
        webhooks.voice_webhook(pairs)
    assert caught.value.name == missing


@pytest.mark.parametrize(
    "sid", ["", "CA", "CA" + "g" * 32, ACCOUNT, CALL + "0", f" {CALL}", "CA../../../etc/passwd"]
)
def test_a_malformed_id_is_refused(sid: str) -> None:
    with pytest.raises(FieldError, match="32 hexadecimal digits"):
        webhooks.voice_webhook((("CallSid", sid), ("AccountSid", ACCOUNT)))


def test_of_a_repeated_parameter_the_first_counts() -> None:
    webhook = webhooks.voice_webhook((*IDS, ("CallSid", "CA" + "f" * 32), ("From", "+1")))
    assert webhook.call_sid == CALL


def test_a_webhook_cannot_be_changed_by_whoever_receives_it() -> None:
    webhook = webhooks.voice_webhook(parameters(From="+1"))
    with pytest.raises(FrozenInstanceError):
        webhook.from_ = "+2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        cast("dict[str, str]", webhook.everything)["From"] = "+2"


def test_a_status_callback_takes_seconds_not_billed_minutes() -> None:
    callback = webhooks.status_callback(
        parameters(
            CallStatus="completed",
            CallDuration="61",
            Duration="2",
            SequenceNumber="3",
            SipResponseCode="200",
        )
    )
    assert callback.call_status.final
    assert (callback.duration_s, callback.sequence_number) == (61, 3)
    assert callback.sip_response_code == 200


def test_only_states_that_nothing_follows_are_final() -> None:
    final = {it for it in CallStatus if it.final}
    assert {it.value for it in final} == {"completed", "busy", "failed", "no-answer", "canceled"}


@pytest.mark.parametrize("value", ["", "x", "1.5", "9" * 40, "٣"])
def test_a_number_that_is_none_reads_as_none(value: str) -> None:
    assert webhooks.status_callback(parameters(SequenceNumber=value)).sequence_number is None


def test_a_stream_status_is_read_whole() -> None:
    sid = "MZ" + "a" * 32
    status = webhooks.stream_status(
        parameters(StreamSid=sid, StreamEvent="stream-error", StreamError="refused", StreamName="n")
    )
    assert (status.stream_sid, status.name, status.error) == (sid, "n", "refused")
    assert status.event is StreamEvent.ERROR


def test_a_recording_status_is_read_whole() -> None:
    sid = "RE" + "a" * 32
    status = webhooks.recording_status(
        parameters(
            RecordingSid=sid,
            RecordingStatus="completed",
            RecordingUrl="https://api.twilio.com/x",
            RecordingDuration="12",
            RecordingChannels="2",
            RecordingSource="StartCallRecordingAPI",
        )
    )
    assert status.status is RecordingState.COMPLETED
    assert (status.recording_sid, status.duration_s, status.channels) == (sid, 12, 2)
    assert status.url == "https://api.twilio.com/x"


def transcription(data: str, **more: str) -> webhooks.TranscriptionEvent:
    return webhooks.transcription_event(
        parameters(
            TranscriptionSid="GT" + "a" * 32,
            TranscriptionEvent="transcription-content",
            TranscriptionData=data,
            Track="inbound_track",
            SequenceId="7",
            **more,
        )
    )


def test_a_transcript_is_unpacked_from_its_json() -> None:
    event = transcription('{"transcript":"Hallo","confidence":0.97,"new":1}', Final="true")
    assert event.event is TranscriptionStep.CONTENT
    assert (event.text, event.confidence, event.final) == ("Hallo", 0.97, True)
    assert (event.track, event.sequence_id) == ("inbound_track", 7)


@pytest.mark.parametrize("data", ["", "{", "[]", '{"transcript":1}', "null", "\ud800"])
def test_a_transcript_that_is_no_json_reads_as_empty(data: str) -> None:
    event = transcription(data)
    assert (event.text, event.confidence, event.final) == ("", None, False)


def test_who_answered_is_read() -> None:
    result = webhooks.amd_result(
        parameters(AnsweredBy="machine_end_beep", MachineDetectionDuration="3910")
    )
    assert (result.answered_by, result.duration_ms) == (Answerer.MACHINE_END_BEEP, 3910)
    assert webhooks.amd_result(parameters(AnsweredBy="martian")).answered_by is Answerer.OTHER


def test_the_end_of_a_dial_is_read_and_told_from_other_questions() -> None:
    result = webhooks.dial_result(
        parameters(
            DialCallStatus="no-answer", DialCallSid="CAx", DialCallDuration="0", DialBridged="false"
        )
    )
    assert result is not None
    assert (result.status, result.duration_s, result.bridged) == (CallStatus.NO_ANSWER, 0, False)
    assert webhooks.dial_result(parameters(CallStatus="in-progress")) is None


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=60)), max_size=20))
def test_whatever_else_is_sent_the_ids_are_read(extra: list[tuple[str, str]]) -> None:
    webhook = webhooks.voice_webhook(IDS + tuple(extra))
    assert webhook.call_sid == CALL
