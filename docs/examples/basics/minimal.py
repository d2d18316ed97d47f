"""The smallest agent that answers."""

from worker import Agent, Message
from worker.providers import Espeak, PocketSphinx


class Parrot(Agent):
    """Says what it has heard."""

    stt = PocketSphinx(grammar="#JSGF V1.0; grammar g; public <any> = hello | goodbye | yes | no;")
    tts = Espeak()

    async def inference(self, message: Message[str]) -> None:
        await self.say(f"You said {message.data}.")
