"""What can go wrong in a call process, as a tree.

CallError                     ours: all of these
├── RequestError              the gateway or the carrier did not do what was asked
├── CallOverError             the caller is gone
└── ProviderError             a speech or language provider failed
    ├── ProviderRefusedError  it said no: a key, a plan, a parameter. Asking again is no use
    └── ProviderLostError     it cannot be reached, answers too late or too often with errors
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
    """``provider`` failed; ``sentence`` says how and what to do.

    ``status`` is the HTTP status, the WebSocket close code or the provider's own number where one
    was given. No sentence holds a key or a caller's words.
    """

    def __init__(self, provider: str, sentence: str, status: int | None = None) -> None:
        self.provider, self.sentence, self.status = provider, sentence, status
        super().__init__(provider, sentence, status)

    def __str__(self) -> str:
        return f"{self.provider}: {self.sentence}"


class ProviderRefusedError(ProviderError):
    """The provider said no, and will say it again (400, 401, 402, 403, 404 …)."""


class ProviderLostError(ProviderError):
    """The provider was tried and could not be had; ``retry_after_s`` is what it asked for."""

    def __init__(
        self,
        provider: str,
        sentence: str,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(provider, sentence, status)
        self.retry_after_s = retry_after_s


async def raised(error: Exception) -> None:
    """Raise it, as a task of the call: what went wrong in a callback ends the call, too."""
    raise error
