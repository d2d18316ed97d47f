from gateway.allowance import BURST_LINES, LINES_A_SECOND, LineAllowance


def test_a_burst_is_granted_and_then_a_trickle() -> None:
    now = 0.0
    allowance = LineAllowance(lambda: now)
    assert all(allowance.take() for _ in range(BURST_LINES))
    assert not any(allowance.take() for _ in range(1000))
    assert allowance.left_out == 1000
    now += 1.0
    assert sum(allowance.take() for _ in range(1000)) == int(LINES_A_SECOND)


def test_a_process_that_was_quiet_has_no_more_than_its_burst() -> None:
    now = 0.0
    allowance = LineAllowance(lambda: now)
    now += 1e6
    assert sum(allowance.take() for _ in range(2 * BURST_LINES)) == BURST_LINES
