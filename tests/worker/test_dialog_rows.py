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
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import (
    STREAM,
    After,
    Begins,
    Ears,
    Hears,
    Playbook,
    Says,
    TimedVoice,
    Voice,
)
from tests.worker.scripted_llm import Model
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.llm import LLM
from worker.message import Message
from worker.providers import Deepgram, ElevenLabs, OpenAI
from worker.stt import STT, Partial, STTSession
from worker.tts import TTS, TTSSession
from worker.voip import VoIP

_HERE = "worker.test_dialog_rows"
_VOIP, _SPEAKER, _SESSION = "worker.test_voip", "worker.test_speaker", "worker.test_session"
_OFFICE, _HANDOVER = "worker.test_office", "worker.test_handover"
_CONVERSATION, _EXAMPLES = "worker.test_conversation", "docs.test_examples"
_CALL, _REQUESTS = "gateway.calls.test_call", "gateway.calls.test_requests"
_LINK, _HISTORY = "worker.test_link", "worker.test_history"
_NOVA, _NOVA_TURNS = "worker.stt.test_deepgram", "worker.stt.test_deepgram_turns"
_REALTIME, _EVENTS = "worker.stt.test_openai_transcription", "worker.stt.test_openai_events"
_CARTESIA, _ELEVENLABS = "worker.tts.test_cartesia", "worker.tts.test_elevenlabs"
_VOICES, _CHAT = "worker.tts.test_fallback", "worker.llm.test_openai"

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
    "Ds34": [(_HERE, "test_an_agent_is_its_ears_its_mind_and_its_voice")],
    "Ds35": [
        (_SESSION, "test_a_turn_is_heard_answered_recorded_and_checkpointed"),
        (_HERE, "test_words_that_were_not_understood_ask_no_model"),
    ],
    "Ds36": [
        (_OFFICE, "test_a_stream_is_spoken_as_it_comes_and_its_whole_text_returned"),
        (_OFFICE, "test_a_stream_that_is_not_spoken_to_its_end_is_closed"),
        (_OFFICE, "test_only_an_uninterruptible_message_is_heard_out"),
    ],
    "Ds37": [(_OFFICE, "test_only_an_uninterruptible_message_is_heard_out")],
    "Ds38": [
        (
            _CONVERSATION,
            "test_a_committed_barge_in_closes_the_request_and_keeps_what_was_heard",
        ),
        (_HERE, "test_what_must_be_heard_survives_and_what_need_not_goes"),
    ],
    "Ds39": [(_OFFICE, "test_ears_that_are_lost_end_the_call_in_the_middle_of_an_answer")],
    "Ds40": [
        (_HANDOVER, "test_a_callers_word_changes_the_voice"),
        (_HANDOVER, "test_other_ears_hear_from_then_on"),
        (_HANDOVER, "test_a_provider_that_cannot_be_had_changes_nothing"),
    ],
    "Ds41": [
        (_CONVERSATION, "test_a_call_may_end_in_any_phase_and_leaves_nothing_behind"),
        (_SESSION, "test_what_comes_after_the_end_harms_nobody"),
    ],
    "Ds42": [
        (_HERE, "test_the_carrier_records_and_transcribes_as_soon_as_the_stream_is_open"),
        (_HERE, "test_what_is_known_of_a_call_is_merged_and_later_keys_win"),
        (_SESSION, "test_what_the_carrier_reports_reaches_the_agent"),
    ],
    "Ds43": [
        (_HERE, "test_a_model_is_told_what_to_be_first_of_all_if_it_is_told_anything"),
        (_CONVERSATION, "test_words_that_an_agent_changes_take_the_place_of_the_callers_own"),
        (_EXAMPLES, "test_the_timestamped_agent_tells_its_model_when_each_turn_was"),
        (_HERE, "test_a_greeting_that_must_be_heard_is_not_cut_and_is_remembered"),
        (_SESSION, "test_a_hook_that_raises_ends_the_call_with_its_error"),
    ],
    "Ds44": [
        (_NOVA, "test_speech_becomes_partials_and_one_end_of_turn"),
        (_NOVA, "test_a_lost_connection_is_opened_again_and_hears_the_turn_to_its_end"),
        (_NOVA, "test_closing_says_close_stream_and_is_quick_though_nobody_answers"),
    ],
    "Ds45": [(_REALTIME, "test_speech_is_noticed_transcribed_and_ended")],
    "Ds46": [
        (_REALTIME, "test_the_session_is_set_up_before_any_audio"),
        (_REALTIME, "test_audio_can_be_upsampled"),
        (_REALTIME, "test_settings_that_do_not_fit_are_refused_at_once"),
    ],
    "Ds47": [
        (_EVENTS, "test_an_event_that_does_not_fit_is_left_out"),
        (_EVENTS, "test_hostile_bytes_raise_nothing_else"),
    ],
    "Ds48": [
        (_ELEVENLABS, "test_settings_go_with_the_first_message_of_each_context_only"),
        (_ELEVENLABS, "test_options_are_further_parameters_of_the_socket"),
        (_ELEVENLABS, "test_an_aborted_utterance_is_closed_and_its_late_audio_dropped"),
    ],
    "Ds49": [
        (_CARTESIA, "test_a_request_says_all_that_was_set_and_nothing_else"),
        (_CARTESIA, "test_options_are_further_fields_of_every_request"),
    ],
    "Ds50": [
        (_CARTESIA, "test_lasting_silence_fails_in_bounded_time"),
        (_VOICES, "test_a_voice_that_keeps_silent_when_it_owes_speech_is_replaced"),
        (_VOICES, "test_an_utterance_that_lacked_only_its_end_ends"),
    ],
    "Ds51": [
        (_NOVA, "test_the_query_is_what_the_settings_say"),
        (_CARTESIA, "test_a_request_says_all_that_was_set_and_nothing_else"),
        (_ELEVENLABS, "test_the_socket_is_asked_for_what_a_phone_needs"),
        (_REALTIME, "test_the_session_is_set_up_before_any_audio"),
    ],
    "Ds52": [(_HISTORY, "test_lines_come_in_order_and_are_replaced_by_what_was_heard")],
    "Dc13": [
        (_CHAT, "test_closing_the_generator_closes_the_request"),
        (_CONVERSATION, "test_a_committed_barge_in_closes_the_request_and_keeps_what_was_heard"),
    ],
    "Dc14": [(_SESSION, "test_utterances_come_to_the_agent_one_after_the_other_in_order")],
    "Dc15": [
        (_NOVA, "test_finals_before_the_last_are_part_of_the_turn"),
        (_NOVA, "test_two_utterances_are_two_turns_and_utterance_end_adds_none"),
        (_NOVA, "test_a_noisy_line_ends_the_turn_by_utterance_end"),
        (_NOVA_TURNS, "test_however_it_is_cut_into_finals_a_turn_is_all_words_once"),
        (_SESSION, "test_ears_that_are_lost_end_the_call_with_their_error"),
    ],
    "Dc16": [
        (_LINK, "test_a_lost_socket_is_opened_again_at_once"),
        (_LINK, "test_a_normal_close_is_a_loss_too"),
        (_CARTESIA, "test_an_idle_socket_that_is_closed_is_opened_again_at_once"),
        (_REALTIME, "test_any_close_is_followed_by_a_new_session"),
    ],
    "Dc17": [(_REALTIME, "test_the_session_is_set_up_before_any_audio")],
    "Dc18": [
        (_CARTESIA, "test_pieces_go_verbatim_into_one_context_and_an_empty_one_ends_it"),
        (_CARTESIA, "test_an_aborted_utterance_is_cancelled_and_its_late_audio_dropped"),
    ],
    "Dc19": [
        (_ELEVENLABS, "test_the_socket_is_asked_for_what_a_phone_needs"),
        (_ELEVENLABS, "test_settings_go_with_the_first_message_of_each_context_only"),
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


def test_an_agent_is_its_ears_its_mind_and_its_voice() -> None:
    agent = clerk(OpenAI(model="gpt-4.1-nano"), stt=Deepgram(), tts=ElevenLabs())
    parts: tuple[STT, LLM, TTS] = (Deepgram(), OpenAI(model="gpt-4.1-nano"), ElevenLabs())
    assert (agent.stt, agent.llm, agent.tts) == parts
    assert agent.llm != OpenAI()


@virtual_time
async def test_words_that_were_not_understood_ask_no_model() -> None:
    model = Model("Yes.")
    play = await (Live(clerk(model)) >> STREAM)
    await play.asks("")
    assert model.asked == []
    await play.finished()


@virtual_time
async def test_what_must_be_heard_survives_and_what_need_not_goes() -> None:
    heard: dict[str, str] = {}

    async def on_start(self: Agent) -> None:
        heard["must"] = await self.say("one two three", interruptible=False)
        heard["need not"] = await self.say("four five six")

    play = await (Live(clerk(None, tts=TimedVoice(), on_start=on_start)) >> STREAM >> After(0.1))
    await (play >> Begins() >> Hears(Partial("stop it")) >> After(0.1))
    await (play >> Begins() >> Hears(Partial("stop it now")) >> After(1))
    assert heard == {"must": "one two three", "need not": "four"}
    await play.finished()


@virtual_time
async def test_the_carrier_records_and_transcribes_as_soon_as_the_stream_is_open() -> None:
    async def on_start(self: Agent) -> None:
        await self.call.start_recording()
        await self.call.start_transcription()

    play = await (Live(clerk(Model("x"), greeting="Hello", on_start=on_start)) >> STREAM)
    asked = play.told(messages.StartRecording)
    await (play >> messages.Reply(asked[0].request))
    assert len(play.told(messages.StartTranscription)) == 1
    await (play >> After(1))
    assert play.said("agent") == ["Hello"]
    assert [it["content"] for it in play.agent.history.messages()] == ["Hello"]
    await play.finished()


@virtual_time
async def test_what_is_known_of_a_call_is_merged_and_later_keys_win() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        self.state |= {"to": message.data, "last": message.data}

    play = await (Live(clerk(None, inference=inference)) >> STREAM)
    play.agent.state |= {"from": "+1", "to": "+2"}
    await play.asks("+3", 1)
    assert play.agent.state == {"from": "+1", "to": "+3", "last": "+3"}
    await play.finished()


@pytest.mark.parametrize("instructions", ["Be brief.", ""])
def test_a_model_is_told_what_to_be_first_of_all_if_it_is_told_anything(instructions: str) -> None:
    @virtual_time
    async def case() -> None:
        model = Model("Yes.")
        play = await (Live(clerk(model, instructions=instructions)) >> STREAM)
        await play.asks("hello")
        assert model.told() == ["system Be brief."] * bool(instructions) + ["user hello"]
        await play.finished()

    case()


@virtual_time
async def test_a_greeting_that_must_be_heard_is_not_cut_and_is_remembered() -> None:
    parts: dict[str, Any] = {"greeting": "Good evening.", "greeting_interruptible": False}
    model = Model("Yes.")
    play = await (Live(clerk(model, tts=TimedVoice(), **parts)) >> STREAM >> After(0.05))
    await (play >> Begins() >> Hears(Partial("hello there")))
    await play.asks("hello there")
    assert model.told() == ["assistant Good evening.", "user hello there"]
    assert play.said("agent") == ["Good evening.", "Yes."]
    await play.finished()
