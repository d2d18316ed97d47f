"""What Twilio's debugger would say: a numbered error or warning.

Codes are those of Twilio's error dictionary. `NOT_CARRIED_OUT` is the phone's own: the document is
good TwiML that this phone does not act on.
"""

import msgspec

NOT_CARRIED_OUT = 0


class Problem(msgspec.Struct, frozen=True):
    """One entry of the debugger: ``code`` (Twilio's), the sentence, and whether only a warning."""

    code: int
    text: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        return f"{kind} {self.code}: {self.text}" if self.code else f"not carried out: {self.text}"
