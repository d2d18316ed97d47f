from gateway.dialer.pace import Pace


def test_turns_come_as_often_as_the_rate_allows_the_first_come_first() -> None:
    now = [0.0]
    pace = Pace(2.0, lambda: now[0])
    assert [pace.take() for _ in range(3)] == [0.0, 0.5, 1.0]
    now[0] = 10.0
    assert pace.wait_s == 0
    assert pace.take() == 10.0


def test_a_turn_that_would_be_too_late_is_nobodys() -> None:
    pace = Pace(1.0, lambda: 0.0)
    assert [pace.take(1.0) for _ in range(4)] == [0.0, 1.0, None, None]
    assert pace.wait_s == 2.0
