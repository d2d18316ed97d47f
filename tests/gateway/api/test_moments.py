"""Points in time as people and programs write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.moments import moment
from gateway.api.problems import ProblemError

NOON = 1_795_780_800.0  # 2026-11-27T12:00Z


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1795780800", NOON),
        ("1795780800.5", NOON + 0.5),
        ("2026-11-27T12:00Z", NOON),
        ("2026-11-27T13:00+01:00", NOON),
        ("2026-11-27T13:00+0100", NOON),
        ("2026-11-27T13:00 01:00", NOON),  # a plus that nobody encoded
        ("2026-11-27 12:00", NOON),
        ("2026-11-27", NOON - 43_200),
        ("30s", NOON - 30),
        ("30m", NOON - 1800),
        ("24h", NOON - 86_400),
        ("7d", NOON - 604_800),
        ("2w", NOON - 1_209_600),
    ],
)
def test_a_moment_is_read_as_it_is_written(text: str, meant: float) -> None:
    assert moment(text, lambda: NOON) == meant


@pytest.mark.parametrize(
    "text", ["1e400", "2026-13-01", "2026-02-30", "9" * 40 + "d", "24 h", "5y"]
)
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ProblemError, match="is no time: write 2026"):
        moment(text, lambda: NOON)


_WRITTEN = st.text("0123456789TZWsmhdw:.+- e", min_size=1, max_size=40)


@given(_WRITTEN | st.text(max_size=40) | st.datetimes().map(str))
def test_whatever_is_written_is_a_finite_time_or_none(text: str) -> None:
    try:
        found = moment(text, lambda: NOON)
    except ProblemError:
        return
    assert math.isfinite(found)
