"""The tool by which a model has a human asked before it lets a caller go.

    class Receptionist(Agent):
        tools = (WarmTransfer("manager", "sales"), HangUp())

The model sums the call up; the human is told that and may decline. Then the caller is back, and the
model reads why.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from worker.llm import ToolSpec
from worker.tools.declare import Manner, OnBargeIn, ToolDeclarationError
from worker.tools.outcome import Done, Invalid, Outcome
from worker.tools.toolbox import Host

if TYPE_CHECKING:
    from shared.messages import WarmOutcome
    from worker.tools.schema import Parameters

MOST_SUMMARY = 500
"""Letters: more than half a minute of speech is heard out by nobody."""

_LITERAL: Any = Literal  # of names known at run time only, which a type checker cannot follow

_TOOL_SECONDS = 450.0

_SENTENCES: "Mapping[WarmOutcome, str]" = {
    "accepted": "{to} has taken the call: the caller is connected.",
    "declined": "{to} does not take the call. The caller is back on the line: say so, and help.",
    "no_answer": "{to} did not answer. The caller is back on the line: say so, and help.",
    "busy": "{to} is busy. The caller is back on the line: say so, and help.",
    "machine": "Only a voicemail answered for {to}. The caller is back on the line: say so, "
    "and help.",
    "failed": "{to} could not be reached. The caller is back on the line: say so, and help.",
    "caller_left": "The caller hung up while waiting for {to}.",
}


class WarmTransfer:
    """Asks one of ``names``, destinations of ``TRANSFER_NUMBERS``, to take the call.

    ``ring_s`` is how long their phone rings (5-120 s; 0: as the operator has set), ``language`` the
    one in which the model talks to them, a BCP 47 tag.
    """

    __slots__ = ("_parameters", "language", "manner", "names", "ring_s", "spec")

    def __init__(self, *names: str, ring_s: int = 0, language: str = "en-US") -> None:
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ToolDeclarationError(
                "WarmTransfer",
                "has no destination",
                'name one of TRANSFER_NUMBERS: WarmTransfer("manager")',
            )
        if ring_s and not 5 <= ring_s <= 120:
            raise ToolDeclarationError("WarmTransfer", f"rings for {ring_s} s", "give 5 to 120")
        self.names, self.ring_s, self.language = names, ring_s, language
        # Here and not above: agents without tools do not pay for pydantic.
        from worker.tools.schema import parameters

        summary: dict[str, Any] = {
            "min_length": 1,
            "max_length": MOST_SUMMARY,
            "description": "What they are told before they decide: who is calling, what about, and "
            f"what was found out, in one to three sentences in {language}.",
        }
        to: dict[str, Any] = {"description": "Who to ask."}
        hints = {"to": (_LITERAL[names], to), "summary": (str, summary)}
        self._parameters: Parameters = parameters("transfer_warm", hints)
        self.spec = ToolSpec(
            "transfer_warm",
            f"Ask {' or '.join(names)} to take the call, and connect the caller if they do. Tell "
            "the caller first, in the same turn, that they will hear music for a moment.",
            self._parameters.schema,
        )
        # Waits for the last words; a caller who objects in time is heard.
        self.manner = Manner(limit_s=_TOOL_SECONDS, on_barge_in=OnBargeIn.CANCEL, speak_first=True)

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Ask, and return what came of it. Raises `RequestError`."""
        given = self._parameters.parse(arguments)
        if isinstance(given, Invalid):
            return given
        to = given["to"]
        outcome = await agent.call.transfer_warm(
            to, given["summary"], ring_s=self.ring_s, language=self.language
        )
        return Done(_SENTENCES[outcome].format(to=to))
