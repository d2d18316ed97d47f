"""What Bella Vista's receptionist says: the dialogue, and nothing of telephones or speech.

    "a table" ──> people? ──> day? ──> time? ──> name? ──> "is that right?" ──yes──> booked
                  what the caller says unasked is not asked for      └no──> corrected

`Dialogue` keeps all it knows in one dictionary of plain values, so that a call which lost its
process goes on where it was.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

GREETING = "Bella Vista, good evening. How can I help you?"

HOURS = "We are open every day but Monday, from five in the afternoon until eleven at night."

SPECIALS = (
    "Tonight we have grilled sea bass with lemon and fennel. "
    "There is fresh pasta with mushrooms and parmesan. "
    "The chef also recommends the slow roasted lamb with rosemary potatoes. "
    "And for dessert, there is a lemon tart, or our own vanilla ice cream."
)

UNCLEAR = (
    "Sorry, I did not understand.",
    "Sorry, I still did not understand. You can book a table, ask for our opening hours, "
    "or ask for the specials.",
)
"""Said the first and the second time in a row; the third time the manager takes over."""

QUESTIONS = {
    "people": "For how many people?",
    "day": "For which day?",
    "time": "At what time?",
    "name": "What name shall I put it under?",
}
"""What a booking needs, and in which order it is asked for."""

ONE_TO_TWELVE = "one two three four five six seven eight nine ten eleven twelve"
NUMBERS = {word: number for number, word in enumerate(ONE_TO_TWELVE.split(), start=1)}
OPEN_DAYS = ("tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CLOSED_DAY = "monday"
MINUTES = {"fifteen": 15, "thirty": 30, "forty five": 45, "quarter past": 15, "half past": 30}

_NUMBER = "|".join(NUMBERS)
_BARE_NUMBER = re.compile(rf"({_NUMBER})( please)?")
_PEOPLE = re.compile(rf"\bfor ({_NUMBER})\b|\b({_NUMBER}) people\b")
_DAY = re.compile(rf"\b(today|tonight|tomorrow|{CLOSED_DAY}|{'|'.join(OPEN_DAYS)})\b")
_TIME = re.compile(
    rf"\b(half past|quarter past|quarter to) ({_NUMBER})\b"
    rf"|\b(?:at )?({_NUMBER}) (o'clock|fifteen|thirty|forty five)\b|\bat ({_NUMBER})\b"
)
_NAME = re.compile(r"\b(baker|cooper|davis|jones|martin|miller|parker|smith|taylor|wilson)\b")


class Then(Enum):
    """What the agent does after it has spoken."""

    LISTEN = "listen"
    TRANSFER = "transfer"
    HANG_UP = "hang up"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to the caller."""

    text: str
    then: Then = Then.LISTEN


class Dialogue:
    """One caller's conversation.

    Its memory is ``state``, which it reads and changes: ``draft`` is a booking in the making,
    ``booking`` the one the caller has confirmed, ``unclear`` how often in a row nothing was
    understood, ``said`` the last answer.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def reply(self, heard: str) -> Reply:
        """Answer what the caller said; ``heard`` is empty if that was not understood."""
        reply = self._answer(heard) if heard else None
        if reply is None:
            return self._unclear()
        self._state.update(unclear=0, said=reply.text)
        return reply

    def _answer(self, heard: str) -> Reply | None:
        """Return the answer, None if ``heard`` makes no sense at this point."""
        if asked := self._request(heard):
            return asked
        return self._go_on(heard) if "draft" in self._state else self._begin(heard)

    def _request(self, heard: str) -> Reply | None:
        """What a caller may want at any point."""
        if _says(heard, "speak to", "talk to"):
            return Reply("One moment, I am putting you through to the manager.", Then.TRANSFER)
        if _says(heard, "bye", "goodbye", "all"):
            return self._goodbye()
        if _says(heard, "open", "close", "opening"):
            closed = CLOSED_DAY in heard
            return self._aside("We are closed on Mondays." if closed else HOURS)
        if _says(heard, "specials", "menu"):
            return self._aside(SPECIALS)
        if _says(heard, "sorry", "pardon", "repeat"):
            return Reply(self._state.get("said", GREETING))
        return None

    def _goodbye(self) -> Reply:
        booking = self._state.get("booking")
        see_you = f"See you {_spoken_day(booking['day'])}. " if booking else ""
        return Reply(f"Thank you for calling. {see_you}Goodbye!", Then.HANG_UP)

    def _aside(self, text: str) -> Reply:
        """Answer a question, then go back to the booking, or offer one."""
        if "draft" in self._state:
            return Reply(f"{text} {self._question()}")
        if "booking" in self._state:
            return Reply(text)
        return Reply(f"{text} Would you like to book a table?")

    def _begin(self, heard: str) -> Reply | None:
        """Nothing is being booked."""
        slots = slots_in(heard)
        booked = "booking" in self._state
        if slots or _says(heard, "book", "reserve") or (_says(heard, "yes") and not booked):
            return self._fill(slots)
        if heard.startswith("no") and booked:
            return self._goodbye()
        if _says(heard, "hello", "hi", "good"):
            return Reply("Hello! Would you like to book a table?")
        if _says(heard, "no", "thank", "thanks"):
            return Reply("Is there anything else I can do for you?")
        return None

    def _go_on(self, heard: str) -> Reply | None:
        """A booking is in the making."""
        missing = self._missing()
        slots = slots_in(heard, asked=missing[0] if missing else "")
        if slots:
            return self._fill(slots)
        if heard.startswith("no"):
            return Reply(f"What shall I change? So far I have {_spoken(self._state['draft'])}.")
        if _says(heard, "yes", "right", "correct") and not missing:
            self._state["booking"] = self._state.pop("draft")
            return Reply("Your table is booked. Is there anything else I can do for you?")
        return None

    def _fill(self, slots: dict[str, Any]) -> Reply:
        """Note what was said, and ask for what is missing."""
        closed = slots.get("day") == CLOSED_DAY
        known = {slot: value for slot, value in slots.items() if value != CLOSED_DAY}
        self._state["draft"] = self._state.get("draft", {}) | known
        if closed:
            return Reply("I am sorry, we are closed on Mondays. Which other day would suit you?")
        return Reply(self._question())

    def _missing(self) -> list[str]:
        return [slot for slot in QUESTIONS if slot not in self._state["draft"]]

    def _question(self) -> str:
        missing = self._missing()
        if missing:
            return QUESTIONS[missing[0]]
        return f"So that is {_spoken(self._state['draft'])}. Is that right?"

    def _unclear(self) -> Reply:
        times = self._state["unclear"] = self._state.get("unclear", 0) + 1
        if times > len(UNCLEAR):
            self._state["unclear"] = 0
            return Reply("I am sorry. Let me put you through to the manager.", Then.TRANSFER)
        question = f" {self._question()}" if "draft" in self._state else ""
        return Reply(UNCLEAR[times - 1] + question)


def slots_in(heard: str, asked: str = "") -> dict[str, Any]:
    """Return what ``heard`` says of a booking: people, day, time ("19:30"), name.

    ``asked`` is the slot that was asked for: it decides what a bare number means.
    """
    slots: dict[str, Any] = {}
    if bare := _BARE_NUMBER.fullmatch(heard):
        number = NUMBERS[bare[1]]
        return {"people": number} if asked != "time" else {"time": f"{12 + number}:00"}
    if people := _PEOPLE.search(heard):
        slots["people"] = NUMBERS[people[1] or people[2]]
    if day := _DAY.search(heard):
        slots["day"] = day[1]
    if time := _TIME.search(heard):
        slots["time"] = _clock(time)
    if name := _NAME.search(heard):
        slots["name"] = name[1].capitalize()
    return slots


def _clock(time: re.Match[str]) -> str:
    """Return "19:30" for "half past seven": every hour is one of the evening."""
    hour = 12 + NUMBERS[time[2] or time[3] or time[5]]
    if time[1] == "quarter to":
        return f"{hour - 1}:45"
    return f"{hour}:{MINUTES.get(time[1] or time[4], 0):02}"


def _says(heard: str, *words: str) -> bool:
    return any(f" {word} " in f" {heard} " for word in words)


def _spoken(draft: dict[str, Any]) -> str:
    """Say a booking, or as much of it as there is."""
    parts = ["a table"]
    if "people" in draft:
        parts.append(f"for {draft['people']}")
    if "day" in draft:
        parts.append(_spoken_day(draft["day"]))
    if "time" in draft:
        parts.append(f"at {_spoken_time(draft['time'])}")
    if "name" in draft:
        parts.append(f"in the name of {draft['name']}")
    return " ".join(parts)


def _spoken_day(day: str) -> str:
    return f"on {day.capitalize()}" if day in OPEN_DAYS else day


def _spoken_time(time: str) -> str:
    hour, minute = map(int, time.split(":"))
    return f"{hour - 12} {minute}" if minute else f"{hour - 12} o'clock"
