"""A model that is told the time of every turn, and has the whole call before it."""

from datetime import UTC, datetime

from worker import Agent, Message, RequestError
from worker.providers import Cartesia, Deepgram, OpenAI


class Assistant(Agent):
    """Greets, then answers; the carrier records and transcribes."""

    stt = Deepgram(model="nova-3", language="multi", endpointing_ms=500)
    llm = OpenAI(model="gpt-4.1-nano", temperature=1.0)
    tts = Cartesia(voice="694f9389-aac1-45b6-b726-9d9369183238")
    instructions = "You are a helpful assistant on the phone. Keep your answers short."
    greeting = "Hi, my name is Alex. What can I help you with today?"
    greeting_interruptible = False

    async def on_start(self) -> None:
        """Have the carrier record and transcribe, where it can be asked to."""
        try:
            await self.call.start_recording()
            await self.call.start_transcription()
        except RequestError as error:
            self.call.log("not recorded", "warning", why=error.sentence)

    async def on_carrier_recording(self, sid: str, status: str, url: str | None) -> None:
        """Keep where the recording is."""
        if url is not None:
            self.state["recording"] = url

    async def inference(self, message: Message[str]) -> None:
        """Put the time before what the caller said, and let the model answer."""
        if message.data:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            await super().inference(Message(message.uuid, f"{now}\n{message.data}"))
