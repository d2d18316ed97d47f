"""Bella Vista: tables with confirmation codes, specials, opening hours, and a human when needed."""

from datetime import date

from worker import Agent, HangUp, RequestError, ToolError, Turns, tool
from worker.calendar import CalendarTools, FileCalendar, Hours
from worker.providers import Cartesia, DeepgramFlux, ElevenLabs, OpenAI

ZONE = "Europe/Rome"
HOURS = (Hours("tue-sun", "17:00", "23:00"),)
TABLES = FileCalendar(
    "bella-vista.sqlite",
    HOURS,
    ZONE,
    slot_minutes=30,
    lasts_minutes=120,
    capacity=40,
    most_places=12,
    code_letters=3,
)
SPECIALS = {
    "starter": "fresh pasta with mushrooms and parmesan",
    "main": "grilled sea bass with lemon and fennel",
    "dessert": "lemon tart",
}


class Sofia(Agent):
    """Answers for Bella Vista."""

    stt = DeepgramFlux(keyterms=("Bella Vista", "Sofia"))
    llm = OpenAI(model="gpt-4.1-mini", temperature=0.3)
    tts = (Cartesia(voice="694f9389-aac1-45b6-b726-9d9369183238"), ElevenLabs())
    instructions = "prompts/sofia.md"
    greeting = "Bella Vista, this is Sofia. How can I help?"
    time_zone = ZONE
    tools = (CalendarTools(TABLES), HangUp())
    turns = Turns(silence_s=15, still_there="Hello, are you still there?")

    @tool
    def daily_specials(self) -> dict[str, str]:
        """Tell today's specials."""
        return SPECIALS

    @tool
    def opening_hours(self) -> dict[str, object]:
        """Tell the opening hours, and whether the restaurant is open now."""
        return {"hours": "Tuesday to Sunday, 17:00 to 23:00", "open_now": self._is_open()}

    @tool(speak_first=True)
    async def transfer_call(self, reason: str) -> str:
        """Connect the caller with a human. Say that you do, in the same turn.

        Args:
            reason: why, in a few words.
        """
        self.state["transfer_reason"] = reason
        try:
            await self.call.transfer("manager" if self._is_open() else "voicemail")
        except RequestError as error:
            raise ToolError("Nobody can take the call now: offer to take a message.") from error
        return "The caller is being connected."

    def _is_open(self) -> bool:
        now = TABLES.now()
        day: date = now.date()
        spans = (hours.open_on(day, now.tzinfo) for hours in HOURS)  # type: ignore[arg-type]
        return any(span is not None and span[0] <= now < span[1] for span in spans)
