"""Why a call was not placed, or why nobody knows whether it was.

DialError
 ├── DialRefusedError      it will not be: the number, the company, the agent, or the carrier's no
 ├── DialUnavailableError  it was not, and may be if it is asked for again
 └── DialInDoubtError      a phone may be ringing: it is being found out, ask later, do not repeat

`gateway.dialer.numbers.NumberRefusedError` comes before all of them.
"""


class DialError(Exception):
    """A call that was not placed for certain."""


class DialRefusedError(DialError):
    """``reason`` is for programs, ``sentence`` for people; ``code`` is the carrier's, or 0."""

    def __init__(self, reason: str, sentence: str, code: int = 0) -> None:
        super().__init__(reason, sentence, code)
        self.reason, self.sentence, self.code = reason, sentence, code

    def __str__(self) -> str:
        return self.sentence


class DialUnavailableError(DialError):
    """Nothing was done; ``sentence`` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class DialInDoubtError(DialError):
    """The carrier did not answer when it was asked for the call that we call ``id``."""

    def __init__(self, dial_id: str, sentence: str) -> None:
        super().__init__(dial_id, sentence)
        self.id, self.sentence = dial_id, sentence

    def __str__(self) -> str:
        return f"{self.sentence}; whether the phone rings is being found out: do not dial again"
