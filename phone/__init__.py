"""The built-in phone: a Twilio of the other side, to call a server with and to see what it does.

>>> phone = Phone("http://127.0.0.1:8000/twilio/voice", auth_token=token)
>>> async with phone.dial() as call:
...     await call.connected()
...     await call.say(ulaw)
...     await call.heard_speech(timeout=5)
"""

from phone.call import Call
from phone.journal import CallEndedError
from phone.phone import Phone
from phone.report import Report
from phone.rooms import Rooms
from phone.settings import Callee, CalleeOutcome, HangUpStep, PhoneSettings

__all__ = [
    "Call",
    "CallEndedError",
    "Callee",
    "CalleeOutcome",
    "HangUpStep",
    "Phone",
    "PhoneSettings",
    "Report",
    "Rooms",
]
