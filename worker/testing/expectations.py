"""What a test expects of an agent, and the sentences that say what it got instead."""

import re
from collections.abc import Sequence
from typing import Any

from worker.testing.reply import Reply, ToolUse, signature

_SHOWN = 6
"""Replies that a failure shows, the last ones."""

_OK = "ok"


class ExpectationError(AssertionError):
    """The agent did something else. ``replies`` are those of the talk so far."""

    def __init__(self, problem: str, replies: Sequence[Reply]) -> None:
        self.problem, self.replies = problem, tuple(replies)
        super().__init__(problem, self.replies)

    def __str__(self) -> str:
        shown = "\n".join(str(reply) for reply in self.replies[-_SHOWN:])
        return f"{self.problem}\n\n{shown}\n"


class Expectations:
    """What can be expected of the agent's last reply. All raise `ExpectationError`."""

    replies: list[Reply]
    """Every reply so far; the first one is to the call itself."""

    @property
    def reply(self) -> Reply:
        """The last reply."""
        return self.replies[-1]

    def expect_said(self, *parts: str | re.Pattern[str]) -> None:
        """The agent said each of ``parts``; case and spaces do not matter."""
        said = _plain(self.reply.text)
        for part in parts:
            if isinstance(part, re.Pattern):
                found = part.search(self.reply.text) is not None
                wanted = f"something like {part.pattern!r}"
            else:
                found, wanted = _plain(part) in said, f'"{part}"'
            if not found:
                raise self._not(f"the agent to say {wanted}", f'it said "{self.reply.text}"')

    def expect_silence(self) -> None:
        """The agent said nothing."""
        if self.reply.text:
            raise self._not("the agent to say nothing", f'it said "{self.reply.text}"')

    def expect_tool(self, name: str, /, **arguments: Any) -> ToolUse:
        """A tool was called with (at least) these arguments, and it worked; return its use."""
        wanted = signature(name, arguments)
        close = [use for use in self.reply.tools if use.name == name]
        fitting = [use for use in close if arguments.items() <= dict(use.arguments).items()]
        for use in fitting:
            if use.label == _OK:
                return use
        if fitting:
            raise self._not(f"{wanted} to work", f"it came to {fitting[0].label}")
        if close:
            given = " and ".join(signature(use.name, use.arguments) for use in close)
            raise self._not(f"the tool call {wanted}", f"it was {given}")
        called = ", ".join(use.name for use in self.reply.tools) or "none"
        raise self._not(f"the tool call {wanted}", f"the tools called were: {called}")

    def expect_no_tool(self, name: str | None = None) -> None:
        """No tool was called, or not this one."""
        for use in self.reply.tools:
            if name in (None, use.name):
                called = signature(use.name, use.arguments)
                raise self._not(f"no call of {name or 'a tool'}", f"there was {called}")

    def expect_stage(self, name: str) -> None:
        """The conversation is in this stage."""
        if self.reply.stage != name:
            raise self._not(f"the stage {name!r}", f"it is {self.reply.stage!r}")

    def expect_agent(self, name: str) -> None:
        """The agent of this class has the call."""
        if self.reply.agent != name:
            raise self._not(f"{name} to have the call", f"it is {self.reply.agent}")

    def expect_hung_up(self) -> None:
        """The agent ended the call."""
        if not self.reply.hung_up:
            raise self._not("the agent to hang up", "it did not")

    def expect_transferred(self, to: str) -> None:
        """The agent connected the caller with ``to``."""
        if self.reply.transferred_to != to:
            got = self.reply.transferred_to
            raise self._not(
                f"a transfer to {to!r}", f"it went to {got!r}" if got else "there was none"
            )

    def _not(self, wanted: str, got: str) -> ExpectationError:
        return ExpectationError(f"expected {wanted}, but {got}", self.replies)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
