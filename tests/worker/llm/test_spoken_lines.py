from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.audio import bytes_of_ms
from tests.fakes.speech import speech
from tests.fakes.vllm_audio import understood
from worker.llm import Call, Item, Returned, Said, Sound
from worker.llm.openai_request import messages
from worker.llm.spoken_lines import content, with_sounds

LONG = 30_000


def heard(text: str, noted: str = "(spoken, 1.0 s)", written: str | None = None) -> Said:
    return Said("user", written or noted, sound=Sound(speech(text, 20), noted))


def wire(*items: Item, turns: int = 1, limit: int = 9) -> list[tuple[str, Any]]:
    lines = messages(with_sounds(items, turns, LONG), content)
    return [(line["role"], line["content"]) for line in understood(lines, limit)]


def test_the_last_turn_is_sent_as_sound_and_older_ones_as_they_were_written_down() -> None:
    assert wire(
        Said("system", "Be kind."),
        heard("good evening"),
        Said("assistant", "Who is it?"),
        heard("ada"),
        limit=1,
    ) == [
        ("system", "Be kind."),
        ("user", "(spoken, 1.0 s)"),
        ("assistant", "Who is it?"),
        ("user", "ada"),
    ]


def test_what_was_said_since_the_agents_last_words_is_one_turn() -> None:
    items = (Said("assistant", "Yes?"), heard("a table"), heard("for two"))
    assert wire(*items, limit=1) == [("assistant", "Yes?"), ("user", "a table for two")]


def test_as_many_turns_are_sent_as_sound_as_are_wanted() -> None:
    items = (heard("one"), Said("assistant", "1"), heard("two"), Said("assistant", "2"))
    three = (*items, heard("three"))
    assert [text for _, text in wire(*three, turns=2)] == [
        *("(spoken, 1.0 s)", "1", "two", "2", "three")
    ]
    assert [text for _, text in wire(*three, turns=4)] == ["one", "1", "two", "2", "three"]


def test_a_tools_answer_after_a_turn_leaves_it_the_last_one() -> None:
    call = Call("a", "book", "{}")
    lines = wire(heard("book it"), Said("assistant", "", (call,)), Returned("a", "Booked."))
    assert lines == [("user", "book it"), ("assistant", ""), ("tool", "Booked.")]


def test_a_turn_without_sound_goes_before_none_with_it() -> None:
    items = (heard("one"), Said("assistant", "1"), Said("user", "(pressed 12)"))
    assert [text for _, text in wire(*items)] == ["one", "1", "(pressed 12)"]


def test_what_somebody_has_written_besides_is_read_before_it_is_heard() -> None:
    noted = "(spoken, 2.0 s)"
    regular = heard("hello", noted, f"A regular caller. {noted}")
    assert wire(regular, Said("user", "(pressed 1)")) == [
        ("user", "A regular caller.\n(pressed 1) hello")
    ]


def test_words_of_a_recogniser_are_not_sent_beside_the_sound() -> None:
    assert wire(heard("two of us", "to office")) == [("user", "two of us")]


def test_no_more_is_sent_than_a_model_hears() -> None:
    items = tuple(heard(f"part {number} " * 40) for number in range(4))
    (line,) = with_sounds(items, 1, 5000)
    assert isinstance(line, Said)
    assert line.sound is not None
    assert len(line.sound.audio) == bytes_of_ms(5000)


_LINES = st.one_of(
    st.builds(lambda text: Said("assistant", text), st.text(max_size=3)),
    st.builds(lambda text: Said("user", text), st.text(max_size=3)),
    st.builds(
        lambda audio, text: Said("user", text, sound=Sound(audio, text)),
        st.binary(min_size=1, max_size=40),
        st.text(max_size=3),
    ),
)


@given(st.lists(_LINES, max_size=12), st.integers(1, 4))
def test_there_is_never_more_sound_than_turns_and_the_order_stays(
    lines: list[Said], turns: int
) -> None:
    sent = with_sounds(tuple(lines), turns, LONG)
    assert sum(line.sound is not None for line in sent if isinstance(line, Said)) <= turns
    agents = [line for line in lines if line.role == "assistant"]
    assert [line for line in sent if isinstance(line, Said) and line.role == "assistant"] == agents
