"""How many calls there may be before campaigns wait: some are left to callers."""

import pytest

from gateway.campaigns.made import places


@pytest.mark.parametrize(
    ("most", "reserve", "left"),
    [(200, 10, 180), (5, 10, 4), (1, 10, 1), (2, 99, 1), (10, 0, 10), (15, 10, 13)],
)
def test_callers_have_their_share_and_campaigns_one_call_at_least(
    most: int, reserve: int, left: int
) -> None:
    assert places(most, reserve) == left
