from gateway.calls.measurements import MOST_NAMES, Measurements


def test_measurements_are_counted_and_added_by_name() -> None:
    measured = Measurements()
    measured.take("tokens", 3.0)
    measured.take("tokens", 4.5)
    measured.take("turns", 1.0)
    assert measured.totals == {"tokens": (2, 7.5), "turns": (1, 1.0)}


def test_an_agent_that_makes_names_up_does_not_fill_the_memory() -> None:
    measured = Measurements()
    for number in range(MOST_NAMES + 50):
        measured.take(f"n{number}", 1.0)
    measured.take("n0", 1.0)
    assert len(measured.totals) == MOST_NAMES
    assert measured.totals["n0"] == (2, 2.0)
