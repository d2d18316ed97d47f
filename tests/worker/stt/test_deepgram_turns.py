"""The pure parts of both recognisers: the tape, Nova's turns, Flux's turns."""

from hypothesis import given
from hypothesis import strategies as st

from shared.audio import ms_of_bytes
from worker.stt import EndOfTurn, Partial
from worker.stt.deepgram_flux_turns import FluxTurns, TurnInfo
from worker.stt.deepgram_flux_turns import Word as FluxWord
from worker.stt.deepgram_results import Alternative, Channel, Results, Turns, Word
from worker.stt.deepgram_tape import KEPT_MS, Tape

WORDS = st.lists(st.sampled_from(["two", "of", "us", "at", "eight"]), min_size=1, max_size=12)


def result(words: list[str], start: int = 0, *, final: bool, speech_final: bool = False) -> Results:
    timed = [
        Word(word, 0.3 * (start + at), 0.3 * (start + at + 1)) for at, word in enumerate(words)
    ]
    return Results(
        Channel([Alternative(" ".join(words), timed)]),
        start=0.3 * start,
        duration=0.3 * len(words),
        is_final=final,
        speech_final=speech_final,
    )


@given(WORDS, st.data())
def test_however_it_is_cut_into_finals_a_turn_is_all_words_once(
    words: list[str], data: st.DataObject
) -> None:
    turns, heard, at = Turns(), [], 0
    while at < len(words):
        size = data.draw(st.integers(1, len(words) - at))
        heard += turns.results(result(words[at : at + size], at, final=False), 0, ends=False)
        is_last = at + size == len(words)
        part = result(words[at : at + size], at, final=True, speech_final=is_last)
        heard += turns.results(part, 0, ends=False)
        at += size
    text = " ".join(words)
    assert [event.text for event in heard if isinstance(event, EndOfTurn)] == [text]
    assert all(text.startswith(event.text) for event in heard if isinstance(event, Partial))
    assert turns.utterance_end() == []
    assert not turns.is_open


@given(WORDS, st.integers(0, 12))
def test_words_of_a_turn_that_was_ended_do_not_come_again(words: list[str], known: int) -> None:
    turns = Turns()
    known = min(known, len(words))
    if known:
        turns.results(result(words[:known], final=False), 0, ends=False)
    first = turns.finish()
    assert isinstance(first[0], EndOfTurn)
    assert first[0].text == " ".join(words[:known])
    later = turns.results(result(words, final=True, speech_final=True), 0, ends=False)
    said = [event.text for event in later if isinstance(event, EndOfTurn)]
    assert said == ([" ".join(words[known:])] if known < len(words) else [])


def test_a_result_after_a_reconnect_is_timed_from_where_its_connection_began() -> None:
    turns = Turns()
    turns.results(result(["two"], final=True), 0, ends=False)
    turns.reopened()
    ended = turns.results(result(["of", "us"], final=True, speech_final=True), 2000, ends=False)
    assert ended == [EndOfTurn("two of us", 2600.0)]


@given(st.lists(st.integers(1, 3000), max_size=30), st.lists(st.sampled_from("ptral"), max_size=60))
def test_the_tape_sends_all_audio_in_order_and_knows_its_place(
    sizes: list[int], moves: list[str]
) -> None:
    tape, posted, taken, origin = Tape(100), bytearray(), bytearray(), 0
    pieces = iter(sizes)
    for move in moves:
        if move == "p":
            piece = bytes((len(posted) + at) % 251 for at in range(next(pieces, 0)))
            assert tape.post(piece) == (tape.waiting >= 800)
            posted += piece
        elif move == "t":
            batch = tape.take()
            assert len(batch) in (0, 800)
            taken += batch
        elif move == "l":
            taken += tape.take_rest()
        elif move == "a":
            tape.answered(len(taken) / 2 / 8000)
        elif move == "r":
            tape.reopened()
            origin, taken = int(tape.origin_ms * 8), bytearray()
        assert tape.waiting <= KEPT_MS * 8
        if len(posted) <= KEPT_MS * 8:
            assert bytes(taken) == bytes(posted[origin : origin + len(taken)])
            assert origin + len(taken) + tape.waiting == len(posted)


def test_audio_dropped_unsent_does_not_shift_later_times() -> None:
    tape = Tape(100)
    tape.post(b"x" * 800)
    tape.take()
    tape.post(b"y" * 60_000)  # far more than is kept
    first = 800 + 60_000 - KEPT_MS * 8
    assert tape.origin_ms == ms_of_bytes(first - 800)
    tape.inserted(800)
    assert tape.origin_ms == ms_of_bytes(first - 1600)


def test_a_quiet_reconnect_sends_little_again() -> None:
    tape = Tape(100)
    tape.post(b"x" * 16_000)
    while tape.take():
        pass
    tape.reopened(500)
    assert tape.waiting == 4000
    assert tape.origin_ms == 1500


@given(WORDS, st.data())
def test_flux_words_before_a_loss_are_put_before_those_after_it(
    words: list[str], data: st.DataObject
) -> None:
    turns, heard, start = FluxTurns(), [], 0
    for loss in data.draw(st.lists(st.integers(0, len(words)), max_size=3).map(sorted)):
        for stop in range(start + 1, loss + 1):
            heard += turns.info(info("Update", words[start:stop]), 0)
        turns.reopened()
        start = loss
    heard += turns.info(info("EndOfTurn", words[start:]), 0)
    text = " ".join(words)
    partials = [event.text for event in heard if isinstance(event, Partial)]
    assert all(text.startswith(partial) for partial in partials)
    assert isinstance(heard[-1], EndOfTurn)
    assert heard[-1].text == text
    assert not turns.is_open


def info(event: str, words: list[str]) -> TurnInfo:
    ends = [FluxWord(0.3 * (at + 1)) for at in range(len(words))]
    return TurnInfo(event, " ".join(words), 0.3 * len(words), ends)
