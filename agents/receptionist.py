"""The receptionist of the restaurant Bella Vista: works as it is, with no account and no key."""

from bella_vista import GREETING, Dialogue, Then

from worker import Agent, Message, RequestError
from worker.providers import Espeak, PocketSphinx


class Receptionist(Agent):
    """Books tables, knows the opening hours and the specials, and can fetch the manager.

    A confirmed booking is in ``state["booking"]``:
    ``{"people": 4, "day": "friday", "time": "19:30", "name": "Miller"}``.
    """

    stt = PocketSphinx(grammar="grammars/receptionist.jsgf")
    tts = Espeak(voice="en-us", rate=165)
    greeting = GREETING

    async def inference(self, message: Message[str]) -> None:
        """Answer what the caller said."""
        reply = Dialogue(self.state).reply(message.data)
        await self.say(reply.text, interruptible=reply.then is Then.LISTEN)
        if reply.then is Then.TRANSFER:
            await self._fetch_manager()
        elif reply.then is Then.HANG_UP:
            await self.call.hangup()

    async def _fetch_manager(self) -> None:
        try:
            await self.call.transfer("manager")
        except RequestError:  # TRANSFER_NUMBERS has no manager, or the carrier refused
            await self.say("I am sorry, nobody can come to the phone. What can I do for you?")
