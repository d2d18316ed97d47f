"""What an Ultravox conversation comes to, without a socket."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.speech import (
    AgentCorrected,
    AgentCut,
    AgentDone,
    AgentWords,
    Call,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    CallerTurn,
    Event,
    ToolsWanted,
)
from worker.speech import ultravox_wire as wire
from worker.speech.ultravox_talk import PAUSE_SECONDS, WORDS_SECONDS, Talk


class Script:
    """A conversation that is played message by message, at a time of its own."""

    def __init__(self) -> None:
        self.talk, self.now = Talk(), 10.0

    def hears(self, kind: str, **fields: Any) -> list[Event]:
        read = wire.read(json.dumps({"type": kind, **fields}))
        assert read is not None
        self.talk.read(read, self.now)
        return self.talk.take()

    def to(self, *states: str) -> list[Event]:
        return [event for state in states for event in self.hears("state", state=state)]

    def agent(self, ordinal: int, text: str | None = None, **fields: Any) -> list[Event]:
        return self.hears(
            "transcript", role="agent", ordinal=ordinal, **{"text": text, "final": False, **fields}
        )

    def user(self, ordinal: int, text: str, **fields: Any) -> list[Event]:
        return self.hears(
            "transcript", role="user", ordinal=ordinal, **{"text": text, "final": True, **fields}
        )

    def audio(self, after_s: float = 0.0) -> str | None:
        self.now += after_s
        return self.talk.audio(self.now)

    def passes(self, seconds: float) -> list[Event]:
        self.now += seconds
        self.talk.tick(self.now)
        return self.talk.take()


@pytest.fixture
def it() -> Script:
    return Script()


def keys(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


# Utterances --------------------------------------------------------------------------------------


def test_an_utterance_begins_with_audio_and_ends_when_the_agent_speaks_no_more(it: Script) -> None:
    it.to("idle", "speaking")
    key = it.audio()
    assert key is not None
    assert it.audio(0.1) == key
    assert it.agent(0, delta="Hello") == [AgentWords(key, "Hello")]
    assert it.agent(0, delta=" there.") == [AgentWords(key, "Hello there.")]
    assert it.agent(0, "Hello there.", final=True) == [AgentWords(key, "Hello there.", final=True)]
    assert it.to("listening") == [AgentDone(key)]


def test_a_transcript_may_come_before_the_audio(it: Script) -> None:
    it.to("thinking")
    (words,) = it.agent(3, "Hello")
    assert isinstance(words, AgentWords)
    assert it.to("speaking") == []
    assert it.audio() == words.utterance


def test_the_end_of_an_utterance_waits_for_its_last_words(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    assert key is not None
    assert it.to("listening") == []
    assert it.passes(WORDS_SECONDS / 2) == []
    assert it.agent(0, "Hello.", final=True) == [
        AgentWords(key, "Hello.", final=True),
        AgentDone(key),
    ]
    assert it.passes(1) == []


def test_the_last_words_are_not_waited_for_longer_than_it_matters(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    assert key is not None
    it.to("listening")
    assert it.passes(WORDS_SECONDS) == [AgentDone(key)]
    assert it.agent(0, "Hello.", final=True) == [], "a word of what has ended"


def test_another_ordinal_is_another_utterance(it: Script) -> None:
    it.to("speaking")
    first = it.audio()
    it.agent(0, "One.", final=True)
    done, words = it.agent(1, "Two")
    assert done == AgentDone(str(first))
    assert isinstance(words, AgentWords)
    assert it.audio() == words.utterance != first


def test_audio_after_a_pause_is_another_utterance_once_the_text_was_final(it: Script) -> None:
    it.to("speaking")
    first = it.audio()
    assert it.audio(PAUSE_SECONDS * 2) == first
    it.agent(0, "One.", final=True)
    assert it.audio(PAUSE_SECONDS / 2) == first
    assert it.audio(PAUSE_SECONDS * 2) != first
    assert it.talk.take() == [AgentDone(str(first))]


def test_a_transcript_too_old_to_tell_whose_it_is_says_nothing(it: Script) -> None:
    it.to("speaking")
    it.audio()
    it.agent(4, "New.")
    assert it.agent(2, "Old.", final=True) == []


# Interruptions -----------------------------------------------------------------------------------


def test_an_interruption_cuts_and_is_corrected_by_what_was_said(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    assert key is not None
    it.agent(0, delta="One two three")
    assert it.hears("playback_clear_buffer") == [AgentCut()]
    assert it.to("listening") == []
    assert it.agent(0, "One two", final=True) == [AgentCorrected(key, "One two")]
    assert it.agent(0, "One two", final=True) == []
    assert it.passes(1) == []


def test_it_may_come_after_the_state(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    assert key is not None
    it.agent(0, delta="One two")
    assert it.to("listening") == []
    assert it.hears("playback_clear_buffer") == [AgentCut()]
    assert it.agent(0, "One", final=True) == [AgentCorrected(key, "One")]
    assert it.passes(1) == []


def test_late_audio_of_what_was_cut_is_nobodys(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    it.hears("playback_clear_buffer")
    assert it.audio() is None
    it.to("listening")
    assert it.audio() is None
    it.to("thinking", "speaking")
    assert it.audio() not in (None, key)


def test_audio_right_after_an_interruption_by_text_is_the_answer(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    it.to("thinking")
    it.hears("playback_clear_buffer")
    assert it.audio() not in (None, key)


def test_what_the_call_cuts_is_heard_no_more_and_the_service_told_once(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    assert key is not None
    assert it.talk.cut(key)
    assert not it.talk.cut(key)
    assert it.audio() is None
    assert it.hears("playback_clear_buffer") == [], "the answer to it is no news"
    assert it.agent(0, "One", final=True) == [AgentCorrected(key, "One")]
    it.to("listening", "thinking", "speaking")
    assert it.audio() not in (None, key)


def test_the_answer_to_what_the_call_cuts_is_no_news_after_the_state_either(it: Script) -> None:
    it.to("thinking", "speaking")
    key = it.audio()
    assert key is not None
    assert it.talk.cut(key)
    assert it.to("listening") == []
    assert it.hears("playback_clear_buffer") == [], "the call is saying something else by now"
    assert it.agent(0, "One", final=True) == [AgentCorrected(key, "One")]
    it.to("thinking", "speaking")
    assert it.audio() not in (None, key)
    assert it.hears("playback_clear_buffer") == [AgentCut()], "of what came after it"


def test_words_of_another_line_end_an_interruption_that_no_state_has_ended(it: Script) -> None:
    it.to("thinking", "speaking")
    it.audio()
    it.agent(1, "One two")
    it.hears("playback_clear_buffer")
    assert it.audio() is None
    (words,) = it.agent(2, "Yes")
    assert isinstance(words, AgentWords)
    assert it.audio() == words.utterance


def test_what_the_service_has_cut_it_is_not_told_of(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    assert key is not None
    it.hears("playback_clear_buffer")
    assert not it.talk.cut(key)
    assert not it.talk.cut("another")


# The caller --------------------------------------------------------------------------------------


def test_a_turn_is_over_when_the_agent_begins_to_think(it: Script) -> None:
    it.to("listening")
    assert it.hears("user_started_speaking") == [CallerStarted()]
    assert it.hears("user_stopped_speaking") == [CallerStopped()]
    (turn,) = it.to("thinking")
    assert isinstance(turn, CallerTurn)
    assert it.talk.is_owed
    it.to("speaking")
    assert it.user(0, " Two of us. ") == [CallerSaid(turn.key, "Two of us.")]


def test_words_that_come_first_open_the_turn(it: Script) -> None:
    it.to("listening")
    (said,) = it.user(0, "Hello")
    assert it.to("thinking") == [], "the turn was told of"
    assert isinstance(said, CallerSaid)
    it.to("speaking", "listening")
    (turn,) = it.to("thinking")
    assert turn != CallerTurn(said.key)


def test_words_that_come_in_pieces_are_told_when_they_are_whole(it: Script) -> None:
    it.to("listening", "thinking")
    assert it.hears("transcript", role="user", ordinal=0, delta="Two", final=False) == []
    (said,) = it.hears("transcript", role="user", ordinal=0, delta=" of us", final=True)
    assert isinstance(said, CallerSaid)
    assert said.text == "Two of us"


def test_a_text_of_our_own_is_no_turn(it: Script) -> None:
    it.to("listening")
    it.talk.prompted()
    assert it.user(0, "<instruction>Go on.</instruction>", medium="text") == []
    assert it.to("thinking") == []


def test_thinking_without_a_sound_of_the_caller_is_no_turn(it: Script) -> None:
    it.to("listening")
    it.hears("user_started_speaking")
    assert keys(it.to("thinking")) == [CallerTurn]
    it.to("speaking", "listening")
    assert it.to("thinking") == [], "a reminder"


# Tools, and losses -------------------------------------------------------------------------------


def test_a_tool_is_wanted_with_its_arguments_as_they_are(it: Script) -> None:
    it.to("listening", "thinking", "speaking")
    key = it.audio()
    it.agent(1, "One moment.", final=True)
    fields: dict[str, Any] = {"toolName": "book", "invocationId": "i1", "parameters": {"people": 2}}
    assert it.hears("client_tool_invocation", **fields) == [
        AgentDone(str(key)),
        ToolsWanted((Call("i1", "book", '{"people": 2}'),)),
    ]
    fields |= {"invocationId": "i2", "parameters": None}
    assert it.hears("client_tool_invocation", **fields) == [
        ToolsWanted((Call("i2", "book", "{}"),))
    ]
    assert it.hears("client_tool_invocation", toolName="book") == [], "it could not be answered"


def test_what_a_lost_connection_was_saying_is_over(it: Script) -> None:
    it.to("speaking")
    key = it.audio()
    it.agent(0, "Hello")
    it.talk.lost()
    assert it.talk.take() == [AgentDone(str(key))]
    it.to("speaking")
    assert it.audio() != key
    (words,) = it.agent(0, "Again")
    assert isinstance(words, AgentWords)
    assert words.utterance != key


def test_a_caller_who_was_speaking_is_not_heard_on_a_lost_connection(it: Script) -> None:
    it.hears("user_started_speaking")
    it.talk.lost()
    assert it.talk.take() == [CallerStopped()], "or the silence would never be minded again"
    it.hears("user_started_speaking")
    it.hears("user_stopped_speaking")
    it.talk.lost()
    assert it.talk.take() == []


def test_what_the_caller_waits_for_is_known(it: Script) -> None:
    owed = []
    for kind, fields in (
        ("state", {"state": "listening"}),
        ("user_started_speaking", {}),
        ("state", {"state": "thinking"}),
        ("state", {"state": "speaking"}),
        ("state", {"state": "listening"}),
    ):
        it.hears(kind, **fields)
        owed.append((it.talk.caller_speaks, it.talk.is_owed))
    assert owed == [(False, False), (True, False), (False, True), (False, True), (False, False)]
    it.to("speaking")
    it.talk.lost()
    assert not it.talk.is_owed


# Hostile input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"state"',
        "{",
        '{"type": 5}',
        '{"type": "debug", "message": 7}',
        '{"type": "state", "state": ["x"]}',
        '{"type": "transcript", "role": "agent", "ordinal": "1"}',
        '{"type": "state", "state": "\\ud800"}',
        "[" * 100_000,
        '{"type": "state", "x": ' + "[" * 100_000,
    ],
)
def test_what_is_no_message_says_nothing(text: str) -> None:
    assert wire.read(text) is None


_messages = st.fixed_dictionaries(
    {"type": st.sampled_from([wire.STATE, wire.TRANSCRIPT, wire.CLEAR, wire.TOOL, wire.PONG])},
    optional={
        "state": st.sampled_from(["idle", "listening", "thinking", "speaking", "dancing"]),
        "role": st.sampled_from(["agent", "user", "other"]),
        "medium": st.sampled_from(["voice", "text"]),
        "text": st.none() | st.text(max_size=5),
        "delta": st.none() | st.text(max_size=5),
        "final": st.booleans(),
        "ordinal": st.integers(-2, 6),
        "toolName": st.text(max_size=3),
        "invocationId": st.text(max_size=3),
        "parameters": st.none() | st.integers() | st.dictionaries(st.text(), st.none()),
    },
)


@given(st.lists(_messages | st.sampled_from(["audio", "pause", "cut", "lost"]), max_size=60))
def test_whatever_is_told_an_utterance_ends_once_and_says_nothing_afterwards(
    steps: list[dict[str, Any] | str],
) -> None:
    it, gone, heard = Script(), set[str](), ""
    for step in steps:
        if step == "audio":
            key = it.audio(0.1)
            assert key not in gone
            heard = key or heard
        elif step == "pause":
            it.passes(1)
        elif step == "cut":
            it.talk.cut(heard)
            gone.add(heard)
        elif step == "lost":
            it.talk.lost()
        elif isinstance(step, dict):
            read = wire.read(json.dumps(step))
            if read is not None:
                it.talk.read(read, it.now)
        for event in it.talk.take():
            if isinstance(event, AgentDone):
                assert event.utterance not in gone
                gone.add(event.utterance)
            elif isinstance(event, AgentWords):
                assert event.utterance not in gone
            elif isinstance(event, AgentCut) and heard:
                gone.add(heard)
