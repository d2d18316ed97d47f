"""The stages of one turn, in the order in which they usually come, and what follows from them.

    caller  ▇▇█▇▇▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▇▇█▇▁▁
                │caller_stopped                        │paused ─ committed ─ cleared
                ├──────┤stt_final                      └ or resumed: it was only a noise
                       ├┤model_asked
                        ├──────┤first_token
                               ├───┤first_clause
    agent                          ├─────┤first_audio
                                         ├┤first_sent
                                          ├──┤first_heard ▇▇█▇▇█▇▇█▇
                ├───────────── reply ────────┤
                       ├┤ ─ own ─ ─ ─ ─ ─ ├┤

Arithmetic on times in ms, whatever clock they are of; it measures nothing. A turn that lacks a
stage lacks what is reckoned from it, and nothing else.
"""

from collections.abc import Mapping
from enum import StrEnum


class Stage(StrEnum):
    """A moment of a turn. Not every turn has every one."""

    CALLER_STOPPED = "caller_stopped"
    """The caller's last word ended, as far as the audio or the recogniser tells."""
    STT_FINAL = "stt_final"
    """The recogniser's final words of the turn arrived."""
    MODEL_ASKED = "model_asked"
    """The request that became the answer was sent to the model; before `STT_FINAL` when the
    model was asked on an eager end of turn that held."""
    FIRST_TOKEN = "first_token"  # noqa: S105
    """The first text of the answer arrived."""
    FIRST_CLAUSE = "first_clause"
    """The first piece of the answer that can be spoken was given to the voice."""
    FIRST_AUDIO = "first_audio"
    """The voice's first audio of the answer arrived."""
    FIRST_SENT = "first_sent"
    """The first audio of the answer was sent to the gateway."""
    FIRST_HEARD = "first_heard"
    """The carrier has begun to play it, as far as its marks tell."""
    PAUSED = "paused"
    """The caller spoke into the answer: the agent held its breath."""
    COMMITTED = "committed"
    """It was an interruption: what was not heard of the answer is dropped."""
    CLEARED = "cleared"
    """The carrier was told to drop what it had not played."""
    RESUMED = "resumed"
    """It was none: the agent went on where it had paused."""


Stages = Mapping[Stage, float]


def known(stages: Mapping[str, float]) -> dict[Stage, float]:
    """Return those of ``stages`` that are stages, in their order."""
    return {stage: stages[stage] for stage in Stage if stage in stages}


def origin_ms(stages: Stages) -> float:
    """Return what a turn's offsets count from: the caller's end, else its earliest stage."""
    return stages.get(Stage.CALLER_STOPPED, min(stages.values(), default=0.0))


def reply_ms(stages: Stages) -> float | None:
    """Return the reply time: from the caller's last word until the agent is heard."""
    return _between(stages, Stage.CALLER_STOPPED, Stage.FIRST_HEARD)


def own_ms(stages: Stages) -> float | None:
    """Return the server's own share: from the final words to the first audio on the line.

    What was waited for in between is taken off: the model, until its first clause was whole, and
    the voice, until that clause's first audio. Never negative.
    """
    whole = _between(stages, Stage.STT_FINAL, Stage.FIRST_SENT)
    if whole is None or whole < 0:
        return None
    return max(0.0, whole - model_wait_ms(stages) - voice_wait_ms(stages))


def model_wait_ms(stages: Stages) -> float:
    """Return how long after the final words the model was waited for, 0 when that is unknown."""
    until = Stage.FIRST_CLAUSE if Stage.FIRST_CLAUSE in stages else Stage.FIRST_TOKEN
    return _wait(stages, Stage.MODEL_ASKED, until)


def voice_wait_ms(stages: Stages) -> float:
    """Return how long after the final words the voice was waited for, 0 when that is unknown."""
    return _wait(stages, Stage.FIRST_CLAUSE, Stage.FIRST_AUDIO)


def _wait(stages: Stages, begin: Stage, end: Stage) -> float:
    """Return how much of ``begin`` to ``end`` lies between final words and first audio sent."""
    if begin not in stages or end not in stages:
        return 0.0
    from_ms = max(stages[begin], stages.get(Stage.STT_FINAL, stages[begin]))
    until_ms = min(stages[end], stages.get(Stage.FIRST_SENT, stages[end]))
    return max(0.0, until_ms - from_ms)


def _between(stages: Stages, begin: Stage, end: Stage) -> float | None:
    if begin not in stages or end not in stages:
        return None
    return stages[end] - stages[begin]
