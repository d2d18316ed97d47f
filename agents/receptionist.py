"""The receptionist of the restaurant Bella Vista.

Works as it is, with no account and no key: then it knows the sentences of a grammar. With the keys
of hosted providers it hears, thinks and speaks by them (``callfarm doctor`` says which and why).
"""

from typing import Annotated, Literal

from bella_vista import GREETING, Dialogue, Then
from pydantic import Field

from worker import Agent, HangUp, Message, RequestError, Transfer, tool
from worker.providers import Espeak, PocketSphinx, hosted

Day = Literal["tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class OfflineReceptionist(Agent):
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


class HostedReceptionist(Agent):
    """The same with a language model: the booking lands in the same place."""

    greeting = GREETING
    instructions = "prompts/receptionist.md"
    tools = (HangUp(), Transfer("manager"))

    @tool(on_barge_in="finish")
    def book_table(
        self,
        people: Annotated[int, Field(ge=1, le=12)],
        day: Day,
        time: Annotated[str, Field(pattern=r"^(17|18|19|20|21):[0-5]\d$")],
        name: Annotated[str, Field(min_length=1, max_length=60)],
    ) -> str:
        """Book a table, once the caller has agreed to all of it.

        Args:
            people: how many.
            day: day of the week.
            time: as 24-hour HH:MM, from 17:00 to 21:30.
            name: under which the table is booked.
        """
        self.state["booking"] = {"people": people, "day": day, "time": time, "name": name}
        return f"Booked for {people} on {day} at {time}, name {name}."


_ENGINES = hosted()
if _ENGINES is not None:
    HostedReceptionist.stt, HostedReceptionist.llm, HostedReceptionist.tts = _ENGINES

Receptionist: type[Agent] = OfflineReceptionist if _ENGINES is None else HostedReceptionist
"""Who answers."""
