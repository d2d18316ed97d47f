"""An appointment line: who is it, what is it about, what was agreed."""

from datetime import date
from typing import Annotated

from pydantic import Field

from worker import Agent, HangUp, SearchKnowledge, Stage, ToolError, Transfer, tool
from worker.calendar import CalendarTools, FileCalendar, Hours
from worker.providers import Cartesia, Deepgram, OpenAI

CALENDAR = FileCalendar(
    "dental-help.sqlite",
    (Hours("mon-tue,thu-fri", "08:00", "17:00"), Hours("wed", "08:00", "12:00")),
    "Europe/Berlin",
    slot_minutes=15,
    lasts_minutes=45,
    capacity=2,
)
PATIENTS = {("ada lovelace", date(1975, 12, 10)): "P-1001"}
"""Who is known; ask the system that you have instead."""

_COMMON = {"agent_name": "Sara", "company": "Dental Help"}


class Clinic(Agent):
    """What both desks have in common."""

    stt = Deepgram(model="nova-3", keyterms=("Dental Help",))
    llm = OpenAI(model="gpt-4.1-mini", temperature=0.1)
    tts = Cartesia(voice="694f9389-aac1-45b6-b726-9d9369183238")
    instructions = "prompts/base.md"
    variables = _COMMON
    time_zone = "Europe/Berlin"


class Billing(Clinic):
    """Answers questions about bills; it has another voice and no calendar."""

    tts = Cartesia(voice="a0e99841-438c-4a64-b679-ae501e7d6091")
    stages = {
        "bills": Stage(
            "You are with Billing now. Bills are sent within four weeks and can be paid within "
            "thirty days. For anything else, transfer to the front desk."
        )
    }
    tools = (Transfer("front_desk"), HangUp())

    async def on_taken_over(self) -> None:
        """Say that somebody else is speaking now."""
        await self.say("This is Billing.")


class Reception(Clinic):
    """Verifies the caller, answers from the knowledge folder, books, sums up."""

    greeting = "{{ company }}, this is {{ agent_name }}. Who am I speaking with?"
    tools = (SearchKnowledge(), CalendarTools(CALENDAR), Transfer("front_desk"), HangUp())
    colleagues = (Billing,)
    stages = {
        "verify": Stage("prompts/verify.md", tools=("verify", "transfer")),
        "main": Stage(
            "prompts/main.md",
            tools=(
                *("search_knowledge", "free_slots", "book", "find_booking", "cancel_booking"),
                *("ask_billing", "transfer"),
            ),
            next=("summary",),
        ),
        "summary": Stage("prompts/summary.md", tools=("hang_up",)),
    }

    @tool
    def verify(
        self,
        name: Annotated[str, Field(min_length=1, max_length=100)],
        born: Annotated[date, Field(description="Date of birth.")],
    ) -> str:
        """Verify the caller by first and last name and date of birth."""
        number = PATIENTS.get((" ".join(name.lower().split()), born))
        if number is None:
            raise ToolError("Not confirmed: no patient of that name and date of birth.")
        self.state["patient"] = {"name": name, "number": number}
        self.enter("main")
        return "Confirmed."

    @tool
    async def ask_billing(self) -> str:
        """Hand the caller over to Billing."""
        await self.hand_over(Billing)
        return "Billing has taken over."
