"""Connections to the server under test: TLS contexts, and one HTTP pool for all calls of a phone.

Each call has its own client, because Twilio keeps cookies for one call; all share one transport,
because a TLS context costs a tenth of a second.
"""

import functools
import ssl

import httpx2

# Shorter than the keep-alive of common servers (uvicorn: 5 s), so that a request never goes out on
# a connection that the server is just closing.
_KEEP_ALIVE_S = 2.0

MAX_REDIRECTS = 10


@functools.cache
def tls_context(*, insecure: bool) -> ssl.SSLContext:
    """Return the context for every connection; ``insecure`` accepts any certificate."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SharedTransport(httpx2.AsyncBaseTransport):
    """A transport that clients may close without closing it for the others."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._inner = httpx2.AsyncHTTPTransport(
            verify=context,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, keepalive_expiry=_KEEP_ALIVE_S),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on."""
        return await self._inner.handle_async_request(request)

    def client(self) -> httpx2.AsyncClient:
        """Return a client with cookies of its own. It need not be closed."""
        return httpx2.AsyncClient(
            transport=self, trust_env=False, headers={"User-Agent": "TwilioProxy/1.1"}
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._inner.aclose()
