"""What a call was like: its events, both sides as heard, and what follows from them."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TypeVar

import msgspec

from phone.events import (
    AgentBegan,
    CallerSpoke,
    Ended,
    Ending,
    Event,
    Noticed,
    StreamStarted,
    WebhookFailed,
)
from phone.problem import Problem
from shared.audio import write_stereo_wav

E = TypeVar("E", bound=Event)


class Reply(msgspec.Struct, frozen=True):
    """A phrase of the caller and how long, in ms, until the agent was heard after it."""

    label: str
    took_ms: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """One finished call. Audio is μ-law 8 kHz; both tracks have one clock and one length."""

    call_sid: str
    from_: str
    to: str
    events: tuple[Event, ...]
    caller_audio: bytes
    agent_audio: bytes
    media_sent: int
    """``media`` messages sent to the server."""
    media_received: int
    """Valid ``media`` messages of the server."""
    messages_dropped: int
    """Messages of the server that Twilio would have dropped."""

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, in their order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def status(self) -> str:
        """The call's final status."""
        return self.of(Ended)[0].status

    @property
    def how(self) -> Ending:
        """Who ended the call."""
        return self.of(Ended)[0].how

    @property
    def duration_ms(self) -> float:
        """From dialling to the end."""
        return self.of(Ended)[0].at_ms

    @property
    def streams(self) -> int:
        """How many streams were started."""
        return len(self.of(StreamStarted))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything Twilio's debugger would show."""
        return tuple(
            event.problem for event in self.events if isinstance(event, Noticed | WebhookFailed)
        )

    @property
    def replies(self) -> tuple[Reply, ...]:
        """For each phrase of the caller, the agent's first speech that began after its end.

        A phrase that the caller followed with another before the agent began has no reply.
        """
        phrases = self.of(CallerSpoke)
        begins = [event.at_ms for event in self.of(AgentBegan)]
        limits = [*(phrase.from_ms for phrase in phrases), inf][1:]
        return tuple(
            Reply(phrase.label, _first_between(begins, phrase.until_ms, before))
            for phrase, before in zip(phrases, limits, strict=True)
        )

    def save_audio(self, path: Path) -> None:
        """Write the call as heard: a stereo WAV, caller left, agent right."""
        write_stereo_wav(path, self.caller_audio, self.agent_audio)


def _first_between(moments: list[float], after: float, before: float) -> float | None:
    return next((moment - after for moment in moments if after <= moment < before), None)
