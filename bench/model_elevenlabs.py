"""The stand-in's ElevenLabs agent: a signed address by REST, and μ-law in JSON on its socket.

The messages are those of `tests.fakes.elevenlabs_agents`.
"""

import base64
from itertools import count
from typing import Any

import msgspec

from bench.model_side import Answer, Model
from bench.provider_door import Door
from shared.audio import ms_of_bytes

AGENT_ID = "agent_bench"
_ids = count(1)
_encode = msgspec.json.Encoder().encode


def signed_url(door: Door, port: int) -> Answer:
    """Return who answers a request for a signed address."""
    path = f"/v1/convai/conversation?agent_id={AGENT_ID}&conversation_signature={next(_ids)}"
    return Answer(door, b"200 OK", _encode({"signed_url": f"ws://127.0.0.1:{port}{path}"}))


class Agent(Model):
    """One conversation's socket."""

    _number = 0
    _text = ""
    _is_first = False

    def _send(self, kind: str, payload: str, **fields: Any) -> None:
        self._door.tell(_encode({"type": kind, payload: fields}))

    def _next_id(self) -> int:
        self._number += 1
        return self._number

    def told(self, text: bytes) -> None:
        """Take audio; begin when that is asked for."""
        message = msgspec.json.decode(text)
        if "user_audio_chunk" in message:
            self.hear(base64.b64decode(message["user_audio_chunk"]))
        elif message["type"] == "conversation_initiation_client_data":
            event = "conversation_initiation_metadata"
            self._send(
                event,
                f"{event}_event",
                conversation_id=f"conv_{next(_ids)}",
                agent_output_audio_format="ulaw_8000",
                user_input_audio_format="ulaw_8000",
            )
            agent = message.get("conversation_config_override", {}).get("agent", {})
            if agent.get("first_message"):
                self.say(agent["first_message"])

    def sounded(self) -> None:
        """Tell that somebody speaks."""
        self._send("vad_score", "vad_score_event", vad_score=0.93)

    def interrupted(self) -> None:
        """Interrupt, and correct what was said."""
        self._send("interruption", "interruption_event", event_id=self._next_id())
        self._send(
            "agent_response_correction",
            "agent_response_correction_event",
            original_agent_response=self._text,
            corrected_agent_response="Call...",
            event_id=self._next_id(),
        )

    def turned(self, said: str) -> None:
        """Tell the caller's words."""
        self._send("vad_score", "vad_score_event", vad_score=0.04)
        self._send(
            "user_transcript",
            "user_transcription_event",
            user_transcript=said,
            event_id=self._next_id(),
        )

    def say(self, text: str) -> None:
        """Say something, from now on."""
        self._text, self._is_first = text, True
        super().say(text)

    def piece(self, audio: bytes, text: str) -> None:
        """Send audio with its alignment, and the whole text behind the first of it."""
        step = ms_of_bytes(len(audio)) / max(1, len(text))
        self._send(
            "audio",
            "audio_event",
            audio_base_64=base64.b64encode(audio).decode(),
            event_id=self._next_id(),
            alignment={
                "chars": list(text),
                "char_start_times_ms": [round(step * at) for at in range(len(text))],
                "char_durations_ms": [round(step)] * len(text),
            },
        )
        if self._is_first:
            self._is_first = False
            self._send(
                "agent_response",
                "agent_response_event",
                agent_response=self._text,
                event_id=self._next_id(),
            )
