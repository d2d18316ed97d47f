"""An agent as its tools see it: a line that keeps what was asked of it."""

from typing import Any

from shared.messages import WarmOutcome
from worker.errors import RequestError
from worker.llm import Call
from worker.tools import Toolbox, tools_of


class Line:
    """Does what it is asked, or fails with ``refusal``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.logged: list[tuple[str, str, dict[str, Any]]] = []
        self.refusal: RequestError | None = None
        self.outcome: WarmOutcome = "accepted"

    async def hangup(self) -> None:
        self._ask("hangup")

    async def transfer(self, to: str) -> None:
        self._ask("transfer", to)

    async def transfer_warm(
        self, to: str, summary: str, *, ring_s: int = 0, language: str = "en-US"
    ) -> WarmOutcome:
        self._ask("transfer_warm", to, summary, str(ring_s), language)
        return self.outcome

    async def send_digits(self, digits: str) -> None:
        self._ask("digits", digits)

    def log(self, event: str, level: str = "info", **fields: Any) -> None:
        self.logged.append((event, level, fields))

    def _ask(self, *words: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(words)


class Host:
    """Subclass it and give it tools."""

    def __init__(self) -> None:
        self.line = Line()

    @property
    def call(self) -> Line:
        return self.line

    @classmethod
    def toolbox(cls) -> Toolbox:
        return tools_of(cls)


def calls(*wanted: str | tuple[str, str]) -> list[Call]:
    """Return calls of tools by name, with arguments where they are given."""
    pairs = [(each, "{}") if isinstance(each, str) else each for each in wanted]
    return [Call(f"call_{at}", name, text) for at, (name, text) in enumerate(pairs)]
