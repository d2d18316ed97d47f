import pytest

from gateway.calls.requests import MOST_OPEN, destination
from gateway.calls.state import CallState
from gateway.carriers.control import CarrierRefusedError
from gateway.dialer.numbers import NumberRefusedError, NumberRules
from shared import messages
from shared.e164 import NumberError
from tests.gateway.calls.actors import RECORDING, Stage
from tests.virtual_time import settled, virtual_time

REST: list[tuple[messages.Request, str]] = [
    (messages.StartRecording(7), "start recording"),
    (messages.StopRecording(7), "stop recording"),
    (messages.DeleteRecording(7), "delete recording"),
    (messages.StartTranscription(7), "start transcription"),
    (messages.StopTranscription(7), "stop transcription"),
]
_each = pytest.mark.parametrize(("request_", "asked"), REST, ids=lambda it: str(it)[:20])


@_each
def test_a_request_to_the_carrier_is_answered_when_it_was_done(
    request_: messages.Request, asked: str
) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stage.says(request_)
        await settled()
        assert stage.leg.asked == [asked]
        assert stage.worker.heard[-1] == messages.Reply(7)
        stage.close()

    case()


@_each
def test_a_request_that_the_carrier_refuses_fails_with_its_sentence(
    request_: messages.Request, asked: str
) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stage.leg.error = CarrierRefusedError(asked, 21211, "the number is not valid")
        stage.says(request_)
        await settled()
        failure = stage.worker.heard[-1]
        assert isinstance(failure, messages.Failure)
        assert (failure.request, failure.code) == (7, "carrier")
        assert "the number is not valid" in failure.sentence
        stage.close()

    case()


@pytest.mark.parametrize("digits", ["", "x", "1 2", "a", "1" * 129, "1\n", "١"])
def test_what_no_keypad_has_is_refused_and_the_call_goes_on(digits: str) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stage.open_stream()
        stage.says(messages.SendDigits(1, digits))
        failure = stage.worker.heard[-1]
        assert isinstance(failure, messages.Failure)
        assert failure.code == "digits"
        assert stage.call.flow.state is CallState.STREAMING
        stage.close()

    case()


@pytest.mark.parametrize("to", ["", "nowhere", "12345", "+1 900", "sip:a@b", "<Dial>"])
def test_a_transfer_to_an_unknown_place_is_refused_and_names_the_known(to: str) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stage.open_stream()
        stage.says(messages.Transfer(1, to))
        failure = stage.worker.heard[-1]
        assert isinstance(failure, messages.Failure)
        assert failure.code == "destination"
        assert "named destinations: kitchen" in failure.sentence
        assert stage.call.flow.state is CallState.STREAMING
        stage.close()

    case()


def test_a_destination_is_a_name_or_a_number() -> None:
    named = {"kitchen": "+15005550002"}
    assert destination("kitchen", named, NumberRules()) == "+15005550002"
    assert destination("+4930901820", named, NumberRules()) == "+4930901820"
    with pytest.raises(NumberError):
        destination("cellar", named, NumberRules())


def test_a_number_without_a_name_is_one_that_may_be_called() -> None:
    rules = NumberRules(deny=("+4930",))
    assert destination("desk", {"desk": "+4930901820"}, rules) == "+4930901820"
    for number in ("+4930901820", "+19005551234", "+882161234567"):
        with pytest.raises(NumberRefusedError):
            destination(number, {"desk": "+4930901820"}, rules)


@virtual_time
async def test_an_agent_that_asks_twice_is_answered_twice() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.HangUp(1))
    stage.says(messages.HangUp(2))
    stage.call.answering.next()
    assert stage.worker.heard[-3:-1] == [messages.Reply(1), messages.Reply(2)]
    stage.close()


@virtual_time
async def test_a_process_that_asks_without_end_is_told_to_wait() -> None:
    stage = Stage()
    for number in range(MOST_OPEN + 1):
        stage.says(messages.StartRecording(number))
    last = stage.worker.heard[-1]
    assert isinstance(last, messages.Failure)
    assert (last.request, last.code) == (MOST_OPEN, "too-many")
    await settled()
    assert len(stage.leg.asked) == MOST_OPEN
    assert stage.worker.heard  # makes room on the pipe
    await settled()
    stage.says(messages.StopRecording(99))
    await settled()
    assert stage.worker.heard[-1] == messages.Reply(99)
    stage.close()


@virtual_time
async def test_the_process_hears_which_recording_the_carrier_has_begun_and_deleted() -> None:
    stage = Stage()
    stage.says(messages.StartRecording(1))
    stage.says(messages.DeleteRecording(2))
    await settled()
    assert stage.worker.heard[-4:] == [
        messages.RecordingChanged(RECORDING, "in-progress"),
        messages.Reply(1),
        messages.RecordingChanged(RECORDING, "deleted"),
        messages.Reply(2),
    ]
    stage.close()


@virtual_time
async def test_without_a_studio_a_process_that_wants_a_recording_is_told_so() -> None:
    stage = Stage()
    stage.says(messages.Record(1))
    await settled()
    assert stage.worker.heard[-1] == messages.Failure(
        1, "recording", "recordings are not kept here"
    )
    stage.close()


@virtual_time
async def test_a_caller_who_is_passed_on_is_recorded_no_more() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.Transfer(1, "kitchen"))
    stage.call.answering.next()
    await settled()
    assert stage.call.recorder.over
    assert stage.leg.left_off == 1
    stage.close()
