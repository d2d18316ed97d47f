"""What a gateway may ask of a carrier while a call lives, and how a carrier says no.

    CarrierError
     ├── CallGoneError            the call is over, or was never the carrier's
     ├── CarrierRefusedError      the carrier understood and will not; repeating does not help
     └── CarrierUnavailableError  no answer, or none that tells; it may help to ask again

It refuses to know any carrier's fields, URLs and codes beyond their number.
"""

from typing import Protocol


class CarrierError(Exception):
    """A request to the carrier that did not do what was asked. ``operation`` names the request."""

    def __init__(self, operation: str, *details: object) -> None:
        super().__init__(operation, *details)
        self.operation = operation


class CallGoneError(CarrierError):
    """``sid`` names nothing that is in progress. ``code`` is the carrier's error code."""

    def __init__(self, operation: str, sid: str, code: int) -> None:
        super().__init__(operation, sid, code)
        self.sid, self.code = sid, code

    def __str__(self) -> str:
        return (
            f"{self.operation}: {self.sid} is not in progress (error {self.code}); if it should "
            "be, check that account and region are those of the call"
        )


class CarrierRefusedError(CarrierError):
    """The carrier said no. ``sentence`` is ours and says the fix where we know one."""

    def __init__(self, operation: str, code: int, sentence: str) -> None:
        super().__init__(operation, code, sentence)
        self.code, self.sentence = code, sentence

    def __str__(self) -> str:
        return f"{self.operation}: {self.sentence} (error {self.code})"


class CarrierUnavailableError(CarrierError):
    """The carrier gave no answer that counts. ``reason`` is ours.

    ``perhaps_done`` is False when the request certainly had no effect, so that a repeat is
    harmless whatever it asked for.
    """

    def __init__(self, operation: str, reason: str, *, perhaps_done: bool) -> None:
        super().__init__(operation, reason, perhaps_done)
        self.reason, self.perhaps_done = reason, perhaps_done

    def __str__(self) -> str:
        done = "it may have been done all the same" if self.perhaps_done else "nothing was done"
        return f"{self.operation}: {self.reason}; {done}"


class CallControl(Protocol):
    """Requests about calls in progress; every method raises ``CarrierError``.

    ``call_sid``, ``recording_sid`` and ``transcription_sid`` are the carrier's own ids. URLs are
    absolute and public.
    """

    async def hangup(self, call_sid: str) -> None:
        """End the call, whatever it is doing."""
        ...

    async def redirect(self, call_sid: str, document: str) -> None:
        """Make the call carry out ``document``, in the carrier's language, from now on."""
        ...

    async def start_recording(self, call_sid: str, *, callback_url: str) -> str:
        """Record both sides on two channels; return the recording's id."""
        ...

    async def pause_recording(self, call_sid: str, recording_sid: str, *, paused: bool) -> None:
        """Let a recording be silent, or go on."""
        ...

    async def stop_recording(self, call_sid: str, recording_sid: str) -> bool:
        """Stop a recording; return whether it was still going."""
        ...

    async def delete_recording(self, recording_sid: str) -> None:
        """Delete a finished recording; one that is gone already is no error."""
        ...

    async def start_transcription(
        self, call_sid: str, *, callback_url: str, language: str | None = None
    ) -> str:
        """Transcribe both sides (``language`` is a BCP 47 tag); return the transcription's id."""
        ...

    async def stop_transcription(self, call_sid: str, transcription_sid: str) -> None:
        """Stop a transcription."""
        ...

    async def aclose(self) -> None:
        """Close the connections to the carrier."""
        ...
