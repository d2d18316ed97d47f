"""Tools that a model may call: what authors of agents use to declare them.

``tool`` makes a method of an agent one; `HangUp`, `Transfer`, `WarmTransfer`, `SendDigits` and
`SearchKnowledge` are there by name. How they are checked and run is `worker.tools.execution`'s
business.
"""

from worker.tools.builtin import HangUp, SearchKnowledge, SendDigits, Transfer
from worker.tools.declare import Manner, OnBargeIn, ToolDeclarationError, tool
from worker.tools.execution import Execution, Ran
from worker.tools.outcome import Outcome, ToolError
from worker.tools.toolbox import Tool, Toolbox, Toolset, tools_of
from worker.tools.warm import WarmTransfer

__all__ = [
    "Execution",
    "HangUp",
    "Manner",
    "OnBargeIn",
    "Outcome",
    "Ran",
    "SearchKnowledge",
    "SendDigits",
    "Tool",
    "ToolDeclarationError",
    "ToolError",
    "Toolbox",
    "Toolset",
    "Transfer",
    "WarmTransfer",
    "tool",
    "tools_of",
]
