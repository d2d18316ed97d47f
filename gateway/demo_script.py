"""The caller's part of the demo, and what must come of it."""

from phone.caller import Voice
from phone.script import AwaitReply, AwaitSpeech, SayText, Script, Wait

AGENT = "receptionist:Receptionist"

BOOKING = {"people": 4, "day": "friday", "time": "19:30", "name": "Miller"}

_REPLY = AwaitReply(timeout_s=8, quiet_ms=700)

SCRIPT = Script(
    (
        _REPLY,
        SayText("I would like to book a table for four people on Friday at seven thirty."),
        _REPLY,
        SayText("My name is Miller."),
        _REPLY,
        SayText("Yes, that's right."),
        _REPLY,
        SayText("What are your specials?"),
        AwaitSpeech(timeout_s=8),
        Wait(2200),
        SayText("What are your opening hours?"),
        _REPLY,
        SayText("That's all, thank you."),
        _REPLY,
    )
)
"""Books a table, interrupts the agent once, asks the opening hours, says goodbye."""


def caller_voice() -> Voice:
    """Return a voice that is not the agent's."""
    from shared.speech.espeak import EspeakVoice

    return EspeakVoice(voice="en-us", rate=135, pitch=60)
