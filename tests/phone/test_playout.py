from hypothesis import given
from hypothesis import strategies as st

from phone.playout import LIMIT_BYTES, Playout
from shared.audio import FRAME_BYTES, SILENCE, SILENT_FRAME


def test_an_empty_buffer_plays_the_silent_frame_itself() -> None:
    assert Playout().frame() is SILENT_FRAME


def test_audio_of_any_size_is_played_in_order_and_the_last_frame_padded() -> None:
    playout = Playout()
    playout.play(b"\x01" * 100)
    playout.play(b"\x02" * 100)
    assert playout.frame() == b"\x01" * 100 + b"\x02" * 60
    assert playout.frame() == b"\x02" * 40 + SILENCE * 120
    assert playout.frame() is SILENT_FRAME


def test_a_mark_with_nothing_before_it_is_due_at_once() -> None:
    playout = Playout()
    playout.mark("now")
    assert playout.due() == ("now",)
    assert playout.due() == ()


def test_a_mark_is_due_when_the_frame_before_it_has_been_played_not_when_it_begins() -> None:
    playout = Playout()
    playout.play(b"\x01" * FRAME_BYTES)
    playout.mark("end")
    playout.frame()
    assert playout.due() == ()
    playout.frame()
    assert playout.due() == ("end",)


def test_marks_keep_their_order_and_wait_for_their_own_audio() -> None:
    playout = Playout()
    playout.mark("a")
    playout.play(b"\x01" * FRAME_BYTES)
    playout.mark("b")
    playout.mark("c")
    playout.play(b"\x01")
    playout.mark("d")
    seen = [playout.due()]
    for _ in range(3):
        playout.frame()
        seen.append(playout.due())
    assert seen == [("a",), (), ("b", "c"), ("d",)]


def test_clear_returns_all_marks_and_what_was_never_played() -> None:
    playout = Playout()
    playout.play(b"\x01" * FRAME_BYTES * 3)
    playout.mark("x")
    playout.mark("y")
    playout.frame()
    cleared = playout.clear()
    assert (cleared.dropped_bytes, cleared.marks) == (FRAME_BYTES * 2, ("x", "y"))
    assert playout.frame() is SILENT_FRAME
    playout.mark("after")
    assert playout.due() == ("after",)


def test_audio_after_clear_is_kept() -> None:
    playout = Playout()
    playout.play(b"\x01" * 500)
    playout.clear()
    playout.play(b"\x02" * FRAME_BYTES)
    assert playout.frame() == b"\x02" * FRAME_BYTES


def test_ten_minutes_are_kept_and_the_rest_is_discarded() -> None:
    playout = Playout()
    assert playout.play(bytes(LIMIT_BYTES)) == 0
    assert playout.play(b"\x01" * 10) == 10
    playout.frame()
    assert playout.play(b"\x01" * 200) == 200 - FRAME_BYTES
    assert playout.buffered_bytes == LIMIT_BYTES


actions = st.lists(
    st.one_of(
        st.binary(max_size=500), st.just("mark"), st.just("clear"), st.just("tick"), st.just("tick")
    ),
    max_size=60,
)


@given(actions)
def test_every_mark_comes_back_once_in_order_and_never_before_its_audio(
    steps: list[bytes | str],
) -> None:
    playout = Playout()
    sent: list[str] = []
    back: list[str] = []
    for step in steps:
        if isinstance(step, bytes):
            assert playout.play(step) == 0
        elif step == "mark":
            sent.append(str(len(sent)))
            playout.mark(sent[-1])
        elif step == "clear":
            back += playout.clear().marks
        else:
            assert len(playout.frame()) == FRAME_BYTES
        back += playout.due()
        assert back == sent[: len(back)]
    while playout.buffered_bytes:
        playout.frame()
    playout.frame()
    assert back + list(playout.due()) == sent
