import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import bytes_of_ms
from worker.tts import Timing
from worker.uttered import UNKNOWN_MS, Speech

WORD_MS = 100
GAP_MS = 20


def timed(text: str, *, whole: bool = True) -> Speech:
    """Speech whose words last `WORD_MS` each, with `GAP_MS` after each."""
    speech = Speech()
    speech.post(text)
    speech.text_complete = True
    _say(speech, text.split())
    speech.whole = whole
    return speech


def _say(speech: Speech, words: list[str]) -> None:
    step, before = WORD_MS + GAP_MS, len(speech.audio) // 8
    speech.audio += b"\x55" * bytes_of_ms(step * len(words))
    starts = [before + step * number for number in range(len(words))]
    timings = [Timing(word, at, at + WORD_MS) for word, at in zip(words, starts, strict=True)]
    speech.time(timings)


def by_clause(*clauses: str) -> Speech:
    """Speech of which each clause lasts a second and is timed as a whole."""
    speech = Speech()
    for number, clause in enumerate(clauses):
        speech.post(clause)
        speech.audio += b"\x55" * 8000
        speech.time([Timing(clause.strip(), number * 1000, number * 1000 + 950)])
    speech.text_complete = speech.whole = True
    return speech


def untimed(text: str, size: int) -> Speech:
    speech = Speech()
    speech.post(text)
    speech.audio += b"\x55" * size
    speech.text_complete = speech.whole = True
    return speech


def at(ms: float) -> int:
    return bytes_of_ms(ms)


# What is remembered ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, ""),
        (99, ""),
        (100, "Good"),
        (219, "Good"),
        (220, "Good evening,"),
        (400, "Good evening, Sir!"),
    ],
)
def test_a_word_is_remembered_once_all_of_it_was_heard(ms: int, words: str) -> None:
    assert timed("Good evening, Sir!").heard_text(at(ms)) == words


def test_marks_belong_to_the_word_before_them() -> None:
    speech = Speech()
    speech.post("Well, (she said) “no”...")
    speech.audio += b"\x55" * 8000
    speech.time(
        [Timing(w, n * 100, n * 100 + 90) for n, w in enumerate(["Well", "she", "said", "no"])]
    )
    assert [speech.heard_text(at(ms)) for ms in (90, 190, 290, 390)] == [
        "Well,",
        "Well, (she",
        "Well, (she said)",
        "Well, (she said) “no”...",
    ]


def test_a_number_is_remembered_once_the_voice_has_spelt_it_out() -> None:
    speech = Speech()
    speech.post("Table 42 is yours")
    speech.audio += b"\x55" * 8000
    spoken = ["Table", "forty", "two", "is", "yours"]
    speech.time([Timing(w, n * 100, n * 100 + 90) for n, w in enumerate(spoken)])
    heard = [speech.heard_text(at(n * 100 + 95)) for n in range(5)]
    assert heard == ["Table", "Table", "Table 42", "Table 42 is", "Table 42 is yours"]


def test_a_number_at_the_end_is_remembered_with_the_last_frame() -> None:
    speech = Speech()
    speech.post("Table 42.")
    speech.audio += b"\x55" * 4000
    speech.time([Timing(w, n * 100, n * 100 + 90) for n, w in enumerate(["Table", "forty", "two"])])
    speech.whole = True
    assert speech.heard_text(at(290)) == "Table"
    assert speech.heard_text(4000) == "Table 42."


def test_times_that_go_back_take_nothing_away() -> None:
    speech = Speech()
    speech.post("one two three")
    speech.audio += b"\x55" * 8000
    speech.time([Timing("one", 0, 300), Timing("two", 100, 200), Timing("three", 400, 500)])
    assert [speech.heard_text(at(ms)) for ms in (200, 299, 300, 500)] == [
        "",
        "",
        "one two",
        "one two three",
    ]


def test_half_a_compound_is_no_word() -> None:
    speech = Speech()
    speech.post("a well-known inn")
    speech.audio += b"\x55" * 8000
    spoken = ["a", "well", "known", "inn"]
    speech.time([Timing(w, n * 100, n * 100 + 90) for n, w in enumerate(spoken)])
    assert [speech.heard_text(at(n * 100 + 95)) for n in range(3)] == ["a", "a", "a well-known"]


def test_words_of_a_script_without_spaces_are_remembered_one_by_one() -> None:
    speech = Speech()
    speech.post("你好世界")
    speech.audio += b"\x55" * 8000
    speech.time([Timing("你好", 0, 400), Timing("世界", 400, 800)])
    assert speech.heard_text(at(500)) == "你好"


def test_of_a_voice_that_times_clauses_whole_clauses_are_remembered() -> None:
    speech = by_clause("Bella Vista, good evening. ", "How can I help you?")
    heard = [speech.heard_text(at(ms)) for ms in (900, 950, 1900, 2000)]
    first = "Bella Vista, good evening."
    assert heard == ["", first, first, f"{first} How can I help you?"]


def test_of_a_voice_that_times_nothing_the_letters_decide() -> None:
    speech = untimed("one two three", 13 * 100)
    assert [speech.heard_text(n * 100) for n in (2, 3, 4, 7, 12, 13)] == [
        "",
        "one",
        "one",
        "one two",
        "one two",
        "one two three",
    ]


@given(st.text(max_size=80), st.integers(-10, 9000), st.integers(0, 9000))
def test_what_was_heard_of_such_a_voice_is_a_beginning_of_the_text(
    text: str, heard: int, size: int
) -> None:
    words = untimed(text, size).heard_text(heard)
    assert text.strip().startswith(words)
    assert heard < size or words == text.strip()


def test_while_more_is_to_come_nothing_is_taken_for_heard_whole() -> None:
    speech = Speech()
    speech.post("one two three four five six seven eight")
    speech.audio += b"\x55" * 4000
    assert speech.heard_text(4000) == "one two"


def test_what_was_never_made_was_never_said() -> None:
    speech = timed("one two three", whole=False)
    speech.post(" four five")
    speech.cut_short()
    assert (speech.text, speech.whole, speech.text_complete, speech.cut) == (
        "one two three",
        True,
        True,
        True,
    )


def test_what_was_made_whole_cannot_be_cut_short() -> None:
    speech = timed("one two three")
    speech.cut_short()
    assert (speech.text, speech.cut) == ("one two three", False)


# Where it goes on ------------------------------------------------------------------------------


def _sent(speech: Speech, stream_position: int = 0) -> Speech:
    speech.place(stream_position)
    speech.sent = len(speech.audio)
    return speech


@pytest.mark.parametrize(
    ("ms", "goes_on_ms"), [(0, 0), (50, 0), (99, 0), (110, 110), (120, 120), (239, 239), (219, 120)]
)
def test_it_goes_on_at_the_word_that_was_cut(ms: int, goes_on_ms: int) -> None:
    speech = _sent(timed("one two three"))
    speech.take_back(at(ms))
    assert speech.sent == at(goes_on_ms)
    assert speech.unsent() == bytes(speech.audio[at(goes_on_ms) :])


def test_taken_back_twice_it_goes_on_at_the_same_place() -> None:
    speech = _sent(timed("one two three"))
    speech.take_back(at(150))
    speech.take_back(at(150))
    assert speech.sent == at(120)


def test_what_waits_behind_another_is_taken_back_whole() -> None:
    speech = _sent(timed("one two three"), stream_position=8000)
    speech.take_back(5000)
    assert speech.sent == 0
    assert speech.hear(5000) == 0


def test_what_was_sent_again_is_heard_from_the_word_that_was_cut() -> None:
    speech = _sent(timed("one two three"))
    speech.hear(at(150))
    speech.take_back(at(150))
    speech.place(at(150))
    speech.sent = len(speech.audio)
    assert speech.hear(at(150) + at(99)) == at(219)
    assert speech.heard_text() == "one"
    assert speech.hear(at(150) + at(100)) == at(220)
    assert speech.heard_text() == "one two"


def test_on_another_stream_it_goes_on_and_nothing_heard_is_forgotten() -> None:
    speech = _sent(timed("one two three"), stream_position=4000)
    speech.hear(4000 + at(250))
    speech.take_back(4000 + at(250))
    assert speech.hear(0) == at(250)
    speech.place(0)
    speech.sent = len(speech.audio)
    assert speech.hear(at(10)) == at(250)
    assert speech.hear(at(100)) == at(340)


@pytest.mark.parametrize("make", [by_clause, untimed])
def test_where_no_word_is_timed_it_goes_on_at_about_a_word(make: object) -> None:
    text = "aaaa bbbb cccc dddd "
    speech = _sent(by_clause(text) if make is by_clause else untimed(text, 8000))
    speech.take_back(at(600))
    assert 0 < speech.sent < at(600)
    assert at(600) - speech.sent <= at(300)


def test_how_much_is_left_is_known_once_all_text_is() -> None:
    speech = _sent(timed("one two three", whole=False))
    speech.text_complete = False
    assert speech.left_ms == UNKNOWN_MS + 360
    speech.text_complete = True
    assert speech.left_ms == 65 * 13
    speech.whole = True
    speech.hear(at(100))
    assert speech.left_ms == 260


# Marks -----------------------------------------------------------------------------------------


def test_the_end_of_each_clause_is_told_once() -> None:
    speech = Speech()
    speech.post("One two. ")
    speech.post("Three.")
    _say(speech, ["One", "two."])
    told = []
    for sent in (at(100), at(200), at(220), at(240)):
        speech.sent = sent
        told.append(speech.clause_passed())
    assert told == [False, False, True, False]
    _say(speech, ["Three."])
    speech.sent = len(speech.audio)
    assert [speech.clause_passed(), speech.clause_passed()] == [True, False]


# Whatever is said ------------------------------------------------------------------------------

_WORD = st.text(st.sampled_from("abcdé1.,-’ß你"), min_size=1, max_size=7)
_WORDS = st.lists(_WORD, min_size=1, max_size=14)


@st.composite
def _speeches(draw: st.DrawFn) -> Speech:
    """Any text, with timings of words, of clauses or of nothing, said in any rhythm."""
    clauses = draw(st.lists(_WORDS, min_size=1, max_size=4))
    by = draw(st.sampled_from(["words", "clauses", "nothing"]))
    speech = Speech()
    for words in clauses:
        text = " ".join(words) + " "
        speech.post(text)
        now = len(speech.audio) / 8
        spoken = {"words": words, "clauses": [text.strip()], "nothing": []}[by]
        for said in spoken:
            length, gap = draw(st.integers(0, 500)), draw(st.integers(0, 100))
            speech.time([Timing(said, now, now + length)])
            now += length + gap
        if by == "nothing":
            now += draw(st.integers(1, 2000))
        speech.audio += b"\x55" * max(0, bytes_of_ms(now) - len(speech.audio))
    speech.text_complete = True
    speech.whole = draw(st.booleans())
    return speech


@given(_speeches(), st.lists(st.integers(0, 60_000), min_size=2, max_size=8))
def test_what_is_remembered_is_a_beginning_in_words_and_grows(
    speech: Speech, positions: list[int]
) -> None:
    words, before = speech.text.split(), 0
    for position in sorted(positions):
        heard = speech.heard_text(position)
        if "你" not in speech.text:
            assert heard.split() == words[: len(heard.split())]
        assert speech.text.startswith(heard)
        assert len(heard) >= before
        before = len(heard)


@given(_speeches(), st.lists(st.integers(0, 60_000), min_size=1, max_size=5))
def test_it_goes_on_at_or_before_the_playhead_and_loses_and_repeats_no_word(
    speech: Speech, pauses: list[int]
) -> None:
    pieces, stream = speech._pieces, 0
    by_word = pieces and all(" " not in speech.text[it.text_start : it.text_end] for it in pieces)
    for played in pauses:
        speech.place(stream)
        begin, speech.sent = speech.sent, len(speech.audio)
        speech.take_back(stream + played)
        playhead = min(begin + played, len(speech.audio))
        assert 0 <= speech.sent <= playhead
        if by_word:
            assert not [it for it in pieces if it.start < speech.sent < it.end]
            assert speech._said(speech.sent) == speech._said(playhead)
        stream += played


@given(_speeches(), st.lists(st.integers(-100, 90_000), max_size=20))
def test_what_was_heard_stays_heard(speech: Speech, positions: list[int]) -> None:
    _sent(speech, 1000)
    before = 0
    for position in positions:
        heard = speech.hear(position)
        assert before <= heard <= len(speech.audio)
        before = heard
