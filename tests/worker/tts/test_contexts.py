"""Utterances on contexts, without a socket: a wire of plain tuples, and time by hand."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.audio import bytes_of_ms
from tests.fakes import speech
from tests.worker.tts.voice_recorder import Recorder, timings_fit
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.tts import Timing
from worker.tts.contexts import Contexts
from worker.tts.utterance import Habits
from worker.tts.wire import Audio, Ended, Heard, Said, Trouble, Words

HABITS = Habits(answer_s=4.0, pause_s=0.6, keep_alive_s=10.0, most_contexts=2, room_s=2.0)


class PlainWire:
    """Says what it is told, and hears what was put into ``coming``."""

    def __init__(self) -> None:
        self.coming: list[Heard] = []

    def say(self, context: str, text: str, *, last: bool) -> Iterable[Said]:
        return ({"say": text, "to": context, "last": last},)

    def end(self, context: str) -> Iterable[Said]:
        return ({"end": context},)

    def cancel(self, context: str) -> Iterable[Said]:
        return ({"cancel": context},)

    def keep_alive(self) -> Iterable[Said]:
        return ({"keep": "alive"},)

    def read(self, raw: bytes) -> Iterable[Heard]:
        heard, self.coming = self.coming, []
        return heard


class Stage:
    """A voice with an open socket."""

    def __init__(self, habits: Habits = HABITS) -> None:
        self.recorder = Recorder()
        self.contexts = Contexts("plain", self.recorder, habits)
        self.now = 100.0
        self.open()

    def open(self) -> None:
        self.wire = PlainWire()
        self.contexts.opened(self.wire, self.now)

    def post(self, text: str, *, done: bool = True, uuid: UUID | None = None) -> UUID:
        uuid = uuid or uuid4()
        self.contexts.post(Message(uuid, text, done), self.now)
        return uuid

    def said(self) -> list[Said]:
        said = list(self.contexts.outbox)
        self.contexts.outbox.clear()
        return said

    def hear(self, *heard: Heard) -> None:
        self.wire.coming.extend(heard)
        self.contexts.received(b"", self.now)

    def speak(self, context: str, text: str, base_ms: float = 0.0) -> None:
        audio = speech.speech(text)
        words = [
            Timing(it.text, it.start_ms + base_ms, it.end_ms + base_ms)
            for it in speech.timings(text)
        ]
        self.hear(Words(context, words), Audio(context, audio))

    def wait(self) -> None:
        """Let time pass until something is due, and do it."""
        due_at = self.contexts.wake_at()
        assert due_at is not None
        self.now = max(self.now, due_at)
        self.contexts.tick(self.now)


def test_nothing_is_said_and_nothing_is_due_without_a_socket() -> None:
    contexts = Contexts("plain", Recorder(), HABITS)
    contexts.post(Message(uuid4(), "Hello."), 1.0)
    assert not contexts.outbox
    assert contexts.wake_at() is None


def test_a_pause_ends_the_context_and_the_next_piece_waits_for_its_end() -> None:
    stage = Stage()
    uuid = stage.post("One moment. ", done=False)
    first = f"{uuid.hex}-1"
    assert stage.said() == [{"say": "One moment. ", "to": first, "last": False}]
    stage.speak(first, "One moment. ")
    stage.wait()
    assert stage.now == pytest.approx(100.6)
    assert stage.said() == [{"end": first}]
    stage.post("Here it is.", uuid=uuid)
    assert stage.said() == []
    stage.hear(Ended(first))
    second = f"{uuid.hex}-2"
    assert stage.said() == [{"say": "Here it is.", "to": second, "last": True}]
    stage.speak(second, "Here it is.")
    stage.hear(Ended(second))
    assert stage.recorder.finished == [uuid]
    assert stage.recorder.timed_words(uuid) == ["One", "moment.", "Here", "it", "is."]
    timings_fit(stage.recorder, uuid)


def test_a_loss_in_a_pause_keeps_what_was_posted_meanwhile() -> None:
    stage = Stage()
    uuid = stage.post("One moment please. ", done=False)
    stage.speak(f"{uuid.hex}-1", "One moment")
    stage.wait()
    stage.post("Here it is.", uuid=uuid)
    stage.said()
    stage.contexts.lost()
    stage.open()
    assert [it["say"] for it in stage.said()] == ["please. Here it is."]


def test_a_pause_in_an_utterance_that_then_ends_without_a_word_ends_it() -> None:
    stage = Stage()
    uuid = stage.post("One moment.", done=False)
    stage.speak(f"{uuid.hex}-1", "One moment.")
    stage.wait()
    stage.post(" ", uuid=uuid)
    assert not stage.recorder.finished
    stage.hear(Ended(f"{uuid.hex}-1"))
    assert stage.recorder.finished == [uuid]


def test_a_context_that_owes_speech_is_not_ended_for_a_pause() -> None:
    stage = Stage()
    uuid = stage.post("One moment. ", done=False)
    with pytest.raises(ProviderLostError, match="silent for 4 s"):
        stage.wait()
    stage.contexts.lost()
    stage.open()
    assert [it["say"] for it in stage.said()] == ["One moment. "]
    with pytest.raises(ProviderLostError, match="given up") as caught:
        stage.wait()
    assert caught.value.retry_after_s is not None
    assert uuid not in stage.recorder.spoken


def test_punctuation_alone_is_kept_for_the_words_that_follow() -> None:
    stage = Stage()
    uuid = stage.post(" – ", done=False)
    assert stage.said() == []
    stage.post("Well. ", done=False, uuid=uuid)
    assert [it["say"] for it in stage.said()] == [" – Well. "]


def test_a_word_is_timed_when_its_audio_is_there() -> None:
    stage = Stage()
    uuid = stage.post("Good evening.")
    context = f"{uuid.hex}-1"
    audio = speech.speech("Good evening.")
    stage.hear(Words(context, [Timing("Good", 0, 240), Timing("evening.", 280, 760)]))
    assert stage.recorder.timed_words(uuid) == []
    stage.hear(Audio(context, audio[:2000]))
    assert stage.recorder.timed_words(uuid) == ["Good"]
    stage.hear(Audio(context, audio[2000:6000]))
    assert stage.recorder.timed_words(uuid) == ["Good"]
    stage.hear(Ended(context))
    assert stage.recorder.timings[uuid][-1] == Timing("evening.", 280, 750)


def test_a_word_that_lacks_a_millisecond_is_there_and_not_said_again() -> None:
    stage = Stage()
    uuid = stage.post("Good evening.")
    stage.said()
    context = f"{uuid.hex}-1"
    stage.hear(Words(context, [Timing("Good", 0, 240), Timing("evening.", 280, 760)]))
    stage.hear(Audio(context, b"\x55" * 1915))
    assert not stage.recorder.timings
    stage.contexts.lost()
    assert stage.recorder.timings[uuid] == [Timing("Good", 0, 239.375)]
    stage.open()
    assert [it["say"] for it in stage.said()] == ["evening."]


def test_a_text_that_loses_its_socket_each_time_is_given_up() -> None:
    stage = Stage()
    uuid = stage.post("Hello.")
    for _ in range(4):
        stage.contexts.lost()
        stage.open()
    stage.contexts.lost()
    with pytest.raises(ProviderLostError, match="lost the connection 5 times"):
        stage.open()
    assert uuid not in stage.recorder.spoken


def test_speech_that_was_never_timed_is_timed_as_a_whole() -> None:
    stage = Stage()
    uuid = stage.post("Good evening.")
    stage.hear(Audio(f"{uuid.hex}-1", b"\x55" * 800), Ended(f"{uuid.hex}-1"))
    assert stage.recorder.timings[uuid] == [Timing("Good evening.", 0, 100)]


def test_a_text_that_ends_unspoken_is_tried_again_and_then_given_up() -> None:
    stage = Stage()
    uuid = stage.post("Hello.")
    for attempt in range(1, 5):
        stage.hear(Ended(f"{uuid.hex}-{attempt}"))
        stage.wait()
    assert len(stage.said()) == 5
    with pytest.raises(ProviderLostError, match="not spoken"):
        stage.hear(Ended(f"{uuid.hex}-5"))
    assert stage.now < 104


def test_a_cancelled_context_takes_room_until_it_ends() -> None:
    stage = Stage()
    first, second = stage.post("One."), stage.post("Two.")
    stage.contexts.abort(first, stage.now)
    third = stage.post("Three.")
    assert "Three." not in str(stage.said())
    stage.hear(Audio(f"{first.hex}-1", b"late"))
    stage.hear(Ended(f"{first.hex}-1"))
    assert stage.said() == [{"say": "Three.", "to": f"{third.hex}-1", "last": True}]
    assert first not in stage.recorder.spoken
    assert second not in stage.recorder.finished


def test_room_that_does_not_come_costs_the_socket() -> None:
    stage = Stage()
    for uuid in (stage.post("One."), stage.post("Two.")):
        stage.contexts.abort(uuid, stage.now)
    uuid = stage.post("Three.")
    with pytest.raises(ProviderLostError, match="does not end contexts"):
        stage.wait()
    assert stage.now == pytest.approx(102.0)
    stage.contexts.lost()
    stage.open()
    assert stage.said() == [{"say": "Three.", "to": f"{uuid.hex}-1", "last": True}]


def test_room_that_living_contexts_take_is_waited_for() -> None:
    stage = Stage(Habits(answer_s=100, most_contexts=1))
    first = stage.post("One.")
    second = stage.post("Two.")
    for _ in range(3):
        stage.wait()
    stage.speak(f"{first.hex}-1", "One.")
    stage.hear(Ended(f"{first.hex}-1"))
    assert [it["say"] for it in stage.said()] == ["One.", "Two."]
    stage.contexts.abort(second, stage.now)


def test_it_is_kept_alive_when_nothing_is_said() -> None:
    stage = Stage()
    stage.wait()
    assert stage.now == pytest.approx(110.0)
    stage.wait()
    assert stage.said() == [{"keep": "alive"}] * 2


def test_a_refusal_of_nothing_that_is_open_is_passed_over() -> None:
    stage = Stage()
    stage.hear(Trouble(None, ProviderRefusedError("plain", "no such context", 400)))
    with pytest.raises(ProviderRefusedError):
        stage.hear(Trouble(None, ProviderRefusedError("plain", "no money", 402)))


def test_trouble_of_a_cancelled_context_is_passed_over() -> None:
    stage = Stage()
    uuid = stage.post("One.")
    stage.contexts.abort(uuid, stage.now)
    stage.hear(Trouble(f"{uuid.hex}-1", ProviderRefusedError("plain", "expired", 400)))


def test_the_listener_may_abort_and_post_from_within_anything() -> None:
    stage = Stage()
    first, second = stage.post("One. One."), stage.post("Two.")
    stage.said()
    again: list[UUID] = []

    def react(message: Message[bytes]) -> None:
        if message.uuid == first:
            stage.contexts.abort(first, stage.now)
            stage.contexts.abort(second, stage.now)
            again.append(stage.post("Three.", done=False))

    stage.recorder.on_audio = react
    stage.speak(f"{first.hex}-1", "One. One.")
    stage.hear(Ended(f"{first.hex}-1"), Ended(f"{second.hex}-1"))
    assert first not in stage.recorder.timings
    assert len(again) == 1
    assert stage.said()[-1]["say"] == "Three."


def test_the_listener_may_abort_another_while_a_socket_opens() -> None:
    stage = Stage()
    stage.contexts.lost()
    stage.post("")
    other = stage.post("Never mind.")
    stage.recorder.on_audio = lambda message: stage.contexts.abort(other, stage.now)
    stage.open()
    assert stage.said() == []


def test_the_listener_may_abort_when_a_loss_completes_a_word() -> None:
    stage = Stage()
    uuid = stage.post("Good evening.")
    stage.said()
    stage.hear(Words(f"{uuid.hex}-1", [Timing("Good", 0, 240), Timing("evening.", 280, 760)]))
    stage.hear(Audio(f"{uuid.hex}-1", b"\x55" * 1915))
    stage.recorder.on_timed = lambda uuid: stage.contexts.abort(uuid, stage.now)
    stage.contexts.lost()
    stage.open()
    assert stage.said() == []


def test_utterances_that_are_never_finished_after_an_abort_do_not_pile_up() -> None:
    stage = Stage(Habits(answer_s=1))
    for _ in range(1000):
        stage.contexts.abort(stage.post("Hm. ", done=False), stage.now)
    assert len(stage.contexts._aborted) <= 64


TEXT = "No no, the table for four is for four people. And four more."


@given(
    st.lists(st.integers(0, bytes_of_ms(4000)), max_size=4),
    st.integers(20, 400),
    st.booleans(),
)
def test_wherever_it_is_cut_each_word_is_heard_once_and_timed_where_it_is(
    cuts: list[int], chunk_ms: int, words_first: bool
) -> None:
    stage = Stage()
    uuid = stage.post(TEXT)
    for cut in [*cuts, None]:
        said = stage.said()
        if not said:
            break
        assert len(said) == 1
        context, text = str(said[0]["to"]), str(said[0]["say"])
        audio, size, at = speech.speech(text), bytes_of_ms(chunk_ms), 0
        words = [Timing(it.text, it.start_ms, it.end_ms) for it in speech.timings(text)]
        if words_first:
            stage.hear(Words(context, words))
        while at < len(audio) and (cut is None or at + size <= cut):
            stage.hear(Audio(context, audio[at : at + size]))
            while not words_first and words and words[0].start_ms * 8 <= at + size:
                stage.hear(Words(context, [words.pop(0)]))
            at += size
        if at >= len(audio):
            stage.hear(Ended(context))
            break
        # What lacks a millisecond counts as said; there is a test of that.
        assume(all(not 0 < it.end_ms * 8 - at <= 8 for it in speech.timings(text)))
        stage.contexts.lost()
        stage.now += 1
        stage.open()
    assert stage.recorder.finished == [uuid]
    assert stage.recorder.words(uuid) == TEXT.split()
    assert stage.recorder.timed_words(uuid) == TEXT.split()
    timings_fit(stage.recorder, uuid)
