"""Control of live calls through Twilio's REST API.

A request is repeated only where that is harmless: when it certainly had no effect (too many
requests, no connection), or when doing it twice is the same as once. It refuses to know why a call
is ended or redirected.

Requests: Twilio docs, "Call resource", "Recordings resource", "<Transcription>".
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from gateway.carriers.control import CallGoneError, CarrierError, CarrierUnavailableError
from gateway.carriers.twilio import faults, twiml
from gateway.carriers.twilio.sdk import Account, Sdk, load

_T = TypeVar("_T")

_STOPPABLE = frozenset({"in-progress", "paused"})


class TwilioRest:
    """The ``CallControl`` of one Twilio account.

    The SDK is imported at the first request, in a thread, and belongs to that request's event
    loop; ``prepare`` does it earlier. ``timeout_s`` limits each attempt, ``backoff_s`` is the
    first pause between attempts and doubles.
    """

    def __init__(
        self,
        account: Account,
        *,
        timeout_s: float = 5.0,
        attempts: int = 3,
        backoff_s: float = 0.3,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._timeout_s, self._attempts, self._backoff_s = timeout_s, attempts, backoff_s
        self._sleep = sleep
        self._loading = asyncio.Lock()
        self._sdk: Sdk | None = None

    async def prepare(self) -> None:
        """Import and build what requests need, so that the first one does not wait for it."""
        await self._loaded()

    async def hangup(self, call_sid: str) -> None:
        """End the call in any live state. Raises ``CarrierError``."""
        await self._repeated(
            "hang up",
            call_sid,
            lambda client: client.calls(call_sid).update_async(status="completed"),
        )

    async def redirect(self, call_sid: str, document: str) -> None:
        """Replace what the call does by a TwiML document of at most 4,000 characters.

        Not repeated when the outcome is unknown: a second dial would cut off the first. Raises
        ``CarrierError``, and ``TwimlTooLongError`` before anything is sent.
        """
        answer = twiml.inline(document)
        await self._once(
            "redirect", call_sid, lambda client: client.calls(call_sid).update_async(twiml=answer)
        )

    async def start_recording(self, call_sid: str, *, callback_url: str) -> str:
        """Record both sides on two channels, silence kept; return the recording's SID.

        The callback comes when the file is there, or when there will be none. Raises
        ``CarrierError``.
        """
        recording = await self._once(
            "start recording",
            call_sid,
            lambda client: client.calls(call_sid).recordings.create_async(
                recording_channels="dual",
                recording_track="both",
                trim="do-not-trim",
                recording_status_callback=callback_url,
                recording_status_callback_method="POST",
                recording_status_callback_event=["completed", "absent"],
            ),
        )
        return str(recording.sid)

    async def pause_recording(self, call_sid: str, recording_sid: str, *, paused: bool) -> None:
        """Let a recording be silent for as long as it lasts, or go on. Raises ``CarrierError``."""
        change = {"status": "in-progress"}
        if paused:
            change = {"status": "paused", "pause_behavior": "silence"}
        await self._repeated(
            "pause recording" if paused else "go on recording",
            recording_sid,
            lambda client: client.calls(call_sid).recordings(recording_sid).update_async(**change),
        )

    async def stop_recording(self, call_sid: str, recording_sid: str) -> bool:
        """Stop a recording if it is going or paused; return whether it was.

        Raises ``CarrierError``.
        """

        async def stop(client: Any) -> bool:
            recording = client.calls(call_sid).recordings(recording_sid)
            if str((await recording.fetch_async()).status) not in _STOPPABLE:
                return False
            await recording.update_async(status="stopped")
            return True

        return await self._repeated("stop recording", recording_sid, stop)

    async def delete_recording(self, recording_sid: str) -> None:
        """Delete a finished recording, or find it deleted. Raises ``CarrierError``."""
        try:
            await self._repeated(
                "delete recording",
                recording_sid,
                lambda client: client.recordings(recording_sid).delete_async(),
            )
        except CallGoneError:
            return

    async def start_transcription(
        self, call_sid: str, *, callback_url: str, language: str | None = None
    ) -> str:
        """Transcribe both tracks with Deepgram; return the transcription's SID.

        ``language`` is a BCP 47 tag, en-US when not given. Raises ``CarrierError``.
        """
        options = {} if language is None else {"language_code": language}
        transcription = await self._once(
            "start transcription",
            call_sid,
            lambda client: client.calls(call_sid).transcriptions.create_async(
                transcription_engine="deepgram",
                track="both_tracks",
                status_callback_url=callback_url,
                status_callback_method="POST",
                **options,
            ),
        )
        return str(transcription.sid)

    async def stop_transcription(self, call_sid: str, transcription_sid: str) -> None:
        """Stop a transcription. Raises ``CarrierError``."""
        await self._repeated(
            "stop transcription",
            transcription_sid,
            lambda client: (
                client.calls(call_sid)
                .transcriptions(transcription_sid)
                .update_async(status="stopped")
            ),
        )

    async def aclose(self) -> None:
        """Close the connections; a later request opens new ones."""
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.http.close()

    async def _once(self, operation: str, sid: str, request: Callable[[Any], Awaitable[_T]]) -> _T:
        return await self._attempt(operation, sid, request, idempotent=False)

    async def _repeated(
        self, operation: str, sid: str, request: Callable[[Any], Awaitable[_T]]
    ) -> _T:
        return await self._attempt(operation, sid, request, idempotent=True)

    async def _attempt(
        self,
        operation: str,
        sid: str,
        request: Callable[[Any], Awaitable[_T]],
        *,
        idempotent: bool,
    ) -> _T:
        sdk = await self._loaded()
        for attempt in range(1, self._attempts):
            try:
                return await self._send(sdk, operation, sid, request)
            except CarrierUnavailableError as error:
                if error.perhaps_done and not idempotent:
                    raise
            await self._sleep(self._pause(attempt))
        return await self._send(sdk, operation, sid, request)

    async def _send(
        self, sdk: Sdk, operation: str, sid: str, request: Callable[[Any], Awaitable[_T]]
    ) -> _T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request(sdk.client)
        except TimeoutError as error:
            raise faults.of_silence(operation, self._timeout_s) from error
        except sdk.response_error as error:
            raise _answered(operation, sid, error) from error
        except (sdk.network_error, OSError) as error:
            connected = not isinstance(error, sdk.connect_error)
            raise faults.of_network(operation, connected=connected) from error
        except (ValueError, AttributeError) as error:
            # The SDK decodes and takes apart whatever a success status came with.
            raise faults.of_nonsense(operation) from error

    async def _loaded(self) -> Sdk:
        async with self._loading:
            if self._sdk is None:
                self._sdk = await load(self._account)
            return self._sdk

    def _pause(self, attempt: int) -> float:
        # Half of it by chance, so that many calls do not come back at the same moment.
        longest = self._backoff_s * 2.0 ** (attempt - 1)
        return longest * (0.5 + random.random() / 2)  # noqa: S311


def _answered(operation: str, sid: str, error: Exception) -> CarrierError:
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    if status is None and len(error.args) > 1:
        status, code = _of_page(error.args[1])
    if not isinstance(status, int):
        return faults.of_nonsense(operation)
    return faults.of_response(operation, sid, status, code if isinstance(code, int) else None)


def _of_page(response: Any) -> tuple[object, object]:
    """Return status and code of a list that was refused: the SDK only encloses the response."""
    text = getattr(response, "text", "")
    try:
        code = msgspec.json.decode(text, type=_Refused).code
    except (msgspec.DecodeError, TypeError):
        code = None
    return getattr(response, "status_code", None), code


class _Refused(msgspec.Struct):
    code: int | None = None
