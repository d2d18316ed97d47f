"""A company's calls: the hosted voice that holds them is the company's, as it chose it.

    key, url                     ──> this process's environment, where `credentials` looks
    model, voice, first_speaker  ──> the agent's speech-to-speech models, before one is tried

A call's process is nobody else's, so what is put into its environment is seen by this call alone.
What a company leaves open is the agent's own affair. That somebody
else's prompt is spoken to callers is not decided here: ``{{ call.variables.system_prompt }}``.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

from shared import messages
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.speech import SpeechModel

_KEY, _URL = "ULTRAVOX_API_KEY", "ULTRAVOX_BASE_URL"

_CALLER, _AGENT = "user", "agent"
_FIRST_SPEAKER = "FIRST_SPEAKER_"

ModelT = TypeVar("ModelT", bound=SpeechModel)


def use_account(account: messages.VoiceAccount | None) -> None:
    """Let the hosted voice be reached by a company's key, at its address.

    An empty key is one that the gateway cannot read: the voice cannot be had then, since what a
    company's callers say is not for the operator's account.
    """
    if account is None:
        return
    os.environ[_KEY] = account.key
    if account.url:
        os.environ[_URL] = account.url


def as_chosen(models: Sequence[ModelT], info: CallInfo) -> Sequence[ModelT]:
    """Return the models as the call's company would have them."""
    return [_chosen(model, info.chosen) for model in models] if info.chosen else models


def _chosen(model: ModelT, wanted: Mapping[str, str]) -> ModelT:
    choose = getattr(model, "chosen", None)
    if choose is None:
        return model
    first = first_speaker(wanted)
    speaks_first = None if first is None else first == _AGENT
    chosen: ModelT = choose(wanted.get("model"), wanted.get("voice"), speaks_first)
    return chosen


def first_speaker(wanted: Mapping[str, str]) -> str | None:
    """Return who is to speak first, ``user`` or ``agent``; ``None`` if that is left open."""
    said = wanted.get("first_speaker", "").strip().removeprefix(_FIRST_SPEAKER).lower()
    return said if said in (_CALLER, _AGENT) else None


def hold_back(agent: Agent, info: CallInfo) -> None:
    """Let an agent wait for the caller's first words, where its company wants that."""
    if first_speaker(info.chosen) == _CALLER:
        silent: dict[str, object] = {"greeting": None}
        for name, value in silent.items():
            setattr(agent, name, value)
