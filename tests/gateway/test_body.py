"""Bodies of requests are bounded in size and in time."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.body import BodyError, whole_body
from tests.virtual_time import virtual_time


def _request(messages: Iterable[Message]) -> Request:
    """Return a request whose client sends these, and then is only slow."""
    coming = iter(messages)

    async def receive() -> Message:
        for message in coming:
            return message
        await asyncio.sleep(3600)
        raise AssertionError

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def _part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


@virtual_time
async def test_a_body_in_parts_is_whole_and_may_be_as_long_as_allowed() -> None:
    parts = [_part(b"a" * 6), _part(b""), _part(b"b" * 4, more=False)]
    assert await whole_body(_request(parts), 10, 5.0) == b"aaaaaabbbb"


@pytest.mark.parametrize(
    ("parts", "status", "sentence"),
    [
        ([_part(b"a" * 6), _part(b"b" * 5)], 413, "The body is over 10 bytes (MAX_BODY_BYTES)."),
        ([_part(b"a")], 408, "The body took too long."),
        ([_part(b"a"), {"type": "http.disconnect"}], 400, "The body is incomplete."),
    ],
)
def test_one_that_is_too_long_too_slow_or_broken_off_is_refused_and_says_so(
    parts: list[Message], status: int, sentence: str
) -> None:
    @virtual_time
    async def case() -> None:
        with pytest.raises(BodyError) as refused:
            await whole_body(_request(parts), 10, 5.0, "MAX_BODY_BYTES")
        assert (refused.value.status, str(refused.value)) == (status, sentence)

    case()
