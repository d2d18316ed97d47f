"""A provider's REST from a call: one client a call, on the shared TLS context, with its errors.

    rest = Rest("ultravox", "ULTRAVOX_API_KEY", url, {"X-API-Key": key})
    call = await rest.post("/api/calls", {"systemPrompt": "..."})

Keys go to the address they are for and nowhere else: redirects are not followed. Nothing is tried
twice here; whether that helps, `worker.link` knows.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.sockets import at_address, status_fault
from worker.tls import shared_context

if TYPE_CHECKING:
    import httpx2

REQUEST_SECONDS = 3.0
"""How long an answer may take, whole: a caller hears nothing meanwhile."""

_MOST_REASON = 500


class Rest:
    """Requests to one provider. ``key`` is the variable that holds the key, for the sentences."""

    def __init__(
        self,
        provider: str,
        key: str,
        base_url: str,
        headers: Mapping[str, str],
        timeout_s: float = REQUEST_SECONDS,
    ) -> None:
        self._provider, self._key = provider, key
        self._base_url, self._headers, self._timeout_s = base_url, dict(headers), timeout_s
        self._client: httpx2.AsyncClient | None = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that is there. Raises `ProviderError`."""
        return await self._ask("GET", path, query, None)

    async def post(self, path: str, body: Any, query: Mapping[str, str] | None = None) -> Any:
        """Send JSON; return that of the answer, ``None`` if there is none. Raises it, too."""
        return await self._ask("POST", path, query, body)

    async def _ask(self, verb: str, path: str, query: Mapping[str, str] | None, body: Any) -> Any:
        import httpx2

        client = self._client = self._client or _client()
        content = None if body is None else msgspec.json.encode(body)
        headers = self._headers if content is None else {**self._headers, **_JSON}
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await client.request(
                    verb,
                    self._base_url + path,
                    params=query,
                    content=content,
                    headers=headers,
                    timeout=self._timeout_s,
                )
        except httpx2.InvalidURL:
            variable = self._key.replace("_API_KEY", "_BASE_URL")
            sentence = f"its address is none: check {variable}"
            raise ProviderRefusedError(self._provider, sentence) from None
        except (httpx2.TimeoutException, TimeoutError):
            sentence = f"did not answer within {self._timeout_s:g} s"
            raise ProviderLostError(self._provider, sentence) from None
        except httpx2.HTTPError as error:
            where = at_address(self._key)
            sentence = f"cannot be reached{where}: {type(error).__name__}"
            raise ProviderLostError(self._provider, sentence) from error
        return self._read(answer)

    def _read(self, answer: "httpx2.Response") -> Any:
        if not answer.is_success:
            raise self._refused(answer)
        if not answer.content:
            return None
        try:
            return msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            raise ProviderLostError(self._provider, "answered with what is no JSON") from None

    def _refused(self, answer: "httpx2.Response") -> ProviderError:
        reason = answer.text[:_MOST_REASON]
        retry_after = answer.headers.get("Retry-After")
        return status_fault(self._provider, self._key, answer.status_code, reason, retry_after)

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


_JSON = {"Content-Type": "application/json"}


def _client() -> "httpx2.AsyncClient":
    import httpx2

    return httpx2.AsyncClient(verify=shared_context(), follow_redirects=False)


def prepare() -> None:
    """Import what requests need, in the template, for all forks."""
    import anyio._backends._asyncio

    _client()  # the transport is imported with the first one: six megabytes, and not in each call
    del anyio
