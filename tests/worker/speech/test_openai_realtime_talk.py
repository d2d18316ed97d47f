"""The core of an OpenAI Realtime session, without a socket."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import silence
from tests.worker.speech.openai_realtime_call import BRIEF, opening
from worker.errors import ProviderError, ProviderLostError
from worker.llm import Call, Returned, Said
from worker.speech import (
    AgentDone,
    AgentWords,
    CallerSaid,
    CallerStopped,
    Event,
    Opening,
)
from worker.speech import openai_realtime_events as wire
from worker.speech.openai_realtime import OpenAIRealtime
from worker.speech.openai_realtime_memory import (
    MOST_LINES,
    MOST_SOUND_BYTES,
    Heard,
    Line,
    Memory,
    Step,
)
from worker.speech.openai_realtime_orders import MOST_WAITING, Orders
from worker.speech.openai_realtime_playing import MARGIN_S, Playing
from worker.speech.openai_realtime_talk import Talk
from worker.speech.openai_realtime_tape import BATCH_BYTES, MOST_BYTES, Tape


class Listener:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.pieces: list[tuple[str, bytes]] = []

    def audio(self, utterance: str, audio: bytes) -> None:
        self.pieces.append((utterance, audio))

    def happened(self, event: Event) -> None:
        self.events.append(event)

    def known_as(self, conversation_id: str) -> None:
        raise AssertionError

    def failed(self, error: Exception) -> None:
        raise AssertionError


class Stage:
    """A talk on a clock of its own."""

    def __init__(self, begins: Opening | None = None, **settings: Any) -> None:
        self.now = 100.0
        self.listener = Listener()
        model = OpenAIRealtime(**settings)
        self.talk = Talk(model, begins or opening(), self.listener, lambda: self.now)
        self.talk.setup()
        self.talk.opened()

    def sent(self) -> list[dict[str, Any]]:
        """Take what is to be sent."""
        found = [json.loads(text) for text in self.talk.outbox]
        self.talk.outbox.clear()
        return found

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent()]

    def read(self, kind: str, **fields: Any) -> None:
        event = wire.read(json.dumps({"type": kind, **fields}))
        assert event is not None
        self.talk.read(event)

    def began(self, number: int = 1, order: str | None = None) -> None:
        metadata = None if order is None else {"order": order}
        self.read(wire.RESPONSE, response={"id": f"r{number}", "metadata": metadata})

    def audio(self, number: int = 1, ms: int = 100) -> None:
        delta = "/" * (ms * 32 // 3 // 4 * 4)
        self.read(wire.AUDIO, response_id=f"r{number}", item_id=f"i{number}", delta=delta)

    def done(self, number: int = 1, status: str = "completed", **fields: Any) -> None:
        self.read(wire.DONE, response={"id": f"r{number}", "status": status, **fields})


def test_an_order_is_held_while_the_caller_speaks_and_until_they_were_answered() -> None:
    stage = Stage()
    stage.read(wire.STARTED, item_id="u1", audio_start_ms=0)
    stage.talk.say("One moment.", interruptible=True)
    stage.talk.tell("pressed 1")
    assert stage.kinds() == ["conversation.item.create"]
    stage.read(wire.STOPPED, item_id="u1", audio_end_ms=10)
    stage.read(wire.COMMITTED, item_id="u1")
    assert stage.kinds() == []
    stage.began(1)
    stage.audio(1)
    stage.done(1)
    (asked,) = stage.sent()  # what was told was answered with the caller's turn
    assert "One moment." in asked["response"]["instructions"]
    stage.began(2, asked["event_id"])
    stage.done(2)
    assert stage.sent() == []


def test_an_order_that_the_caller_was_quicker_than_is_cancelled_and_given_again() -> None:
    stage = Stage()
    stage.talk.say("One moment.", interruptible=True)
    (asked,) = stage.sent()
    stage.read(wire.STARTED, item_id="u1", audio_start_ms=0)
    stage.began(1, asked["event_id"])
    assert stage.kinds() == ["response.cancel"]
    stage.audio(1)
    stage.done(1, "cancelled")
    stage.read(wire.STOPPED, item_id="u1", audio_end_ms=10)
    stage.read(wire.COMMITTED, item_id="u1")
    stage.began(2)
    stage.done(2)
    assert stage.kinds() == ["response.create"]
    assert stage.listener.pieces == []


@pytest.mark.parametrize(("has_sounded", "asked"), [(False, 1), (True, 0)])
def test_a_text_that_was_cut_before_it_sounded_is_said_later(has_sounded: bool, asked: int) -> None:
    stage = Stage()
    stage.talk.say("One moment.", interruptible=True)
    stage.began(1, stage.sent()[0]["event_id"])
    if has_sounded:
        stage.audio(1)
    stage.read(wire.STARTED, item_id="u1", audio_start_ms=0)
    stage.done(1, "cancelled")
    stage.read(wire.STOPPED, item_id="u1", audio_end_ms=10)
    stage.began(2)
    stage.done(2)
    assert stage.kinds().count("response.create") == asked


def test_a_caller_who_is_quicker_than_the_greeting_is_answered_instead() -> None:
    stage = Stage(opening("Good evening."))
    stage.began(1, stage.sent()[0]["event_id"])
    stage.read(wire.STARTED, item_id="u1", audio_start_ms=0)
    stage.done(1, "cancelled")
    stage.read(wire.STOPPED, item_id="u1", audio_end_ms=10)
    stage.began(2)
    stage.done(2)
    assert stage.sent() == []


def test_tools_of_an_answer_that_was_done_but_cut_are_told_to_be_not_run() -> None:
    stage = Stage()
    stage.began(1)
    stage.audio(1)
    ((utterance, _),) = stage.listener.pieces
    stage.talk.cut(utterance, 50)
    assert stage.kinds() == ["response.cancel", "conversation.item.truncate"]
    call = {"type": "function_call", "call_id": "c", "name": "book", "arguments": "{}"}
    stage.done(1, output=[call, {"type": "message"}])
    (answer,) = stage.sent()
    assert answer["item"]["output"].startswith("Not run")
    assert not [event for event in stage.listener.events if type(event).__name__ == "ToolsWanted"]


def test_what_is_heard_of_a_turn_twice_is_told_once() -> None:
    stage = Stage()
    for _ in range(2):
        stage.read(wire.SAID, item_id="u1", transcript=" two of us ")
    assert stage.listener.events == [CallerSaid("caller/1/u1", "two of us")]


def test_an_utterance_is_done_when_its_words_and_its_audio_are() -> None:
    stage = Stage()
    stage.began(1)
    stage.audio(1)
    place = {"response_id": "r1", "item_id": "i1"}
    stage.read(wire.AUDIO_DONE, **place)
    assert stage.listener.events == []
    stage.read(wire.WORDS_DONE, **place, transcript="Hi.")
    stage.audio(1)
    stage.done(1)
    key = "agent/1/i1"
    assert stage.listener.events == [AgentWords(key, "Hi.", final=True), AgentDone(key)]
    assert len(stage.listener.pieces) == 1


def test_a_loss_ends_what_was_under_way() -> None:
    stage = Stage()
    stage.began(1)
    stage.audio(1)
    stage.read(wire.WORDS, response_id="r1", item_id="i1", delta="Good")
    stage.read(wire.STARTED, item_id="u1", audio_start_ms=0)
    stage.talk.lost()
    stage.talk.lost()
    ends = stage.listener.events[-3:]
    assert ends[0] == CallerStopped()
    assert ends[1:] == [AgentWords("agent/1/i1", "Good", final=True), AgentDone("agent/1/i1")]


def test_a_server_that_owes_an_answer_and_is_silent_is_lost() -> None:
    stage = Stage(answer_s=5.0)
    stage.talk.tell("hello")
    stage.now += 4.9
    stage.talk.tick()
    stage.began(1)
    stage.now += 4.9
    stage.talk.tick()
    stage.now += 0.2
    with pytest.raises(ProviderLostError, match="did not answer within 5 s"):
        stage.talk.tick()


# Hostile servers -----------------------------------------------------------------------------

_IDS = st.sampled_from(["", "a", "b", "order_1", "order_2"])
_NUMBERS = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats())
_RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        "id": _IDS,
        "status": st.sampled_from(["completed", "cancelled", "failed", "incomplete", "odd"]),
        "metadata": st.one_of(st.none(), st.dictionaries(_IDS, _IDS, max_size=2)),
        "output": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["function_call", "message"])},
                optional={"call_id": _IDS, "name": _IDS, "arguments": st.text(max_size=5)},
            ),
            max_size=3,
        ),
    },
)
_KINDS = [
    wire.AUDIO, wire.AUDIO_DONE, wire.WORDS, wire.WORDS_DONE, wire.STARTED, wire.STOPPED,
    wire.COMMITTED, wire.SAID, wire.NOT_UNDERSTOOD, wire.RESPONSE, wire.DONE, wire.ERROR, "odd",
]  # fmt: skip
_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(_KINDS)},
    optional={
        "item_id": _IDS,
        "response_id": _IDS,
        "delta": st.sampled_from(["", "////", "§", "////////", "/"]),
        "transcript": st.text(max_size=5),
        "audio_start_ms": _NUMBERS,
        "audio_end_ms": _NUMBERS,
        "response": _RESPONSES,
        "error": st.fixed_dictionaries(
            {},
            optional={"code": st.sampled_from([wire.BUSY, "odd"]), "event_id": _IDS},
        ),
    },
)  # fmt: skip
_STEPS = st.lists(
    st.one_of(
        _EVENTS,
        st.sampled_from(
            ["say", "tell", "cut", "answer", "lost", "opened", "tick", "post", "brief"]
        ),
    ),
    max_size=40,
)


def _do(stage: Stage, step: str) -> None:
    talk = stage.talk
    match step:
        case "say":
            talk.say("One moment.", interruptible=len(talk.outbox) % 2 == 0)
        case "tell":
            talk.tell("hello")
        case "cut" if stage.listener.pieces:
            talk.cut(stage.listener.pieces[-1][0], 1e12)
        case "answer":
            talk.answered("a", "done", None)
        case "lost":
            talk.lost()
        case "opened":
            talk.opened()
        case "post":
            talk.line_is_open()
            talk.tape.add(silence(60))
            talk.tape.next()
        case "brief":
            talk.brief(BRIEF)
        case _:
            stage.now += 1.0
            talk.tick()


@given(_STEPS)
def test_whatever_a_server_says_nothing_is_heard_of_what_was_cut(
    steps: list[dict[str, Any] | str],
) -> None:
    stage, cut = Stage(opening("Hi.")), dict[str, int]()
    for step in steps:
        with contextlib.suppress(ProviderError):
            if isinstance(step, str):
                _do(stage, step)
            elif (event := wire.read(json.dumps(step).replace("Infinity", "1e400"))) is not None:
                stage.talk.read(event)
        if step == "cut" and stage.listener.pieces:
            utterance = stage.listener.pieces[-1][0]
            cut.setdefault(utterance, len(stage.listener.pieces))
        for utterance, pieces in cut.items():
            assert all(piece[0] != utterance for piece in stage.listener.pieces[pieces:])
        truncated = [json.loads(text) for text in stage.talk.outbox]
        ends = [it["audio_end_ms"] for it in truncated if it["type"].endswith("truncate")]
        assert all(0 <= end <= len(stage.listener.pieces) for end in ends)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_event_or_a_lost_provider(received: bytes) -> None:
    with contextlib.suppress(ProviderLostError):
        wire.read(received)


@pytest.mark.parametrize("delta", ["§", "a", "====", "/" * 3])
def test_audio_that_is_no_base64_is_none(delta: str) -> None:
    assert wire.audio_of(delta) == b""


# The tape ------------------------------------------------------------------------------------


def sound(count: int, start: int = 0) -> bytes:
    return bytes((start + at) % 251 for at in range(count))


def drain(tape: Tape) -> bytes:
    return b"".join(iter(tape.next, b""))


def test_audio_goes_out_in_batches() -> None:
    tape = Tape()
    tape.add(sound(BATCH_BYTES - 1))
    assert tape.next() == b""
    tape.add(sound(1))
    assert len(tape.next()) == BATCH_BYTES


def test_a_new_connection_hears_speech_in_progress_from_its_beginning() -> None:
    tape = Tape()
    tape.add(sound(16_000))
    drain(tape)
    tape.spoke(500)
    tape.rewind()
    assert tape.sent == 4000
    drain(tape)
    tape.spoke(100)  # of the new connection's clock
    assert len(tape.committed(200)) == 800


def test_a_new_connection_hears_nothing_of_a_turn_that_is_over() -> None:
    tape = Tape()
    tape.add(sound(16_000))
    drain(tape)
    tape.spoke(500)
    assert tape.committed(1900) == sound(16_000)[4000:15_200]
    tape.rewind()
    assert tape.sent == 15_200


@given(st.lists(st.one_of(st.integers(0, 4000), st.sampled_from("srwc")), max_size=80), _NUMBERS)
def test_the_tape_keeps_its_order_and_its_size(steps: list[int | str], ms: float | None) -> None:
    tape = Tape()
    for step in steps:
        match step:
            case int():
                tape.add(sound(step * 20))
            case "s":
                tape.spoke(None if ms != ms else ms)
            case "r":
                tape.rewind()
            case "w":
                drain(tape)
            case "c":
                assert len(tape.committed(ms if ms == ms else None)) <= MOST_BYTES
        assert tape.start <= tape.sent <= tape.end
        assert tape.end - tape.start <= MOST_BYTES


# Memory, orders, playing ---------------------------------------------------------------------


def test_a_conversation_is_handed_over_as_it_was_heard() -> None:
    memory = Memory((Said("assistant", "Hi."), Said("assistant", "", (Call("c", "f", "{}"),))))
    memory.heard("u1", b"\x00" * 80)
    memory.add(Line("i", 1, "r", "One two three four", 4000, heard=2000, has_audio=True), "a1")
    memory.add(Line("j", 1, "r", "never heard", 4000, heard=0, has_audio=True), "a2")
    memory.answer("c", "done")
    memory.heard("u2", b"\x00" * 80)
    memory.said("u2", "for two")
    memory.said("u3", "")
    handed = memory.hand_over()
    assert [item.get("role", item["type"]) for item in handed] == [
        "assistant", "function_call", "function_call_output", "user", "assistant", "user",
    ]  # fmt: skip
    assert handed[4]["content"] == [{"type": "output_text", "text": "One two"}]
    assert handed[3]["content"][0]["type"] == "input_audio"
    assert len({item["id"] for item in handed}) == len(handed)


def test_a_tool_that_nobody_waits_for_is_no_answer() -> None:
    memory = Memory((Returned("x", "y"),))
    assert memory.answer("x", "y") is None
    assert memory.step((Call("c", "f", ""), Call("c", "f", ""))) == (Call("c", "f", ""),)
    assert memory.step((Call("c", "f", ""),)) == ()
    step = memory.answer("c", "1")
    assert isinstance(step, Step)
    assert memory.answer("c", "2") is None


def test_memory_has_an_end() -> None:
    memory = Memory()
    for number in range(MOST_LINES + 50):
        memory.step((Call(f"c{number}", "f", ""),))
        memory.heard(f"u{number}", b"\x00" * 80_000)
    handed = memory.hand_over()
    assert len(handed) <= MOST_LINES
    sounds = [it for it in handed if it["type"] == "message"]
    assert len(sounds) == MOST_SOUND_BYTES // 80_000
    assert memory.answer("c0", "x") is None


@pytest.mark.parametrize(
    ("last", "is_unanswered"),
    [
        (Heard("hello"), True), (Step(()), True), (Said("user", "x"), True),
        (Said("assistant", "x"), False), (Said("system", "x"), False), (Line("", 1, ""), False),
    ],
)  # fmt: skip
def test_a_conversation_that_ends_with_the_callers_line_is_to_be_answered(
    last: Heard | Step | Said | Line, is_unanswered: bool
) -> None:
    memory = Memory()
    memory.add(last)
    assert memory.is_unanswered is is_unanswered


def test_answers_are_asked_for_once_and_texts_each() -> None:
    orders = Orders()
    for _ in range(3):
        orders.answer()
        orders.say("Hi.")
        orders.say("  ")
    assert [order.text for order in iter(lambda: _next(orders), None)] == ["", "Hi.", "Hi.", "Hi."]
    for _ in range(MOST_WAITING * 2):
        orders.say("Hi.")
    assert len(list(iter(lambda: _next(orders), None))) == MOST_WAITING


def _next(orders: Orders) -> Any:
    order = orders.next(0.0)
    orders.asked = None
    return order


def test_what_was_made_before_there_is_a_line_is_heard_from_then_on() -> None:
    playing = Playing()
    assert playing.is_over(0)
    playing.add(5, 2000)
    playing.protect()
    assert not playing.is_over(50)
    playing.line_is_open(60)
    playing.line_is_open(61)
    assert playing.is_protected(61.9)
    assert not playing.is_protected(62.1)
    assert not playing.is_over(62.1)
    assert playing.is_over(62 + MARGIN_S)
    playing.add(70, 1000)
    playing.cut(70.1)
    assert playing.is_over(70.1 + MARGIN_S)


def test_what_stood_still_with_the_line_is_heard_after_it() -> None:
    it = Playing()
    it.line_is_open(100.0)
    it.add(100.0, 3000)
    it.protect()
    for at in range(50):
        it.line_is_open(100.0 + at / 50)
    it.line_is_open(105.0)  # it was away for 4 s
    assert not it.is_over(107.5)
    assert it.is_protected(106.5)
    assert not it.is_protected(107.5)
    assert it.is_over(107.1 + MARGIN_S)
    for at in range(150):
        it.line_is_open(105.0 + at / 50)
    it.line_is_open(120.0)
    assert it.is_over(120.0), "all was heard before the line went away"
