"""What the fake of n8n refuses."""

import hashlib
import hmac
import time

import httpx2
import pytest

from tests.fakes.n8n import Answer, N8nFake

JSON = {"Content-Type": "application/json"}


def _signed(secret: str, body: bytes, at: float) -> dict[str, str]:
    stamp = str(int(at))
    sign = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {**JSON, "X-Callfarm-Signature": f"t={stamp},v1={sign}"}


async def _post(url: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(url, content=body, headers=headers)


async def test_it_refuses_a_path_at_which_no_flow_is_active() -> None:
    async with N8nFake() as n8n:
        answer = await _post(f"{n8n.url}/webhook/other", b"{}", JSON)
        assert answer.status_code == 404
        assert "is not registered" in answer.text


@pytest.mark.parametrize(("body", "headers", "status"), [(b"{", JSON, 422), (b"{}", {}, 415)])
async def test_it_refuses_what_is_no_json(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with N8nFake() as n8n:
        assert (await _post(f"{n8n.url}/webhook/calls", body, headers)).status_code == status


async def test_it_refuses_a_signature_that_is_missing_wrong_or_old() -> None:
    async with N8nFake(secrets=("new", "old")) as n8n:
        url = f"{n8n.url}/webhook/calls"
        for headers in (
            JSON,
            _signed("other", b"{}", time.time()),
            _signed("new", b'{"a":1}', time.time()),
            _signed("new", b"{}", time.time() - 1000),
        ):
            assert (await _post(url, b"{}", headers)).status_code == 401
        for secret in ("new", "old"):
            headers = _signed(secret, b"{}", time.time())
            assert (await _post(url, b"{}", headers)).status_code == 200


async def test_it_fails_to_order_and_then_no_more() -> None:
    async with N8nFake() as n8n:
        n8n.answers = [Answer(503, headers={"Retry-After": "7"})]
        first = await _post(f"{n8n.url}/webhook/calls", b"{}", JSON)
        assert (first.status_code, first.headers["retry-after"]) == (503, "7")
        assert (await _post(f"{n8n.url}/webhook/calls", b"{}", JSON)).status_code == 200
        assert len(n8n.taken()) == 1
