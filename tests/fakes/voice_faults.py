"""What may befall a context of a fake voice: programmed by a test, one for each context opened."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dies:
    """The connection ends ``after_ms`` of the context's audio: ``None`` cuts it without a close."""

    after_ms: float = 0.0
    code: int | None = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Errs:
    """The context's first text is answered by an error, with or without the context's name."""

    status: int
    code: str
    message: str = "as programmed"
    named: bool = True


@dataclass(frozen=True, slots=True)
class Silent:
    """The text is taken, and nothing comes of it."""


Fault = Dies | Errs | Silent


@dataclass(frozen=True, slots=True)
class Refusal:
    """An upgrade is answered with an HTTP status and a code of the provider's."""

    status: int
    code: str
    retry_after: str | None = None
