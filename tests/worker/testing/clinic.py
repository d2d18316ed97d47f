"""An agent with a bit of everything, for the tests of the kit that agents are tested with."""

import asyncio
from typing import Annotated, ClassVar

from pydantic import Field

from worker import Agent, HangUp, Message, Stage, ToolError, Transfer, tool
from worker.stand_ins import CannedLLM, EnergySTT, ToneTTS


class Billing(Agent):
    """A colleague with a voice of its own."""

    stt = EnergySTT("other ears")
    llm = CannedLLM("Another model.")
    tts = ToneTTS()
    instructions = "You are Billing."

    async def on_taken_over(self) -> None:
        """Say who it is."""
        await self.say("This is Billing.")


class Clinic(Agent):
    """Verifies the caller, then books."""

    stt = EnergySTT()
    llm = CannedLLM("Of course.")
    tts = ToneTTS()
    instructions = "You answer for {{ call.to }}."
    greeting = "Dental Help, who is speaking?"
    tools = (HangUp(), Transfer("manager"))
    colleagues = (Billing,)
    stages: ClassVar = {
        "verify": Stage("Verify.", tools=("verify", "ask_pin", "slow", "broken", "transfer")),
        "main": Stage("Help.", tools=("book", "ask_billing"), next=("summary",)),
        "summary": Stage("Sum up.", tools=("hang_up",), tts=ToneTTS(), says="So."),
    }

    @tool
    def verify(self, name: str) -> str:
        """Verify the caller."""
        if name != "Ada":
            raise ToolError("Nobody of that name.")
        self.enter("main")
        return "Confirmed."

    @tool
    async def ask_pin(self) -> str:
        """Have the caller type a number."""
        await self.say("Type your number, please.")
        return await self.keys(timeout_s=10) or "no number came"

    @tool(on_barge_in="finish")
    async def slow(self) -> str:
        """Take a moment."""
        await asyncio.sleep(0.05)
        return "done at last"

    @tool
    async def broken(self) -> str:
        """Fail."""
        raise LookupError("no such table")

    @tool
    async def book(self, day: str, people: Annotated[int, Field(ge=1, le=12)]) -> str:
        """Book."""
        self.state["booked"] = day, people
        return f"Booked for {day}."

    @tool
    async def ask_billing(self) -> str:
        """Hand over."""
        await self.hand_over(Billing)
        return "Done."


class Parrot(Agent):
    """Has no model."""

    stt = EnergySTT()
    tts = ToneTTS()

    async def inference(self, message: Message[str]) -> None:
        """Say what it has heard."""
        await self.say(f"You said {message.data or 'nothing'}.")
