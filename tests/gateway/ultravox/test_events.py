"""``POST /ultravox/events``: what is taken, and what is refused."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from gateway.throttle import Throttle
from gateway.ultravox import events
from gateway.ultravox.events import EVENTS_PATH, MAKE_PATH, UltravoxEvents
from gateway.ultravox.recent_ids import MOST, RecentIds
from tests.fakes.ultravox_hooks import signed

SECRETS = ("new-secret", "old-secret")
CALL = str(uuid.uuid4())
FREE = 10**9


class Door:
    """The routes, and who tells them of calls."""

    def __init__(self, secrets: tuple[str, ...] = SECRETS, free: int = FREE) -> None:
        self.ended: list[str] = []
        self.room = True
        throttle = Throttle(asyncio.get_running_loop().time, free=free, first_delay_s=0.2)
        app = Starlette(routes=UltravoxEvents(secrets, self._told, throttle).routes())
        transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 4711))
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://callfarm")

    def _told(self, call_id: str) -> bool:
        self.ended.append(call_id)
        return self.room

    async def tell(
        self, told: Any, *secrets: str, path: str = EVENTS_PATH, stamp: str | None = None
    ) -> httpx2.Response:
        """Send an event, signed."""
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        headers = signed(body, *(secrets or SECRETS[:1]), stamp=stamp)
        return await self.client.post(path, content=body, headers=headers)


def _ended(call_id: str = CALL, **call: Any) -> dict[str, Any]:
    return {"event": "call.ended", "call": {"callId": call_id, "endReason": "hangup", **call}}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    async with made.client:
        yield made


@pytest.mark.parametrize("path", [EVENTS_PATH, MAKE_PATH])
async def test_the_end_of_a_call_is_received_however_often(door: Door, path: str) -> None:
    for _ in range(2):
        answer = await door.tell(_ended(medium={"twilio": {}}), path=path)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert door.ended == [CALL, CALL]


async def test_while_a_secret_is_exchanged_both_are_taken(door: Door) -> None:
    for secrets in (("old-secret",), ("new-secret",), ("foreign", "new-secret")):
        assert (await door.tell(_ended(), *secrets)).status_code == 200
    assert (await door.tell(_ended(), "foreign")).status_code == 403
    assert len(door.ended) == 3


@pytest.mark.parametrize(
    "told",
    [
        {"event": "call.started", "call": {"callId": CALL}},
        {"event": "call.billed", "call": {"callId": CALL}},
        {"event": "call.ended"},
        {"event": "call.ended", "call": {}},
        _ended("x" * 201),
        _ended(medium={"serverWebSocket": {"inputSampleRate": 8000}}),
        {},
    ],
)
async def test_what_is_not_the_end_of_a_direct_call_is_received_and_that_is_all(
    door: Door, told: dict[str, Any]
) -> None:
    answer = await door.tell(told)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert door.ended == []


async def test_who_does_not_sign_is_told_so(door: Door) -> None:
    answer = await door.client.post(EVENTS_PATH, json=_ended())
    assert answer.status_code == 400
    assert "timestamp and signature" in answer.text
    old = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    assert (await door.tell(_ended(), stamp=old)).status_code == 403
    assert (await door.client.get(EVENTS_PATH)).status_code == 405
    assert door.ended == []


async def test_without_secrets_nothing_is_taken() -> None:
    door = Door(secrets=())
    answer = await door.tell(_ended())
    assert answer.status_code == 404
    assert "ULTRAVOX_WEBHOOK_SECRET" in answer.text
    assert door.ended == []


async def test_a_body_has_a_size(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await door.tell(_ended(systemPrompt="x" * 500_000))).status_code == 200
    monkeypatch.setattr(events, "MOST_BODY", 1000)
    assert (await door.tell(_ended(systemPrompt="x" * 2000))).status_code == 413


async def test_who_keeps_guessing_waits_and_who_signs_does_not() -> None:
    door = Door(free=1)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        assert (await door.tell(_ended(), "guess")).status_code == 403
    assert asyncio.get_running_loop().time() - began > 0.5
    assert (await door.tell(_ended())).status_code == 200


async def test_what_cannot_be_seen_to_now_is_to_be_told_again(door: Door) -> None:
    door.room = False
    assert (await door.tell(_ended())).status_code == 503
    answer = await door.tell(_ended(), path=MAKE_PATH)
    assert (answer.status_code, answer.json()) == (500, {"error": "Failed to process webhook"})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"event": 7}', b"\xff", b"[" * 5000])
async def test_a_signed_body_that_is_no_event_is_refused_in_the_words_of_each(
    door: Door, body: bytes
) -> None:
    assert (await door.tell(body)).status_code == 422
    answer = await door.tell(body, path=MAKE_PATH)
    assert (answer.status_code, answer.json()) == (500, {"error": "Failed to process webhook"})
    assert door.ended == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["event", "call", "callId", "medium", "twilio"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(told=JSON)
async def test_whatever_is_signed_is_received_or_refused(door: Door, told: Any) -> None:
    assert (await door.tell(told)).status_code in (200, 422)


def test_what_is_remembered_is_bounded() -> None:
    ids = RecentIds()
    for number in range(MOST + 5):
        ids.add(str(number))
    assert len(ids) == MOST
    assert "4" not in ids
    assert ids.take("5")
    assert not ids.take("5")
