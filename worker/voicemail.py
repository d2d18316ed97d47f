"""What an agent does when an answering machine has taken the call that it placed.

    verdict      policy hang-up    policy message                      policy go-on
    human        go on             go on                               go on
    machine      hang up           say `Agent.voicemail`, hang up      go on
    fax          hang up           hang up                             go on
    unknown      go on             go on                               go on

The verdicts are the carrier's (`machine_end_beep`, …) and come while the agent may be talking to
the machine already: it is cut short. A human is never kept waiting for a verdict.
"""

from collections.abc import AsyncIterable
from enum import Enum, auto
from typing import Protocol, get_args

from worker.agent import Agent, MachinePolicy
from worker.instructions import compile_instructions, render
from worker.mind import Mind
from worker.speaker import Speaker
from worker.turn_taking import TurnTaking
from worker.voip import VoIP

POLICIES: tuple[str, ...] = get_args(MachinePolicy)


class Course(Enum):
    """How the call goes on."""

    GO_ON = auto()
    HANG_UP = auto()
    LEAVE_MESSAGE = auto()


def course(verdict: str, policy: str) -> Course:
    """Return how a call goes on that the carrier says was answered by ``verdict``.

    A message is left where the carrier has waited for the end of the greeting; a machine that is
    only known to have begun (``machine_start``) would not record it.
    """
    if policy == "go-on" or not (verdict == "fax" or verdict.startswith("machine_")):
        return Course.GO_ON
    if policy == "message" and verdict.startswith("machine_end_"):
        return Course.LEAVE_MESSAGE
    return Course.HANG_UP


def fault(agent: type[Agent]) -> str:
    """Say what keeps an agent's policy from working, with the fix; empty when nothing does.

    Raises `InstructionsError` for a message that is no template.
    """
    name = agent.__name__
    if agent.machine not in POLICIES:
        return f"{name}.machine is {agent.machine!r}: it is one of {', '.join(POLICIES)}"
    if agent.voicemail is not None:
        compile_instructions(agent.voicemail, f"{name}.voicemail", agent.variables)
    if agent.machine != "message":
        return ""
    if agent.voicemail is None:
        return f"{name}.machine is 'message': say which, with {name}.voicemail"
    if agent.tts is None and agent.speech is None:
        return f"{name}.machine is 'message', and it has no voice: set {name}.tts"
    return ""


class Answered(Protocol):
    """The conversation that was answered."""

    agent: Agent
    call: VoIP
    mind: Mind
    speaker: Speaker
    taking: TurnTaking

    @property
    def can_speak(self) -> bool:
        """Whether there is a voice."""

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Speak."""


async def answered_by(it: Answered, verdict: str) -> None:
    """Do what the agent's policy, or the order of this call, says. Raises `RequestError`."""
    policy = it.call.info.machine or it.agent.machine
    way = course(verdict, policy)
    if way is Course.GO_ON or it.call.leaving:
        return
    it.call.log("answered by a machine", verdict=verdict, then=way.name.lower().replace("_", " "))
    it.taking.close()  # the machine takes no turns
    it.mind.give_up()
    it.speaker.give_up()
    it.call.clear()
    text = _message(it.agent)
    if way is Course.LEAVE_MESSAGE and text and it.can_speak:
        await it.say(text, interruptible=False)
    await it.call.hangup()


def _message(agent: Agent) -> str:
    if agent.voicemail is None:
        return ""
    of = f"{type(agent).__name__}.voicemail"
    return render(agent.voicemail, agent, agent.variables, of, agent.time_zone).strip()
