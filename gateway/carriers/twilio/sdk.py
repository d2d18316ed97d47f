"""Twilio's SDK, brought in late and off the event loop, which must not wait a second for it.

It refuses to know which requests are made.
"""

import asyncio
import base64
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from gateway.carriers.twilio.clock import CarrierClock
from gateway.carriers.twilio.region import Placement

_MODULES = (
    "twilio.rest",
    "twilio.rest.api",
    "twilio.http.async_http_client",
    "twilio.base.exceptions",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose calls are controlled. ``origin`` replaces Twilio's scheme and host (test servers)."""

    account_sid: str
    auth_token: str
    placement: Placement = field(default_factory=Placement)
    origin: str | None = None

    def __repr__(self) -> str:
        return f"Account({self.account_sid!r})"


class OriginClient:
    """The SDK's asynchronous HTTP client, sent to another origin if need be.

    Credentials go as a header and lists as repeated fields, the form Twilio documents: the SDK
    leaves both to its HTTP library, which is giving up the one and never knew the other.
    """

    is_async = True

    def __init__(self, inner: Any, origin: str | None) -> None:
        self._inner, self._origin = inner, origin
        self.clock = CarrierClock()
        """Twilio's, by the last answer."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Any:
        """Make a request; the caller limits its time."""
        answer = await self._inner.request(
            method,
            moved(url, self._origin),
            params=params,
            data=urlencode(data, doseq=True) if data else None,
            headers={**(headers or {}), **authorization(auth)},
            timeout=timeout,
            allow_redirects=allow_redirects,
        )
        self.clock.heard((answer.headers or {}).get("Date"))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class Sdk:
    """A client ready for use, and the exceptions its requests may raise."""

    client: Any
    http: OriginClient
    response_error: type[Exception]
    connect_error: type[Exception]
    network_error: type[Exception]


async def load(account: Account) -> Sdk:
    """Import the SDK in a thread and build a client inside the running loop."""
    modules = await asyncio.to_thread(_import)
    aiohttp = importlib.import_module("aiohttp")
    inner = modules["twilio.http.async_http_client"].AsyncTwilioHttpClient()
    http = OriginClient(inner, account.origin)
    client = modules["twilio.rest"].Client(
        account.account_sid,
        account.auth_token,
        region=account.placement.region,
        edge=account.placement.edge,
        http_client=http,
        # Not empty, so that the SDK does not look into the process's environment.
        environment={"TWILIO_ACCOUNT_SID": account.account_sid},
    )
    return Sdk(
        client,
        http,
        modules["twilio.base.exceptions"].TwilioException,
        aiohttp.ClientConnectorError,
        aiohttp.ClientError,
    )


def _import() -> dict[str, Any]:
    return {name: importlib.import_module(name) for name in _MODULES}


def moved(url: str, origin: str | None) -> str:
    """Return ``url`` at another origin, if there is one."""
    if origin is None:
        return url
    there, wanted = urlsplit(origin), urlsplit(url)
    return urlunsplit((there.scheme, there.netloc, wanted.path, wanted.query, ""))


def authorization(auth: tuple[str, str] | None) -> dict[str, str]:
    """Return the header that carries credentials."""
    if auth is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(":".join(auth).encode()).decode()}
