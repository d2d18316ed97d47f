"""The rows of Dialog's promises that the worker keeps, each with the tests that show it."""

import asyncio
import dataclasses
import importlib
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.playbook import STREAM, Ears, Playbook, Says, Voice
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.message import Message
from worker.stt import STTSession
from worker.tts import TTSSession
from worker.voip import VoIP

_HERE = "worker.test_dialog_rows"
_VOIP, _SPEAKER, _SESSION = "worker.test_voip", "worker.test_speaker", "worker.test_session"
_CALL, _REQUESTS = "gateway.calls.test_call", "gateway.calls.test_requests"

ROWS = {
    "Ds01": [(_HERE, "test_two_calls_of_one_agent_share_no_state")],
    "Ds02": [(_HERE, "test_what_one_participant_gave_another_cannot_be_changed")],
    "Ds03": [(_SESSION, "test_ears_voice_and_ringing_hook_start_at_once_and_together")],
    "Ds04": [(_SESSION, "test_a_turn_is_heard_answered_recorded_and_checkpointed")],
    "Ds05": [(_SESSION, "test_a_caller_who_begins_to_speak_stops_the_agent_at_once")],
    "Ds06": [(_SESSION, "test_an_agent_that_wants_audio_gets_every_frame_at_once")],
    "Ds16": [(_HERE, "test_a_message_is_a_uuid_data_and_done")],
    "Ds17": [(_SESSION, "test_utterances_come_to_the_agent_one_after_the_other_in_order")],
    "Ds18": [
        (_SESSION, "test_a_partial_transcript_is_no_turn"),
        (_SESSION, "test_ears_that_are_lost_end_the_call_with_their_error"),
        (_HERE, "test_sessions_are_posted_to_and_closed"),
    ],
    "Ds19": [
        (_SPEAKER, "test_an_interruption_before_the_first_sound_leaves_nothing_heard"),
        (_SPEAKER, "test_a_voice_that_fails_while_it_speaks_fails_that_utterance"),
        (_HERE, "test_sessions_are_posted_to_and_closed"),
    ],
    "Ds20": [
        (_HERE, "test_every_event_of_the_line_reaches_its_listener"),
        (_VOIP, "test_a_request_returns_when_it_was_carried_out"),
    ],
    "Ds29": [(_VOIP, "test_a_mark_is_true_when_its_echo_comes")],
    "Ds30": [(_VOIP, "test_a_mark_is_false_when_it_was_cleared_even_though_its_echo_comes")],
    "Ds31": [
        (_CALL, "test_a_transfer_dials_and_lets_the_process_go"),
        (_CALL, "test_a_carrier_that_does_not_ask_is_told_to_hang_up"),
    ],
    "Ds53": [(_CALL, "test_a_stream_and_its_audio_reach_the_process_in_order")],
    "Ds54": [(_CALL, "test_a_crash_is_answered_with_an_apology_and_the_fallback")],
    "Ds55": [(_REQUESTS, "test_a_request_to_the_carrier_is_answered_when_it_was_done")],
}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_tests_that_exist(row: str) -> None:
    for module, test in ROWS[row]:
        assert hasattr(importlib.import_module(f"tests.{module}"), test), test


@virtual_time
async def test_two_calls_of_one_agent_share_no_state() -> None:
    class Counter(Agent):
        stt = None

        async def inference(self, message: Message[str]) -> None:
            self.state["said"] = [*self.state.get("said", []), message.data]

    first, second = Playbook(Counter), Playbook(Counter)
    await (first >> STREAM >> Says("only to the first"))
    await (second >> STREAM)
    assert first.agent is not second.agent
    assert first.call is not second.call
    assert (first.agent.state, second.agent.state) == ({"said": ["only to the first"]}, {})
    await asyncio.gather(first.ended(), second.ended())


def _changes(value: Any, name: str) -> None:
    setattr(value, name, "changed")


def test_what_one_participant_gave_another_cannot_be_changed() -> None:
    info = CallInfo("CA1", parameters=MappingProxyType({"From": "+1"}))
    given: list[tuple[Any, str]] = [
        (Message(uuid4(), "text"), "data"),
        (info, "from_"),
        (messages.StreamStarted("MZ1", {}), "stream_sid"),
    ]
    for value, name in given:
        with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
            _changes(value, name)
    with pytest.raises(TypeError):
        info.parameters["From"] = "changed"  # type: ignore[index]


def test_what_a_call_is_told_about_itself_is_its_own_copy() -> None:
    given = {"From": "+1"}
    info = CallInfo("CA1", parameters=given)
    given["From"] = "changed"
    assert info.parameters == {"From": "+1"}


def test_a_message_is_a_uuid_data_and_done() -> None:
    assert [field.name for field in dataclasses.fields(Message)] == ["uuid", "data", "done"]
    message = Message(UUID(int=1), b"audio")
    assert (message.done, hash(message)) == (True, hash(Message(UUID(int=1), b"audio")))


def test_sessions_are_posted_to_and_closed() -> None:
    for session in (STTSession, TTSSession):
        assert {"post", "aclose"} <= set(vars(session))
    assert "abort" in vars(TTSSession)


@virtual_time
async def test_every_event_of_the_line_reaches_its_listener() -> None:
    heard = list[object]()

    class Listener(Agent):
        stt, tts = Ears(), Voice()

        async def on_dtmf(self, digit: str) -> None:
            heard.append(digit)

        async def on_start(self) -> None:
            heard.append(self.call.info.call_sid)

    play = await (Playbook(Listener) >> STREAM >> messages.Dtmf("1"))
    assert heard == [play.call.info.call_sid, "1"]
    assert {"play", "clear", "hangup", "transfer", "start_recording"} <= set(vars(VoIP))
    await play.ended()
