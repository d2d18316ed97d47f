"""The stand-in's OpenAI Realtime: a session's events on its socket, GA shape.

The events are those of `tests.fakes.openai_realtime_voice`.
"""

import base64
from itertools import count
from typing import Any

import msgspec

from bench.model_side import Model

_ids = count(1)
_encode = msgspec.json.Encoder().encode


class Realtime(Model):
    """One session's socket."""

    _item = _response = _text = ""
    _metadata: dict[str, str] | None = None
    _audio_ms = 0.0
    _is_going = False

    def _send(self, kind: str, **fields: Any) -> None:
        self._door.tell(_encode({"type": kind, "event_id": f"event_{next(_ids)}", **fields}))

    def opened(self) -> None:
        """Tell that the session is there."""
        self._send("session.created", session={"id": f"sess_{next(_ids)}"})

    def told(self, text: bytes) -> None:
        """Take audio and what is ordered."""
        event = msgspec.json.decode(text)
        match event["type"]:
            case "input_audio_buffer.append":
                audio = base64.b64decode(event["audio"])
                self._audio_ms += len(audio) / 8
                self.hear(audio)
            case "session.update":
                self._send("session.updated", session={"id": "sess"})
            case "response.create":
                asked = event.get("response", {})
                self._metadata = asked.get("metadata")
                self.say(asked.get("instructions", "").rpartition("\n\n")[2])
            case "conversation.item.truncate":
                place = {"item_id": event["item_id"], "content_index": 0}
                self._send("conversation.item.truncated", **place)
            case "conversation.item.create":
                self._send("conversation.item.added", item=event["item"])

    def sounded(self) -> None:
        """Tell of the sound: that is what interrupts."""
        self._send(
            "input_audio_buffer.speech_started",
            audio_start_ms=self._audio_ms,
            item_id=self._new("item"),
        )

    def interrupted(self) -> None:
        """A response that is still being made is cancelled."""
        if self._is_going:
            self._end("cancelled", {"type": "cancelled", "reason": "turn_detected"})

    def turned(self, said: str) -> None:
        """Tell the caller's words."""
        item = self._item
        self._send("input_audio_buffer.speech_stopped", audio_end_ms=self._audio_ms, item_id=item)
        self._send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        kind = "conversation.item.input_audio_transcription.completed"
        self._send(kind, item_id=item, content_index=0, transcript=said)
        self._metadata = None

    def _new(self, kind: str) -> str:
        self._item = f"{kind}_{next(_ids)}"
        return self._item

    def begun(self) -> None:
        """Begin a response."""
        self._response, self._text, self._is_going = f"resp_{next(_ids)}", "", True
        self._new("item")
        self._send("response.created", response=self._wire("in_progress"))
        place = {"response_id": self._response, "output_index": 0}
        self._send("response.output_item.added", **place, item={"id": self._item})

    def piece(self, audio: bytes, text: str) -> None:
        """Send the text, and its audio."""
        place = {"response_id": self._response, "item_id": self._item, "content_index": 0}
        self._text += text
        self._send("response.output_audio_transcript.delta", **place, delta=text)
        delta = base64.b64encode(audio).decode()
        self._send("response.output_audio.delta", **place, delta=delta)

    def done(self) -> None:
        """End the response."""
        place = {"response_id": self._response, "item_id": self._item, "content_index": 0}
        self._send("response.output_audio.done", **place)
        kind = "response.output_audio_transcript.done"
        self._send(kind, **place, transcript=self._text)
        self._end("completed", None)

    def _end(self, status: str, details: dict[str, str] | None) -> None:
        self._is_going = False
        response = {**self._wire(status), "status_details": details}
        self._send("response.done", response=response)

    def _wire(self, status: str) -> dict[str, Any]:
        item = {"id": self._item, "type": "message", "status": status}
        return {
            "id": self._response,
            "status": status,
            "metadata": self._metadata,
            "output": [item] if status != "in_progress" else [],
        }
