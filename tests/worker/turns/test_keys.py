from hypothesis import given
from hypothesis import strategies as st

from worker.turns.keys import Keys
from worker.turns.policy import Turns


def test_keys_belong_together_until_the_end_key() -> None:
    keys = Keys(Turns())
    assert [keys.press(key, now) for now, key in enumerate("123")] == [None, None, None]
    assert keys.press("#", 3.0) == "123"
    assert keys.deadline is None


def test_keys_belong_together_until_none_comes_in_time() -> None:
    keys = Keys(Turns(keys_timeout_s=3.0))
    keys.press("1", 0.0)
    keys.press("2", 2.0)
    assert keys.tick(4.9) is None
    assert keys.tick(5.0) == "12"
    assert keys.tick(9.0) is None


def test_keys_are_complete_when_there_are_as_many_as_there_may_be() -> None:
    keys = Keys(Turns(keys_most=4))
    assert [keys.press(key, 0.0) for key in "12345"] == [None, None, None, "1234", None]
    assert keys.pressed == "5"


def test_the_end_key_alone_completes_nothing_at_all() -> None:
    assert Keys(Turns()).press("#", 0.0) == ""


def test_without_an_end_key_every_key_is_one_of_them() -> None:
    keys = Keys(Turns(keys_end=""))
    assert keys.press("#", 0.0) is None
    assert keys.tick(3.0) == "#"


@given(
    st.lists(st.tuples(st.sampled_from("0123456789*#"), st.sampled_from([0.1, 4.0])), max_size=80)
)
def test_no_key_is_lost_or_doubled(pressed: list[tuple[str, float]]) -> None:
    keys, now, got = Keys(Turns(keys_most=5)), 0.0, list[str | None]()
    for key, wait in pressed:
        got.append(keys.press(key, now))
        now += wait
        got.append(keys.tick(now))
    got.append(keys.tick(now + 10))
    assert keys.deadline is None
    assert "".join(it or "" for it in got) == "".join(k for k, _ in pressed if k != "#")
    assert all(len(it) <= 5 for it in got if it is not None)
