"""Tools that an agent has by naming them.

    class Receptionist(Agent):
        tools = (HangUp(), Transfer("manager"), SendDigits(), SearchKnowledge())

Each is a `Tool` like an agent's own methods. A caller cannot be transferred anywhere but to the
names that the author wrote down, whatever the model makes of what it was told.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from worker.llm import ToolSpec
from worker.tools.declare import Manner, OnBargeIn, ToolDeclarationError
from worker.tools.outcome import Done, Invalid, Outcome
from worker.tools.toolbox import Host

if TYPE_CHECKING:
    from worker.knowledge import Knowledge
    from worker.tools.schema import Parameters

MOST_DIGITS = 32
"""Keys that are pressed at once."""

MOST_PASSAGES = 10
"""Passages that one search may return."""

_LITERAL: Any = Literal  # of names known at run time only, which a type checker cannot follow

# Waits for the last words, then for the carrier; a caller who objects in time is heard.
_ON_THE_LINE = Manner(limit_s=60.0, on_barge_in=OnBargeIn.CANCEL, speak_first=True)


def _parameters(name: str, **hints: tuple[Any, Mapping[str, Any]]) -> "Parameters":
    # Here and not above: agents without tools do not pay for pydantic.
    from worker.tools.schema import parameters

    return parameters(name, hints)


class HangUp:
    """Ends the call, once the last words were heard."""

    __slots__ = ("_parameters", "manner", "spec")

    def __init__(self) -> None:
        self._parameters = _parameters("hang_up")
        self.spec = ToolSpec(
            "hang_up",
            "End the call. Say goodbye first, in the same turn. Use it when the caller is done.",
            self._parameters.schema,
        )
        self.manner = _ON_THE_LINE

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Hang up. Raises `RequestError`."""
        given = self._parameters.parse(arguments)
        if isinstance(given, Invalid):
            return given
        await agent.call.hangup()
        return Done("Call ended successfully")


class Transfer:
    """Connects the caller with one of ``names``, destinations of ``TRANSFER_NUMBERS``."""

    __slots__ = ("_parameters", "manner", "names", "spec")

    def __init__(self, *names: str) -> None:
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ToolDeclarationError(
                "Transfer",
                "has no destination",
                'name one of TRANSFER_NUMBERS: Transfer("manager")',
            )
        self.names = names
        self._parameters = _parameters(
            "transfer", to=(_LITERAL[names], {"description": "Who to connect with."})
        )
        self.spec = ToolSpec(
            "transfer",
            f"Connect the caller with {' or '.join(names)}. Say so first, in the same turn.",
            self._parameters.schema,
        )
        self.manner = _ON_THE_LINE

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Transfer the caller. Raises `RequestError`."""
        given = self._parameters.parse(arguments)
        if isinstance(given, Invalid):
            return given
        await agent.call.transfer(given["to"])
        return Done(f"The caller is being connected with {given['to']}.")


class SendDigits:
    """Presses keys, to get through a phone menu."""

    __slots__ = ("_parameters", "manner", "spec")

    def __init__(self) -> None:
        digits = {
            "pattern": rf"^[0-9A-D*#wW]{{1,{MOST_DIGITS}}}$",
            "description": "Keys 0-9, A-D, * and #; w waits half a second, W a whole one.",
        }
        self._parameters = _parameters("send_digits", digits=(str, digits))
        self.spec = ToolSpec(
            "send_digits", "Press keys of the phone, as in a menu.", self._parameters.schema
        )
        self.manner = _ON_THE_LINE

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Press the keys. Raises `RequestError`."""
        given = self._parameters.parse(arguments)
        if isinstance(given, Invalid):
            return given
        await agent.call.send_digits(given["digits"])
        return Done("ok")


class SearchKnowledge:
    """Looks things up in the ``*.md`` files of ``folder``, which lies in the release.

    The model gets the ``passages`` that fit best. Several folders: give each a ``name``, and a
    ``description`` that says what is in it and when to look.
    """

    __slots__ = ("_parameters", "folder", "manner", "passages", "spec")

    def __init__(
        self,
        folder: str = "knowledge",
        *,
        passages: int = 4,
        name: str = "search_knowledge",
        description: str = "Look up facts in what is written down for you. Do so before you say "
        "that you do not know, and rely on nothing else for facts.",
    ) -> None:
        if not 1 <= passages <= MOST_PASSAGES:
            raise ToolDeclarationError(
                name, f"cannot give {passages} passages", f"ask for 1 to {MOST_PASSAGES}"
            )
        self.folder, self.passages = folder, passages
        query = {
            "min_length": 1,
            "max_length": 300,
            "description": "What to look for, in a few words.",
        }
        self._parameters = _parameters(name, query=(str, query))
        self.spec = ToolSpec(name, description, self._parameters.schema)
        self.manner = Manner()

    def prepare(self) -> None:
        """Read and index the folder. Raises `KnowledgeError` when there is nothing in it."""
        self._knowledge()

    def _knowledge(self) -> "Knowledge":
        from worker.knowledge import knowledge_in

        return knowledge_in(Path(self.folder).resolve())

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Return the passages that fit best, each with where it stands."""
        given = self._parameters.parse(arguments)
        if isinstance(given, Invalid):
            return given
        found = self._knowledge().search(given["query"], self.passages)
        if not found:
            return Done("Nothing was found. Try other words, or say that you do not know.")
        return Done("\n\n".join(f"[{each.source}: {each.title}]\n{each.text}" for each in found))
