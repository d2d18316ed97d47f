"""A conversation with an ElevenLabs agent: its wire, told as the events of `worker.speech`. Pure.

    socket ──message──> read ──> Audio, events   for the call
                             └─> Reply           for the socket
    call ──cut, say, answered ──> messages       for the socket

There is no message to make an agent say something, or to stop it: the first is asked of the model
as if by the caller, the second is not listening to it, and telling it so.
"""

from collections import deque

import msgspec

from shared.log import get_logger
from worker.errors import ProviderError
from worker.llm import Brief
from worker.speech import Call, CallerSaid, CallerStarted, CallerStopped, ToolsWanted
from worker.speech import elevenlabs_wire as wire
from worker.speech.elevenlabs_audio import Down
from worker.speech.elevenlabs_utterances import Audio, Heard, Utterances

STAGE = "stage"
"""What instructions are named, so that the next ones take their place."""

VOICE_BEGINS, VOICE_ENDS = 0.6, 0.3
"""Scores of voice detection, 0 to 1."""

_log = get_logger(__name__)


class Reply(msgspec.Struct, frozen=True):
    """A message that is to be sent."""

    message: bytes


class Conversation:
    """One conversation, from its first event on. ``down`` makes μ-law of the agent's audio."""

    def __init__(self, down: Down) -> None:
        self._down = down
        self._utterances = Utterances()
        self._turns = 0
        self._speaks = False
        self._has_scores = False
        self._typed: deque[str] = deque(maxlen=4)
        """What was said in the caller's name: should it be transcribed, the caller never said it.
        """
        self._told: wire.Told | None = None

    # What the service says -------------------------------------------------------------------

    def read(self, raw: bytes | str, now: float) -> list[Heard | Reply]:
        """Return what a message says; what cannot be read says nothing."""
        event = wire.read(raw)
        if event is None:
            _log.debug("elevenlabs_unreadable")
            return []
        match event.type:
            case "ping" if event.ping is not None:
                number = event.ping.event_id
                return [Reply(wire.pong(number))] if number is not None else []
            case "error":
                self._trouble(event.error or wire.Told())
            case "client_tool_call" if event.tool_call is not None:
                return self._wanted(event.tool_call, now)
        return [*self._of_agent(event, now), *self._of_caller(event, now)]

    def _of_agent(self, event: wire.Event, now: float) -> list[Heard]:
        match event.type:
            case "audio" if event.audio is not None:
                audio = self._down.feed(event.audio.audio_base_64)
                letters = wire.letters(event.audio.alignment)
                return self._utterances.audio(event.audio.event_id, audio, letters, now)
            case "agent_response" if event.response is not None:
                response = event.response
                return self._utterances.response(response.event_id, response.agent_response, now)
            case "agent_response_correction" if event.correction is not None:
                said = event.correction
                return self._utterances.corrected(
                    said.original_agent_response, said.corrected_agent_response
                )
            case "interruption":
                event_id = event.interruption.event_id if event.interruption else None
                return self._utterances.interrupted(event_id)
        return []

    def _wanted(self, call: wire.ToolCall, now: float) -> list[Heard | Reply]:
        arguments = bytes(call.parameters).decode("utf-8", "replace") or "{}"
        wanted = ToolsWanted((Call(call.tool_call_id, call.tool_name, arguments),))
        return [*self._utterances.caller_took_turn(now), wanted]

    def _of_caller(self, event: wire.Event, now: float) -> list[Heard]:
        match event.type:
            case "vad_score" if event.voice is not None:
                self._has_scores = True
                score = event.voice.vad_score
                return self._sounds(score >= (VOICE_ENDS if self._speaks else VOICE_BEGINS))
            case "tentative_user_transcript" if event.tentative is not None:
                is_sound = not self._has_scores and bool(event.tentative.user_transcript.strip())
                return self._sounds(self._speaks or is_sound)
            case "user_transcript" if event.transcript is not None:
                return self._said(event.transcript.user_transcript, now)
        return []

    def _sounds(self, speaks: bool) -> list[Heard]:
        was, self._speaks = self._speaks, speaks
        if was == speaks:
            return []
        return [CallerStarted() if speaks else CallerStopped()]

    def _said(self, text: str, now: float) -> list[Heard]:
        if text in self._typed:
            self._typed.remove(text)
            return []
        self._turns += 1
        said = CallerSaid(f"caller-{self._turns}", text.strip())
        return [*self._sounds(False), *self._utterances.caller_took_turn(now), said]

    def _trouble(self, told: wire.Told) -> None:
        self._told = told
        _log.warning("elevenlabs_error", kind=told.error_type, code=told.code)

    # Time and the end ------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When `expire` is to be called at the latest."""
        return self._utterances.due

    def expire(self, now: float) -> list[Heard]:
        """Return what is over by now."""
        return self._utterances.expire(now)

    def close(self) -> list[Heard]:
        """Return what is over because the socket is closed."""
        return self._utterances.close()

    def fault(self, code: int | None, reason: str) -> ProviderError:
        """Return why the socket has ended, by its close and by what was told before."""
        return wire.fault(code, reason, self._told)

    # What the call says ----------------------------------------------------------------------

    def take_over(self, known: str, line: str) -> list[bytes]:
        """Go on with a call: tell what is ``known`` of it, have the caller's ``line`` answered."""
        told = [wire.context(known)] if known else []
        return [*told, wire.user_message(line)] if line else told

    def say(self, text: str) -> list[bytes]:
        """Ask the model to say ``text``."""
        quoted = " ".join(text.split())
        return self.tell(f'Say this to the caller now, word for word, and nothing else: "{quoted}"')

    def tell(self, text: str) -> list[bytes]:
        """Say ``text`` in the caller's name."""
        self._typed.append(text)
        return [wire.user_message(text)]

    def answered(self, call_id: str, text: str, failed: bool, brief: Brief | None) -> list[bytes]:
        """Answer a tool; what the model goes on by is told before."""
        moved = [] if brief is None else self.brief(brief)
        return [*moved, wire.tool_result(call_id, text, failed)]

    def brief(self, brief: Brief) -> list[bytes]:
        """Give the model other instructions, as far as it can be told."""
        if not brief.system.strip():
            return []
        text = f"From now on these instructions hold, instead of earlier ones:\n\n{brief.system}"
        return [wire.context(text, STAGE)]

    def cut(self, utterance: str, heard_ms: float) -> list[bytes]:
        """Listen to no more of an utterance, and tell the model, if it does not know."""
        heard = self._utterances.cut(utterance, heard_ms)
        if heard is None:
            return []
        what = f'only this of it: "{heard}"' if heard else "little or nothing of it"
        told = f"What you said last was cut off. The caller has heard {what}"
        return [wire.user_activity(), wire.context(told)]


__all__ = ["Audio", "Conversation", "Heard", "Reply"]
