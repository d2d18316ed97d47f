"""Brings one body to one address and says how it went; it never raises.

It knows nothing of retries and of the database. What an address answers is read up to a limit and
told to nobody but who asked.
"""

import asyncio
import time
from dataclasses import dataclass, field

import httpcore2

from gateway.outbox.address import AddressRefusedError, Target, target_of
from gateway.outbox.dialling import CONNECT_SECONDS, Lines
from gateway.outbox.parcel import Parcel
from gateway.outbox.schedule import Tried, retry_after

USER_AGENT = "callfarm"

MOST_ANSWER = 64 << 10
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How it went, and the body that came back (the beginning of it)."""

    tried: Tried
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""


class Courier:
    """Sends requests. ``seconds`` is what one may take, from the first look-up to the answer."""

    def __init__(self, lines: Lines, seconds: float = 10.0) -> None:
        self._lines, self._seconds = lines, seconds

    async def bring(self, parcel: Parcel, seconds: float | None = None) -> Answered:
        """POST a parcel. Redirects are not followed: they could lead anywhere."""
        began = time.monotonic()
        limit = self._seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                status, headers, body = await self._post(parcel)
        except AddressRefusedError as error:
            return Answered(Tried(error=error.sentence, hopeless=True, ms=_since(began)))
        except TimeoutError:
            error_text = f"no answer within {limit:g} s"
            return Answered(Tried(error=error_text, ms=_since(began)))
        except Exception as error:  # whatever a stranger's server brings about is its failure
            return Answered(Tried(error=_sentence(error), ms=_since(began)))
        wait = retry_after(headers.get(b"retry-after", b"").decode("latin-1") or None, time.time())
        failure = None if 200 <= status < 300 else _status_sentence(status)
        tried = Tried(status, failure, wait, ms=_since(began))
        kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0]
        return Answered(tried, body, kind.strip().lower())

    async def _post(self, parcel: Parcel) -> tuple[int, dict[bytes, bytes], bytes]:
        target = target_of(parcel.url)
        pool = self._lines.pool(target, parcel.trusted)
        async with pool.stream(
            "POST",
            httpcore2.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=target.target,
            ),
            headers=_headers(target, parcel),
            content=parcel.body,
            extensions={"timeout": {"connect": min(CONNECT_SECONDS, self._seconds)}},
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > MOST_ANSWER:
                    break
            headers = {name.lower(): value for name, value in response.headers}
            return response.status, headers, bytes(body[:MOST_ANSWER])

    async def aclose(self) -> None:
        """Close all connections."""
        await self._lines.aclose()


def _headers(target: Target, parcel: Parcel) -> list[tuple[bytes, bytes]]:
    headers = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Content-Length": str(len(parcel.body)),
        **parcel.headers,
    }
    if target.authorization:
        headers["Authorization"] = target.authorization
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def _status_sentence(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed, set the URL that it leads to"
    return f"answered {status}"


def _sentence(error: Exception) -> str:
    """Say what failed, in words of ours: a library's may quote the URL."""
    match error:
        case httpcore2.ConnectTimeout():
            return "no connection in time"
        case httpcore2.ConnectError():
            cause = error.__cause__ or error.__context__
            reason = getattr(cause, "strerror", None) or getattr(cause, "reason", None)
            return f"no connection: {reason or error or 'refused'}"
        case httpcore2.TimeoutException():
            return "no answer in time"
        case httpcore2.ProtocolError():
            return "what it answers is not HTTP"
        case httpcore2.NetworkError():
            return "the connection was cut"
    return f"not sent: {type(error).__name__}"
