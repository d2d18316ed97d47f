"""Turn-taking: who may speak, when a turn begins and ends, and how long silence may last.

Pure machines, a file each: events and the time go in, decisions come out. None of them knows
audio, a provider or a task; `worker.turn_taking` feeds them and does what they say.
"""

from worker.turns.policy import Turns

__all__ = ["Turns"]
