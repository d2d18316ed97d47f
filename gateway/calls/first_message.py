"""What an operator's own service would have an agent say first, as a call knows of it.

It is asked while the process is forked and the carrier sets up its stream, so that neither the
webhook's answer nor the fork waits for it. Here nobody is asked.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.calls.answers import IncomingCall
from shared import messages


class Asking(Protocol):
    """A question under way about one call. ``seconds`` is what the answer may take."""

    @property
    def seconds(self) -> float:
        """How long it may take."""

    async def tell(self, call: Callable[[messages.Event], None]) -> None:
        """Ask, and tell the call's process what came, within `seconds`. Never fails."""


class FirstMessages:
    """Who is asked for what is said first."""

    def ask(self, incoming: IncomingCall) -> Asking | None:
        """Return the question about this call, ``None`` if nobody is to be asked."""
        return None
