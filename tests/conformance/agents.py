"""The agents of the conformance suite, one for each number, whatever hears, thinks and speaks."""

from tests.conformance.house import House

_SOURCE = '''
import asyncio
from typing import Annotated
from pydantic import Field
from worker import *
from worker.providers import *
{imports}

class Desk(Agent):
{providers}
    network_ms = 0
    instructions = "You are the desk; {{{{ call.from_ }}}} is calling."
    greeting = "Good evening."

class Waiting(Desk):
    greeting = None

class Stubborn(Desk):
    greeting = "Listen to all of this first, because it is worth it."
    greeting_interruptible = False

class Clerk(Desk):
    tools = (HangUp(), Transfer("manager"), WarmTransfer("manager"))

    @tool
    async def book(self, people: Annotated[int, Field(ge=1, le=12)]) -> str:
        """Book a table."""
        self.state.setdefault("tables", []).append(people)
        return f"Booked for {{people}}."

    @tool
    def fragile(self) -> str:
        """Break."""
        raise LookupError("nobody is to read this")

    @tool(limit_s=0.9, filler="Let me see.", filler_after_s=0.1)
    async def slow(self) -> str:
        """Take too long."""
        await asyncio.sleep(30)

    @tool
    async def think(self) -> str:
        """Take a while."""
        await asyncio.sleep(1.0)
        return "It is so."

class Staged(Desk):
    stages = {{
        "verify": Stage("Ask for the name.", tools=("verify",)),
        "main": Stage("Take the booking.", tools=("note",), next=("summary",)),
        "summary": Stage("Say what was agreed.", tools=()),
    }}

    @tool
    def verify(self, name: str) -> str:
        """Verify the caller."""
        self.state["name"] = name
        self.enter("main")
        return "Confirmed."

    @tool
    def note(self, text: str) -> str:
        """Note something."""
        return "Noted down."

class Quiet(Desk):
    turns = Turns(
        silence_s=0.7, ask_times=1, still_there="Still there?", goodbye="Nobody there, goodbye."
    )

class Keypad(Desk):
    turns = Turns(keys_timeout_s=0.3)

class Recorded(Desk):
    async def on_start(self):
        await self.call.start_recording()

    async def on_turn(self, turn):
        self.state["turns"] = turn.number

class Spared(Desk):
{spares}
'''

TOOLS = (
    *("book", "fragile", "slow", "think", "verify", "note"),
    *("hang_up", "transfer", "transfer_warm", "move_to_stage"),
)
"""What all agents have together: where tools are set up at the service, these are."""

_KINDS = (
    *("Desk", "Waiting", "Stubborn", "Clerk", "Staged", "Quiet", "Keypad", "Recorded"),
    "Spared",
)
NUMBERS = {kind: f"+1555000{7000 + at}" for at, kind in enumerate(_KINDS)}


def agents(house: House, spare: str) -> dict[str, str]:
    """Return the files of the agents folder of a house."""
    source = _SOURCE.format(
        imports=house.imports, providers=house.lines(), spares=house.lines(spare)
    )
    routes = 'default = "desk:Desk"\n[numbers]\n' + "".join(
        f'"{number}" = "desk:{kind}"\n' for kind, number in NUMBERS.items()
    )
    return {"desk.py": source, "routes.toml": routes}
