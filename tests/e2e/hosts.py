"""The agents of the whole conversations, one for each number: what the tests of them deploy."""

from tests.e2e.cascade import DESK

AGENTS = (
    DESK
    + '''
from typing import Annotated
from pydantic import Field

class Host(Desk):
    instructions = "prompts/host.md"
    greeting = "Bella Vista, good evening."
    tools = (HangUp(), Transfer("manager"), SearchKnowledge())
    stages = {
        "verify": Stage("Ask for the name.", tools=("verify",)),
        "main": Stage(
            "Take the booking.",
            tools=("book", "fragile", "slow", "search_knowledge", "transfer"),
            next=("summary",),
        ),
        "summary": Stage(
            "Say what was agreed.",
            tools=("hang_up",),
            tts=ElevenLabs(),
            keep=6,
            says="To sum up.",
        ),
    }

    @tool
    def verify(self, name: str) -> str:
        """Verify the caller."""
        self.state["name"] = name
        self.enter("main")
        return "Confirmed."

    @tool
    async def book(self, people: Annotated[int, Field(ge=1, le=12)]) -> str:
        """Book a table."""
        self.state.setdefault("tables", []).append(people)
        return f"Booked for {people}."

    @tool
    def fragile(self) -> str:
        """Break."""
        raise LookupError("nobody is to read this")

    @tool(limit_s=0.8, filler="Let me see.", filler_after_s=0.1)
    async def slow(self) -> str:
        """Take too long."""
        await asyncio.sleep(30)

    async def on_turn(self, turn) -> None:
        self.state["turns"] = turn.number
        self.state.setdefault("called", []).extend(turn.tools)

class Quiet(Desk):
    turns = Turns(
        silence_s=0.7, ask_times=1, still_there="Still there?", goodbye="Nobody there, goodbye."
    )

class Brief(Desk):
    turns = Turns(longest_s=2.0, warn_s=1.2, warning="A second left.", time_up="Time is up.")

class Keypad(Desk):
    turns = Turns(keys_timeout_s=0.4)

    @tool
    async def ask_number(self) -> str:
        """Have the caller enter a number."""
        return "They entered " + await self.keys(5)

class Clerk(Desk):
    tts = ElevenLabs()
    instructions = "You are the clerk."

    async def on_taken_over(self) -> None:
        await self.say("The clerk speaking.")

class Busy(Desk):
    colleagues = (Clerk,)

    @tool
    async def read(self) -> str:
        """Read for long."""
        await asyncio.sleep(30)

    @tool(on_barge_in="finish")
    async def write(self) -> str:
        """Write for a while."""
        await asyncio.sleep(1.2)
        self.state["written"] = True
        return "It is written."

    @tool
    async def clerk(self) -> str:
        """Hand over."""
        self.state["by"] = "busy"
        await self.hand_over(Clerk)
        return "The clerk has taken over."

class Flux(Desk):
    stt = DeepgramFlux()

class Transcribed(Desk):
    stt = OpenAITranscription(silence_duration_ms=200)

class Aura(Desk):
    tts = DeepgramAura()

class Spoken(Desk):
    tts = OpenAISpeech()

class Eleven(Desk):
    tts = ElevenLabs()
'''
)
KINDS = (
    "Desk",
    "Host",
    "Quiet",
    "Brief",
    "Keypad",
    "Busy",
    "Flux",
    "Transcribed",
    "Aura",
    "Spoken",
    "Eleven",
)
NUMBERS = {kind: f"+1555000{4000 + at}" for at, kind in enumerate(KINDS)}
SOURCES = {
    "desk.py": AGENTS,
    "prompts/host.md": "You are the host; {{ call.from_ }} is calling.",
    "knowledge/house.md": "# Dogs\n\nDogs are welcome in the garden.\n\n# Cards\n\nNo cards.\n",
    "routes.toml": 'default = "desk:Desk"\n[numbers]\n'
    + "".join(f'"{number}" = "desk:{kind}"\n' for kind, number in NUMBERS.items()),
}
