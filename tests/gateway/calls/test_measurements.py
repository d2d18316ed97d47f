from gateway.calls.measurements import MOST_NAMES, Histogram, Measurements
from gateway.calls.turns import Trouble, TurnTime


def _turn(reply: float | None, own: float | None) -> TurnTime:
    return TurnTime(0, {}, reply, own)


def test_a_measurement_is_counted_and_summed_by_its_name() -> None:
    measurements = Measurements()
    for value in (2.0, 3.0):
        measurements.take("tokens", value)
    measurements.take("turns", 1.0)
    assert measurements.totals == {"tokens": (2, 5.0), "turns": (1, 1.0)}


def test_names_without_end_do_not_fill_the_gateway() -> None:
    measurements = Measurements()
    for number in range(MOST_NAMES + 10):
        measurements.take(f"{number}" + "x" * 1000, 1.0)
    assert len(measurements.totals) == MOST_NAMES
    assert max(map(len, measurements.totals)) == 80


def test_a_histogram_counts_each_value_in_every_bucket_that_holds_it() -> None:
    histogram = Histogram((0.5, 1.0))
    for value in (0.5, 0.7, 1.0, 9.0):
        histogram.take(value)
    assert histogram.buckets == [("0.5", 1.0), ("1", 3.0), ("+Inf", 4.0)]
    assert histogram.total == 11.2


def test_a_turn_is_counted_where_it_has_a_time() -> None:
    measurements = Measurements()
    for turn in (_turn(800.0, 4.0), _turn(None, 6.0), _turn(-50.0, None)):
        measurements.turn(turn)
    assert measurements.reply.buckets[-1] == ("+Inf", 1.0)
    assert measurements.own.buckets[-1] == ("+Inf", 2.0)
    assert measurements.reply.total == 0.8


def test_troubles_are_counted_by_provider_and_by_who_took_over() -> None:
    measurements = Measurements()
    for fallback in (None, "elevenlabs", "elevenlabs"):
        measurements.trouble(Trouble("cartesia", "is away", fallback, 1.0))
    assert measurements.troubles == {("cartesia", ""): 1, ("cartesia", "elevenlabs"): 2}


def test_providers_without_end_do_not_fill_the_gateway() -> None:
    measurements = Measurements()
    for number in range(MOST_NAMES + 10):
        measurements.trouble(Trouble(f"provider {number}", "is away", None, 1.0))
    measurements.trouble(Trouble("provider 0", "is away", None, 1.0))
    assert len(measurements.troubles) == MOST_NAMES
    assert measurements.troubles["provider 0", ""] == 2
