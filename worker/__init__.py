"""The public face of callfarm for those who write agents.

Everything else in this package is private to the call process.
"""

from worker.agent import Agent
from worker.call_info import CallInfo
from worker.errors import CallError, CallOverError, ProviderError, RequestError
from worker.message import Message
from worker.voip import VoIP

__all__ = [
    "Agent",
    "CallError",
    "CallInfo",
    "CallOverError",
    "Message",
    "ProviderError",
    "RequestError",
    "VoIP",
]
