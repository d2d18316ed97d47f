"""Which agents have their callers joined straight to a speech-to-speech service, and what for.

Nothing of such a call comes here: `worker.direct_call` lives it. What an agent then needs its
process for is asked before there is any call.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from worker.agent import Agent
from worker.roles import toolbox

if TYPE_CHECKING:
    from worker.speech.ultravox import Ultravox

_STAYING = (
    *("on_ended", "on_status", "on_answered_by"),
    *("on_carrier_transcript", "on_carrier_recording"),
)
_NEVER = ("on_start", "on_audio", "on_dtmf", "on_keys", "on_turn", "inference")


def direct_model(agent: type[Agent]) -> "Ultravox | None":
    """Return the service that callers of ``agent`` are joined to, if there is one."""
    models = models_of(agent)
    return models[0] if models and getattr(models[0], "mode", "") == "direct" else None


def models_of(agent: "type[Agent] | Agent") -> tuple[Any, ...]:
    """Return the speech-to-speech models of an agent, in the order in which they are tried."""
    speech = agent.speech
    if speech is None:
        return ()
    return tuple(speech) if isinstance(speech, Sequence) else (speech,)


def prepare(agent: type[Agent]) -> None:
    """Import what a call needs, in the template, for all forks."""
    if direct_model(agent) is not None:
        import worker.speech.ultravox_direct as module

        del module


def stays(agent: type[Agent]) -> bool:
    """Whether an agent's process is needed while its caller talks to the service."""
    boxes = (toolbox(agent, stage) for stage in (None, *agent.stages))
    return any(boxes) or any(_has(agent, hook) for hook in _STAYING)


def notes(agents: Iterable[type[Agent]]) -> list[str]:
    """Return what an operator should know of agents whose callers are joined to a service."""
    found = []
    for agent in agents:
        if direct_model(agent) is not None:
            unheard = [hook for hook in _NEVER if _has(agent, hook)]
            if unheard:
                names = ", ".join(unheard)
                found.append(f"{agent.__name__}: {names} never run while its speech is direct")
            if agent.recording is not None and agent.recording.own:
                only = "the carrier's recording is the only one"
                found.append(f"{agent.__name__}: {only} while its speech is direct")
    return found


def fault(agent: type[Agent]) -> str:
    """Say what of an agent cannot be had by a caller who is joined to a service; empty if all."""
    wanted = agent.recording
    if direct_model(agent) is None or wanted is None or not wanted.own or wanted.carrier:
        return ""
    return (
        f"{agent.__name__}.recording wants our own recording, and the audio of a direct call does "
        "not come here: set carrier=True, or own=False, or mode='relay'"
    )


def spoken_before(agent: Agent) -> str:
    """Return what the carrier says before it joins a caller, so that the call can be recorded."""
    wanted = agent.recording
    if wanted is None or not (wanted.carrier or wanted.transcription):
        return ""
    return wanted.consent


def _has(agent: type[Agent], hook: str) -> bool:
    return getattr(agent, hook) is not getattr(Agent, hook)


def leave_to_others(agent: Agent) -> None:
    """Let an agent be served by whoever comes behind the service that could not take the call."""
    rest = models_of(agent)[1:]
    changes: dict[str, object] = {"speech": rest or None, "on_ringing": _has_rung}
    for name, value in changes.items():
        setattr(agent, name, value)


async def _has_rung() -> None:
    """`Agent.on_ringing` has run already."""
