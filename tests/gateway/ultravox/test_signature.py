"""Whether a webhook is Ultravox', and new."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ultravox.signature import SIGNATURE, TIMESTAMP, Verdict, judge
from tests.fakes.ultravox_hooks import signed

NOW = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
BODY = b'{"event":"call.ended"}'


def _headers(*secrets: str, body: bytes = BODY, at: datetime = NOW) -> dict[str, str]:
    made = signed(body, *secrets, stamp=at.isoformat())
    return {name.lower(): value for name, value in made.items()}


def test_a_webhook_signed_with_any_of_the_secrets_is_good() -> None:
    for secrets in (("new",), ("old",), ("old", "new"), ("other", "new")):
        assert judge(BODY, _headers(*secrets), ["new", "old"], NOW) is Verdict.GOOD


def test_what_is_signed_is_the_body_and_its_time() -> None:
    headers = _headers("key")
    assert judge(BODY + b" ", headers, ["key"], NOW) is Verdict.WRONG
    later = headers | {TIMESTAMP: (NOW + timedelta(seconds=1)).isoformat()}
    assert judge(BODY, later, ["key"], NOW) is Verdict.WRONG
    assert judge(BODY, headers, ["another"], NOW) is Verdict.WRONG
    assert judge(BODY, headers, [], NOW) is Verdict.WRONG


@pytest.mark.parametrize("seconds", [-61, 61, -86_400])
def test_a_webhook_that_is_not_of_now_is_stale(seconds: int) -> None:
    headers = _headers("key", at=NOW + timedelta(seconds=seconds))
    assert judge(BODY, headers, ["key"], NOW) is Verdict.STALE


def test_a_time_without_a_zone_is_utc_and_z_is_understood() -> None:
    for stamp in ("2026-11-27T18:00:00.123", "2026-11-27T18:00:00Z", "2026-11-27T19:00:00+01:00"):
        headers = {name.lower(): v for name, v in signed(BODY, "key", stamp=stamp).items()}
        assert judge(BODY, headers, ["key"], NOW) is Verdict.GOOD


def test_without_its_headers_it_is_no_webhook() -> None:
    for name in (TIMESTAMP, SIGNATURE):
        headers = _headers("key")
        del headers[name]
        assert judge(BODY, headers, ["key"], NOW) is Verdict.MISSING


@given(st.text(max_size=80), st.text(max_size=200), st.binary(max_size=50))
def test_nothing_that_is_made_up_is_good(stamp: str, signature: str, body: bytes) -> None:
    verdict = judge(body, {TIMESTAMP: stamp, SIGNATURE: signature}, ["key", "older"], NOW)
    assert verdict is not Verdict.GOOD
    assert verdict.status in (400, 403)


@given(st.text(max_size=200))
def test_no_signature_but_the_right_one_fits(signature: str) -> None:
    headers = _headers("key") | {SIGNATURE: signature}
    assert judge(BODY, headers, ["key"], NOW) is not Verdict.GOOD
