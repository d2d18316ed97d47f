"""Which Twilio host requests go to."""

import pytest

from gateway.carriers.twilio.region import Placement, RegionError, placement


@pytest.mark.parametrize(
    ("region", "edge", "expected"),
    [
        (None, None, Placement()),
        ("", " ", Placement()),
        ("us1", None, Placement()),
        ("ie1", None, Placement("ie1", "dublin")),
        ("AU1", None, Placement("au1", "sydney")),
        (None, "sydney", Placement("us1", "sydney")),
        ("ie1", "frankfurt", Placement("ie1", "frankfurt")),
        ("jp1", "tokyo", Placement("jp1", "tokyo")),
    ],
)
def test_a_region_always_goes_with_an_edge(
    region: str | None, edge: str | None, expected: Placement
) -> None:
    assert placement(region, edge) == expected


def test_a_region_of_unknown_edge_is_refused_with_the_fix() -> None:
    with pytest.raises(RegionError, match="set TWILIO_EDGE"):
        placement("jp1", None)
