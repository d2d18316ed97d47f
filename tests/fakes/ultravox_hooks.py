"""How the fake Ultravox tells of its calls: account webhooks and a call's own callbacks, signed.

Each is told once here; the service repeats what is not answered by 2xx.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientError, ClientSession


class Hooks:
    """``account`` says where all calls are told of, and the secret that signs it."""

    def __init__(self) -> None:
        self.account: list[tuple[str, str | None]] = []
        self.answers: list[int] = []
        """The statuses that came back, in their order."""
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(
        self, http: ClientSession, event: str, body: Mapping[str, Any], shown: Mapping[str, Any]
    ) -> None:
        """Tell of a call with ``body``, as the API shows it."""
        hooks = list(self.account)
        callback = body.get("callbacks", {}).get(event.removeprefix("call."))
        if callback is not None:
            hooks.append((callback["url"], next(iter(callback.get("secrets", ())), None)))
        payload = json.dumps({"event": event, "call": shown}).encode() if hooks else b""
        for url, secret in hooks:
            telling = self._post(http, url, secret, payload)
            task = asyncio.get_running_loop().create_task(telling)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Stop telling."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _post(
        self, http: ClientSession, url: str, secret: str | None, payload: bytes
    ) -> None:
        headers = {"Content-Type": "application/json"}
        if secret is not None:
            headers |= signed(payload, secret)
        with contextlib.suppress(ClientError, TimeoutError):
            async with http.post(url, data=payload, headers=headers) as answer:
                self.answers.append(answer.status)


def signed(payload: bytes, *secrets: str, stamp: str | None = None) -> dict[str, str]:
    """Return the headers of a webhook: a signature for each secret, as while one is exchanged."""
    stamp = stamp or datetime.now(UTC).isoformat()
    signatures = [
        hmac.new(secret.encode(), payload + stamp.encode(), hashlib.sha256).hexdigest()
        for secret in secrets
    ]
    return {
        "X-Ultravox-Webhook-Timestamp": stamp,
        "X-Ultravox-Webhook-Signature": ",".join(signatures),
    }
