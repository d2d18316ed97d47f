"""How a chat looks: words as they come, and dimmed what the agent does besides; or JSON."""

import json
import sys
from typing import Protocol

from rich.console import Console

from worker.testing.happenings import (
    DigitsSent,
    HandedOver,
    Happening,
    HungUp,
    Moved,
    Problem,
    ToolCalled,
    ToolReturned,
    Transferred,
    Word,
)
from worker.testing.reply import Reply, signature

_MOST = 300
"""Letters of a tool's outcome that are shown."""


class Screen(Protocol):
    """Where a chat is shown."""

    prompt: str

    def happened(self, happening: Happening) -> None:
        """Something happens."""

    def typed(self, text: str) -> None:
        """The caller is about to do this, and it is not on the screen yet."""

    def replied(self, number: int, text: str | None, reply: Reply) -> None:
        """The reply to ``text`` is over; ``None``: it was the greeting."""

    def ended(self) -> None:
        """The chat is over, perhaps in the middle of a reply."""

    def note(self, text: str) -> None:
        """Something for people to know."""


class Terminal:
    """For people."""

    prompt = "You: "

    def __init__(self, agent: str) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._agent = agent
        self._in_line = self._is_over = False

    def happened(self, happening: Happening) -> None:
        """Show it."""
        match happening:
            case Word(text):
                self._word(text)
            case ToolCalled(_, name, arguments):
                self._aside(signature(name, arguments))
            case ToolReturned(_, outcome) if not self._is_over:
                short = outcome if len(outcome) <= _MOST else f"{outcome[:_MOST]} …"
                self._aside(f"-> {short}")
            case Moved(stage):
                self._aside(f"stage {stage}")
            case HandedOver(agent):
                self._agent = agent
                self._aside(f"{agent} takes over")
            case DigitsSent(digits):
                self._aside(f"presses {digits}")
            case Transferred(to):
                self._is_over = True
                self._aside(f"transferred to {to}")
            case HungUp():
                self._is_over = True
                self._aside("hung up")
            case Problem(sentence, detail):
                self._aside(sentence, "yellow")
                if detail:
                    self._aside(detail.rstrip().rpartition("\n")[2], "yellow")

    def _word(self, text: str) -> None:
        if not self._in_line:
            self._console.print(f"{self._agent}:", style="bold", end="", markup=False)
            self._in_line = True
        self._console.print(f" {text.strip()}", end="", markup=False)

    def _aside(self, text: str, style: str = "dim") -> None:
        self._end_line()
        self._console.print(f"  {text}", style=style, markup=False)

    def _end_line(self) -> None:
        if self._in_line:
            self._console.print()
            self._in_line = False

    def typed(self, text: str) -> None:
        """Show it."""
        self._console.print(f"{self.prompt}{text}", markup=False)

    def replied(self, number: int, text: str | None, reply: Reply) -> None:
        """End the line."""
        self._end_line()

    def ended(self) -> None:
        """End the line: what comes next on the terminal is not the agent's."""
        self._end_line()

    def note(self, text: str) -> None:
        """Show it."""
        self._aside(text)


class JSONLines:
    """For programs: an object a turn, a line each."""

    prompt = ""

    def happened(self, happening: Happening) -> None:
        """It is in the reply."""

    def typed(self, text: str) -> None:
        """It is in the reply."""

    def replied(self, number: int, text: str | None, reply: Reply) -> None:
        """Print it."""
        tools = [
            {
                "name": tool.name,
                "arguments": dict(tool.arguments),
                "label": tool.label,
                "outcome": tool.outcome,
            }
            for tool in reply.tools
        ]
        turn = {
            "turn": number,
            "caller": text,
            "agent": reply.agent,
            "text": reply.text,
            "tools": tools,
            "stage": reply.stage,
            "digits": reply.digits,
            "hung_up": reply.hung_up,
            "transferred_to": reply.transferred_to,
            "problems": list(reply.problems),
        }
        sys.stdout.write(json.dumps(turn, default=str) + "\n")
        sys.stdout.flush()

    def ended(self) -> None:
        """Each line was ended when it was printed."""

    def note(self, text: str) -> None:
        """Notes are for people."""
