"""The public face of callfarm for those who write agents.

Everything else in this package is private to the call process, but for `worker.providers` and
`worker.testing`.
"""

from worker.agent import Agent
from worker.call_info import CallInfo
from worker.errors import (
    CallError,
    CallOverError,
    ProviderError,
    ProviderLostError,
    ProviderRefusedError,
    RequestError,
)
from worker.history import History
from worker.message import Message
from worker.recording import Recording
from worker.stages import Stage
from worker.tools import (
    HangUp,
    SearchKnowledge,
    SendDigits,
    Tool,
    ToolError,
    Transfer,
    WarmTransfer,
    tool,
)
from worker.turn import Turn
from worker.turns import Turns
from worker.voip import VoIP

__all__ = [
    "Agent",
    "CallError",
    "CallInfo",
    "CallOverError",
    "HangUp",
    "History",
    "Message",
    "ProviderError",
    "ProviderLostError",
    "ProviderRefusedError",
    "Recording",
    "RequestError",
    "SearchKnowledge",
    "SendDigits",
    "Stage",
    "Tool",
    "ToolError",
    "Transfer",
    "Turn",
    "Turns",
    "VoIP",
    "WarmTransfer",
    "tool",
]
