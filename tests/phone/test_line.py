from random import Random

from hypothesis import given
from hypothesis import strategies as st

from phone.line import Line


@given(st.floats(0, 1), st.floats(0, 500), st.integers(), st.lists(st.booleans(), max_size=100))
def test_frames_keep_order_and_timestamps_and_none_is_late_beyond_the_jitter(
    loss: float, jitter: float, seed: int, spoken: list[bool]
) -> None:
    line = Line(loss, jitter, Random(seed))
    arrived = []
    for n, there in enumerate(spoken):
        now = n * 20
        for frame, stamp in line.carry(bytes([n]) if there else None, now):
            assert frame == bytes([stamp // 20])
            assert now - stamp <= jitter + 20
            arrived.append(stamp)
    arrived += [stamp for _, stamp in line.flush()]
    assert arrived == sorted(set(arrived))
    if loss == 0:
        assert len(arrived) == sum(spoken)


def test_the_loss_is_about_the_fraction_asked_for() -> None:
    line = Line(0.25, 0, Random(1))
    arrived = sum(len(line.carry(b"x", n * 20)) for n in range(4000))
    assert 2850 <= arrived <= 3150
