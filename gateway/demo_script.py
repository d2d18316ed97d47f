"""The caller's part of the demo, and what must come of it."""

from phone.caller import Voice
from phone.script import AwaitReply, AwaitSpeech, SayText, Script, Wait

AGENT = "receptionist:Receptionist"

BOOKING = {"people": 4, "day": "friday", "time": "19:30", "name": "Miller"}

_REPLY = AwaitReply(timeout_s=8, quiet_ms=700)

SCRIPT = Script(
    (
        _REPLY,
        SayText("hello i would like to book a table for four on friday at half past seven please"),
        _REPLY,
        SayText("my name is miller"),
        _REPLY,
        SayText("yes please"),
        _REPLY,
        SayText("what are the specials"),
        AwaitSpeech(timeout_s=8),
        Wait(2200),
        SayText("what are your opening hours"),
        _REPLY,
        SayText("thank you goodbye"),
        _REPLY,
    )
)
"""Books a table, interrupts the agent once, asks the opening hours, says goodbye."""


def caller_voice() -> Voice:
    """Return a voice that is not the agent's."""
    from shared.speech.espeak import EspeakVoice

    return EspeakVoice(voice="en-us+klatt4", rate=160, pitch=50)
