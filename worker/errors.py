"""What can go wrong in a call process, as a tree.

CallError                 ours: all of these
├── RequestError          the gateway or the carrier did not do what was asked
├── CallOverError         the caller is gone
└── ProviderError         a speech or language provider failed
"""


class CallError(Exception):
    """Root of what this package raises at an agent."""


class RequestError(CallError):
    """A request was refused or failed. ``code`` is for programs, ``sentence`` for people."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        super().__init__(code, sentence)

    def __str__(self) -> str:
        return f"{self.sentence} ({self.code})"


class CallOverError(CallError):
    """The call ended while the agent waited for something on it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return f"the call is over: {self.reason}"


class ProviderError(CallError):
    """``provider`` failed; ``sentence`` says how and what to do."""

    def __init__(self, provider: str, sentence: str) -> None:
        self.provider, self.sentence = provider, sentence
        super().__init__(provider, sentence)

    def __str__(self) -> str:
        return f"{self.provider}: {self.sentence}"
