"""A provider's REST from a call: on a connection of its own and the shared TLS context.

    rest = Rest("ultravox", "ULTRAVOX_API_KEY", url, {"X-API-Key": key})
    call = await rest.post("/api/calls", {"systemPrompt": "..."})

Keys go to the address they are for and nowhere else: redirects are not followed. Nothing is tried
twice here; whether that helps, `worker.link` knows. Where the environment names a proxy, or the
address holds a password, a library sees to it (httpx2).
"""

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.http_line import Answer, Line, LineError, host_of, target_of
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
        self._line: Line | None = None
        """A connection that nobody uses at the moment."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that is there. Raises `ProviderError`."""
        return await self._ask("GET", path, query, None)

    async def post(self, path: str, body: Any, query: Mapping[str, str] | None = None) -> Any:
        """Send JSON; return that of the answer, ``None`` if there is none. Raises it, too."""
        return await self._ask("POST", path, query, body)

    async def _ask(self, verb: str, path: str, query: Mapping[str, str] | None, body: Any) -> Any:
        content = None if body is None else msgspec.json.encode(body)
        headers = self._headers if content is None else {**self._headers, **_JSON}
        asked = self._by_library if _needs_library(self._base_url) else self._by_line
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await asked(verb, path, query, content, headers)
        except TimeoutError:
            sentence = f"did not answer within {self._timeout_s:g} s"
            raise ProviderLostError(self._provider, sentence) from None
        return self._read(answer)

    async def _by_line(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        try:
            url = urlsplit(self._base_url)
            headers = {"Host": host_of(url), **_ALWAYS, **headers}
        except ValueError:
            raise self._no_address() from None
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            raise ProviderRefusedError(self._provider, f"the key is wrong: check {self._key}")
        line, self._line = self._line, None
        try:
            if line is not None and not line.is_open:
                await line.aclose()
                line = None
            line = line or await Line.connect(url)
            answer = await line.ask(
                verb, target_of(url, path, urlencode(query or {})), headers, content
            )
        except (OSError, LineError, UnicodeError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise self._unreachable(error) from error
        finally:
            if line is not None and (self._line is not None or not line.is_open):
                await line.aclose()
            elif line is not None:
                self._line = line
        return answer

    async def _by_library(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        import httpx2

        client = self._client = self._client or _client()
        try:
            answer = await client.request(
                verb,
                self._base_url + path,
                params=query,
                content=content,
                headers=headers,
                timeout=self._timeout_s,
            )
        except httpx2.InvalidURL:
            raise self._no_address() from None
        except httpx2.TimeoutException:
            raise TimeoutError from None
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        told = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, told, answer.content)

    def _no_address(self) -> ProviderError:
        variable = self._key.replace("_API_KEY", "_BASE_URL")
        return ProviderRefusedError(self._provider, f"its address is none: check {variable}")

    def _unreachable(self, error: Exception) -> ProviderError:
        sentence = f"cannot be reached{at_address(self._key)}: {type(error).__name__}"
        return ProviderLostError(self._provider, sentence)

    def _read(self, answer: Answer) -> Any:
        if not 200 <= answer.status < 300:
            raise self._refused(answer)
        if not answer.content:
            return None
        try:
            return msgspec.json.decode(answer.content)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise ProviderLostError(self._provider, "answered with what is no JSON") from None

    def _refused(self, answer: Answer) -> ProviderError:
        reason = answer.content[: 4 * _MOST_REASON].decode("utf-8", "replace")[:_MOST_REASON]
        retry_after = answer.headers.get("retry-after")
        return status_fault(self._provider, self._key, answer.status, reason, retry_after)

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        client, self._client = self._client, None
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()
        if client is not None:
            await client.aclose()


_JSON = {"Content-Type": "application/json"}
_ALWAYS = {"User-Agent": "callfarm", "Accept": "application/json", "Accept-Encoding": "identity"}


def _client() -> "httpx2.AsyncClient":
    import httpx2

    return httpx2.AsyncClient(verify=shared_context(), follow_redirects=False)


def _needs_library(url: str) -> bool:
    """Tell whether more is needed to get there than a connection."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    is_proxied = any(os.environ.get(it) or os.environ.get(it.upper()) for it in names)
    return is_proxied or "@" in url.partition("://")[2].partition("/")[0]


def prepare(url: str) -> None:
    """Import what requests to ``url`` need, in the template, for all forks."""
    shared_context()
    if _needs_library(url):
        import anyio._backends._asyncio

        _client()  # the transport is imported with the first one, and not in each call
        del anyio
