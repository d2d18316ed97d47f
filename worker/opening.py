"""What a speech-to-speech model is told when a session of it begins: made from agent and call."""

from worker.agent import Agent
from worker.call_info import CallInfo
from worker.history import History
from worker.office import Office
from worker.recording import said_first
from worker.speech import Opening, Reminder
from worker.turns import Turns


def open_with(agent: Agent, office: Office, info: CallInfo, history: History) -> Opening:
    """Return an opening. Raises what making the instructions raises."""
    greeting, interruptible = said_first(agent, office.greeting())
    return Opening(
        office.brief(),
        greeting,
        interruptible,
        history.so_far,
        reminders(agent.turns),
        {
            "call_sid": info.call_sid,
            "from": info.from_,
            "to": info.to,
            "direction": info.direction,
        },
    )


def reminders(turns: Turns) -> tuple[Reminder, ...]:
    """Return what is asked of a silent caller, and the goodbye after that."""
    if turns.silence_s is None:
        return ()
    asks = (Reminder(turns.silence_s, turns.still_there),) * turns.ask_times
    return (*asks, Reminder(turns.silence_s, turns.goodbye, hangs_up=True))
