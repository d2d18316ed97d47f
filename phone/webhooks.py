"""Requests to the server, as Twilio makes them: signed, limited in time, retried by the rules.

Retries and time-outs follow the connection overrides in the URL's fragment; by default one retry
and only when no connection came about. 15 s is the hard limit of everything together. Redirects
are followed ten times: 307 and 308 repeat the request, the others become a GET with the same
parameters (that they keep them is not documented). What an answer means is left to others.
"""

import asyncio
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2

from phone.clock import Clock
from phone.overrides import (
    INVALID_RETRY_POLICY,
    ConnectionOverrides,
    OverrideError,
    parse_overrides,
)
from phone.problem import Problem
from phone.signature import Signer
from phone.transport import MAX_REDIRECTS
from phone.twiml import MAX_BYTES

_KEEPS_METHOD = frozenset({307, 308})
_REDIRECTS = frozenset({301, 302, 303}) | _KEEPS_METHOD


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. ``body`` holds at most one byte more than Twilio's 64 kB."""

    status: int
    content_type: str | None
    body: bytes
    url: str
    attempts: int
    took_ms: float


class WebhookError(Exception):
    """A request that Twilio would report, after all its attempts."""

    def __init__(self, url: str, problem: Problem, status: int | None = None) -> None:
        super().__init__(url, problem, status)
        self.url, self.problem, self.status = url, problem, status

    def __str__(self) -> str:
        return f"{self.url}: {self.problem}"


_FAILURES: tuple[tuple[type[Exception], int, str], ...] = (
    (ssl.SSLCertVerificationError, 11237, "ct"),
    (ssl.SSLError, 11220, "ct"),
    (httpx2.ConnectTimeout, 11201, "ct"),
    (httpx2.ConnectError, 11205, "ct"),
    (httpx2.TimeoutException, 11203, "rt"),
    (httpx2.RemoteProtocolError, 11206, ""),
)


def _classify(error: Exception) -> tuple[int, str]:
    """Return Twilio's code for a failed request and the retry reason it falls under."""
    causes = tuple(_causes(error))
    for kind, code, reason in _FAILURES:
        if any(isinstance(cause, kind) for cause in causes):
            return code, reason
    return 11205, ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class WebhookClient:
    """Sends the requests of one call."""

    def __init__(
        self, http: httpx2.AsyncClient, signer: Signer, clock: Clock, limit_ms: int
    ) -> None:
        self._http, self._signer, self._clock, self._limit_ms = http, signer, clock, limit_ms

    async def send(self, url: str, method: str, parameters: Mapping[str, str]) -> Answer:
        """Request ``url`` and return the 2xx answer.

        Raises `WebhookError`: 11100 bad URL, 11200 any other status, 11201-11206 network and
        time-outs, 11215 redirects, 11220 and 11237 TLS, 11243 bad connection overrides.
        """
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise WebhookError(url, Problem(11100, "use an absolute http or https URL"))
        try:
            overrides = parse_overrides(urlsplit(url).fragment)
        except OverrideError as error:
            raise WebhookError(url, Problem(INVALID_RETRY_POLICY, str(error))) from error
        began = self._clock.now()
        limit_ms = min(overrides.total_ms, self._limit_ms)
        try:
            async with asyncio.timeout(limit_ms / 1000):
                response, body, attempts = await self._attempts(url, method, parameters, overrides)
        except TimeoutError as error:
            text = f"no complete answer within {limit_ms} ms"
            raise WebhookError(url, Problem(11203, text)) from error
        if not response.is_success:
            text = f"HTTP status {response.status_code}; answer 200 with TwiML"
            if response.status_code == httpx2.codes.FORBIDDEN:
                text += " (is the auth token the server's, and this URL the one it checks?)"
            raise WebhookError(url, Problem(11200, text), response.status_code)
        return Answer(
            status=response.status_code,
            content_type=response.headers.get("content-type"),
            body=body,
            url=str(response.request.url),
            attempts=attempts,
            took_ms=(self._clock.now() - began) * 1000,
        )

    async def _attempts(
        self, url: str, method: str, parameters: Mapping[str, str], overrides: ConnectionOverrides
    ) -> tuple[httpx2.Response, bytes, int]:
        idempotency = secrets.token_hex(16)
        attempt = 0
        while True:
            attempt += 1
            last = attempt > overrides.retries
            try:
                response, body = await self._follow(url, method, parameters, overrides, idempotency)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                code, reason = _classify(error)
                if last or not (reason and overrides.retries_on(reason)):
                    text = str(error) or type(error).__name__
                    raise WebhookError(url, Problem(code, text)) from error
                continue
            reason = f"{response.status_code // 100}xx"
            if last or reason not in ("4xx", "5xx") or not overrides.retries_on(reason):
                return response, body, attempt

    async def _follow(
        self,
        url: str,
        method: str,
        parameters: Mapping[str, str],
        overrides: ConnectionOverrides,
        idempotency: str,
    ) -> tuple[httpx2.Response, bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            request = self._request(url, method, parameters, overrides, idempotency)
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    return response, await _read(response)
                url = urljoin(url, response.headers["location"])
                if response.status_code not in _KEEPS_METHOD:
                    method = "GET"
            finally:
                await response.aclose()
        raise WebhookError(url, Problem(11215, f"more than {MAX_REDIRECTS} redirects"))

    def _request(
        self,
        url: str,
        method: str,
        parameters: Mapping[str, str],
        overrides: ConnectionOverrides,
        idempotency: str,
    ) -> httpx2.Request:
        url = url.partition("#")[0]
        form = dict(parameters)
        if method == "GET" and form:
            url += ("&" if "?" in url else "?") + urlencode(form)
            form = {}
        return self._http.build_request(
            method,
            url,
            data=form or None,
            headers={
                "X-Twilio-Signature": self._signer.http(url, form),
                "I-Twilio-Idempotency-Token": idempotency,
                "Accept": "*/*",
            },
            timeout=httpx2.Timeout(
                None, connect=overrides.connect_ms / 1000, read=overrides.read_ms / 1000
            ),
        )


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            break
    return bytes(body[: MAX_BYTES + 1])
