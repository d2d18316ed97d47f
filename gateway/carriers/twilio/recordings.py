"""Twilio's recordings of an account: how they stand, and their audio.

The audio is a plain file behind the recording's URL, which is made here from the account and the
SID, never taken from a callback. The credentials go to Twilio alone: a redirect to another server
is followed without them. Source: Twilio docs, "Recordings resource".
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from gateway.carriers.control import CarrierError, CarrierRefusedError, CarrierUnavailableError
from gateway.carriers.recordings import CarrierRecording
from gateway.carriers.twilio import faults
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.sdk import Sdk, authorization, moved

FETCH_SECONDS = 300.0
"""What fetching one recording may take: an hour in stereo is 115 MB."""

_SILENT_SECONDS = 30.0
_MOST_REDIRECTS = 5
_PIECE = 64 << 10
_MOVED = frozenset({301, 302, 303, 307, 308})
_NOT_FINISHED = frozenset({"in-progress", "paused", "stopped"})
_OPERATION = "fetch recording"


class TwilioRecordings(TwilioRest):
    """A ``CallControl`` that is a ``CarrierArchive`` as well."""

    async def look_at_recording(self, recording_sid: str) -> CarrierRecording:
        """Tell how a recording stands. Raises ``CarrierError``."""
        it = await self._repeated(
            "look at recording",
            recording_sid,
            lambda client: client.recordings(recording_sid).fetch_async(),
        )
        status, seconds = str(it.status), str(it.duration or "")
        return CarrierRecording(
            "in-progress" if status in _NOT_FINISHED else status,
            float(seconds) if seconds.isdecimal() else None,
        )

    async def fetch_recording(self, recording_sid: str, file: Path, most_bytes: int) -> int:
        """Write a recording's WAV with both channels to ``file``, or with one if it has no more.

        Raises ``CarrierError``, and ``CarrierUnavailableError`` while the audio is not there yet,
        which may be so for a while after the callback. Raises ``OSError`` for the file.
        """
        sdk = await self._loaded()
        url = _media_url(sdk, self._account.account_sid, recording_sid, self._account.origin)
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                try:
                    return await self._fetch(url + "?RequestedChannels=2", file, most_bytes)
                except CarrierRefusedError as error:
                    if error.code not in (400, 16113):
                        raise
                return await self._fetch(url, file, most_bytes)
        except TimeoutError as error:
            raise faults.of_silence(_OPERATION, FETCH_SECONDS) from error

    async def _fetch(self, url: str, file: Path, most_bytes: int) -> int:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_read=_SILENT_SECONDS, sock_connect=10.0)
        try:
            async with aiohttp.ClientSession(timeout=limits) as session:
                return await self._follow(session, url, file, most_bytes)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise faults.of_network(_OPERATION, connected=True) from error

    async def _follow(self, session: Any, url: str, file: Path, most_bytes: int) -> int:
        own, is_secure = _origin(url), url.startswith("https:")
        account = self._account
        for _ in range(_MOST_REDIRECTS):
            auth = (account.account_sid, account.auth_token) if _origin(url) == own else None
            headers = authorization(auth)
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status == 200:
                    return await _written(answer, file, most_bytes)
                if answer.status not in _MOVED:
                    raise _refused(answer.status)
                url = urljoin(url, answer.headers.get("Location", ""))
            if is_secure and not url.startswith("https:"):
                break
        raise CarrierUnavailableError(_OPERATION, "it is redirected in vain", perhaps_done=False)


async def _written(answer: Any, file: Path, most_bytes: int) -> int:
    """Write a body to ``file``, through another file beside it."""
    part, size = file.with_suffix(".part"), 0
    if (answer.content_length or 0) > most_bytes:
        raise _too_large(most_bytes)
    fd = await asyncio.to_thread(_make, part)
    try:
        async for piece in answer.content.iter_chunked(_PIECE):
            size += len(piece)
            if size > most_bytes:
                raise _too_large(most_bytes)
            await asyncio.to_thread(_write_all, fd, piece)
        await asyncio.to_thread(part.replace, file)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return size


def _make(part: Path) -> int:
    part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(part, flags, 0o600)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _media_url(sdk: Sdk, account_sid: str, recording_sid: str, origin: str | None) -> str:
    host = sdk.client.get_hostname("https://api.twilio.com")
    path = f"/2010-04-01/Accounts/{account_sid}/Recordings/{recording_sid}.wav"
    return moved(host + path, origin)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    it = urlsplit(url)
    return it.scheme, it.hostname, it.port


def _refused(status: int) -> CarrierError:
    if status == 404:
        reason = "the audio is not there, or not yet"
        return CarrierUnavailableError(_OPERATION, reason, perhaps_done=False)
    if status == 401:
        return faults.of_response(_OPERATION, "", status, 20003)
    return faults.of_response(_OPERATION, "", status, None)


def _too_large(most_bytes: int) -> CarrierError:
    sentence = f"it is over {most_bytes >> 20} MB, which is more than is taken"
    return CarrierRefusedError(_OPERATION, 413, sentence)
