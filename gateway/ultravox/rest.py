"""Questions to Ultravox' REST API, over connections of the gateway's own.

A key goes to the address that it is for and nowhere else: redirects are not followed, and a
company's address is dialled as any stranger's is (`gateway.outbox.dialling`). Nothing is asked
twice here. Source: Ultravox' documentation, "REST API overview" and "Errors".
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpcore2
import msgspec

from gateway.outbox.address import AddressRefusedError, target_of
from gateway.outbox.dialling import CONNECT_SECONDS, Lines
from gateway.outbox.schedule import retry_after

URL = "https://api.ultravox.ai"

ANSWER_SECONDS = 10.0

MOST_ANSWER = 2 << 20
"""Bytes of an answer that are read."""

_MOST_READ_HERE = 64 << 10
"""Bytes of JSON that are read on the event loop; more takes a thread."""

_AGAIN = frozenset({408, 425, 429})


class UltravoxError(Exception):
    """Ultravox did not answer, or not with what was asked. ``sentence`` holds no key.

    ``status`` is that of the answer, if there was one; ``wait`` the seconds that it asks for.
    """

    def __init__(self, sentence: str, status: int | None = None, wait: float | None = None) -> None:
        self.sentence, self.status, self.wait = sentence, status, wait
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence

    @property
    def is_hopeless(self) -> bool:
        """Whether the same question would be refused again."""
        return self.status is not None and 300 <= self.status < 500 and self.status not in _AGAIN


@dataclass(frozen=True, slots=True)
class Access:
    """An account at Ultravox. ``trusted``: the address is the operator's, or Ultravox' own."""

    url: str
    key: str = field(repr=False)
    trusted: bool = True


class UltravoxRest:
    """Asks. ``lines`` are closed with it; ``seconds`` is what an answer may take, whole."""

    def __init__(self, lines: Lines, seconds: float = ANSWER_SECONDS) -> None:
        self._lines, self.seconds = lines, seconds

    async def get(self, access: Access, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that is at ``path``. Raises `UltravoxError`."""
        url = access.url + path + (f"?{urlencode(query)}" if query else "")
        try:
            async with asyncio.timeout(self.seconds):
                status, wait, body = await self._get(url, access)
        except AddressRefusedError as error:
            raise UltravoxError(error.sentence, 400) from None
        except TimeoutError:
            raise UltravoxError(f"Ultravox did not answer within {self.seconds:g} s") from None
        except UltravoxError:
            raise
        except Exception as error:  # whatever its server brings about; a text may quote the URL
            sentence = f"Ultravox cannot be reached: {type(error).__name__}"
            raise UltravoxError(sentence) from None
        if not 200 <= status < 300:
            raise UltravoxError(f"Ultravox answered {status}", status, wait)
        return await _read(body)

    async def _get(self, url: str, access: Access) -> tuple[int, float | None, bytes]:
        target = target_of(url)
        address = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.target,
        )
        headers = {"Host": target.authority, "Accept": "application/json", "User-Agent": "callfarm"}
        headers["X-API-Key"] = access.key
        async with self._lines.pool(target, access.trusted).stream(
            "GET",
            address,
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            extensions={"timeout": {"connect": min(CONNECT_SECONDS, self.seconds)}},
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > MOST_ANSWER:
                    raise UltravoxError(f"Ultravox' answer is over {MOST_ANSWER} bytes", 400)
            asked = next((v for k, v in response.headers if k.lower() == b"retry-after"), b"")
            wait = retry_after(asked.decode("latin-1") or None, time.time())
            return response.status, wait, bytes(body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._lines.aclose()


async def _read(body: bytes) -> Any:
    try:
        if len(body) > _MOST_READ_HERE:
            return await asyncio.to_thread(msgspec.json.decode, body)
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UltravoxError("Ultravox answered with what is no JSON") from None
