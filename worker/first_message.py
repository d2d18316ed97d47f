"""What the operator's own service has an agent say first, if it tells in time.

The gateway asks that service (``FIRST_MESSAGE_URL``) while the call is being set up, and tells the
process what it said: here the process waits for that, once, and not for long. An agent takes part
by its `Agent.first_message`, which is what is said when nothing, or nothing useful, came.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.agent import Agent
    from worker.voip import VoIP

MARGIN_SECONDS = 0.5
"""Beyond the gateway's own limit: the way of its answer."""

TEMPLATE = "{{ first_message }}"
NAME = "first_message"


class FirstMessage:
    """The message of one call. ``seconds`` is how long it may take; 0: none will come."""

    def __init__(self, seconds: float) -> None:
        self._limit = seconds + MARGIN_SECONDS if seconds else 0.0
        self._text = ""
        self._known = asyncio.Event()
        if not seconds:
            self._known.set()

    @property
    def is_known(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._known.is_set()

    def arrived(self, text: str) -> None:
        """It has come; only the first counts, and it comes too late once nobody waits."""
        if not self._known.is_set():
            self._text = text.strip()
            self._known.set()

    async def wait(self) -> None:
        """Return when it has come, or when it is overdue."""
        try:
            async with asyncio.timeout(self._limit):
                await self._known.wait()
        except TimeoutError:
            self._known.set()

    def variables(self, agent: "Agent | type[Agent]") -> Mapping[str, str]:
        """Return what it adds to the variables of ``agent``'s templates."""
        if agent.first_message is None:
            return {}
        return {NAME: self._text or agent.first_message}


def awaits(agent: "Agent | type[Agent]") -> bool:
    """Tell whether what an agent says first may be the operator's."""
    return agent.first_message is not None


def opening_words(agent: "Agent | type[Agent]") -> str | None:
    """Return the greeting, as a template: the agent's own, or else its first message."""
    if agent.greeting is None and agent.first_message is not None:
        return TEMPLATE
    return agent.greeting


async def ring(agent: "Agent", call: "VoIP", known: Callable[[], None] = lambda: None) -> None:
    """Let an agent do what it does while the phone rings, and the operator's service answer.

    ``known`` is called as soon as it is known what is said first. Raises what the hook raises.
    """
    if not awaits(agent):
        await agent.on_ringing()
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.on_ringing())
        await call.first_message.wait()
        known()
