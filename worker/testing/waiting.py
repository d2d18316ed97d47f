"""When an agent has reacted, and where it waits when it does not."""

import asyncio
import linecache
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from worker.testing.expectations import ExpectationError
from worker.testing.reply import Reply
from worker.testing.text_call import TextCall

HOOK_SECONDS = 1.0
"""How long a hook that does nothing to be heard is waited for, in real time: some never return."""

_ROUNDS = 20
"""Turns of the event loop in which nothing happens, before nothing more is expected to."""

_SPINS = 200
_PAUSE_SECONDS = 0.001
"""After so many turns the agent waits for the world: it is looked after less often."""

_OURS = str(Path(__file__).parents[1]) + os.sep
_PYTHONS = str(Path(os.__file__).parent) + os.sep


class TalkTimeoutError(ExpectationError):
    """The agent did not come to an end. ``places`` are the lines where its tasks wait."""

    def __init__(self, limit_s: float, places: Sequence[str], replies: Sequence[Reply]) -> None:
        self.limit_s, self.places = limit_s, tuple(places)
        waits = f"; it waits in {' and '.join(places)}" if places else ""
        super().__init__(f"the agent was not done after {limit_s:g} s{waits}", replies)


async def settled(call: TextCall, before: Iterable[object], limit_s: float) -> bool:
    """Return once the agent has reacted, false if it has not in ``limit_s``.

    It has when it answers nothing, is not heard any more, and hooks other than those of
    ``before`` have returned; when it waits for keys; when its speech is held; and when the call
    is over.
    """
    loop = asyncio.get_running_loop()
    deadline, hooks_until = loop.time() + limit_s, 0.0
    idle = spins = 0
    while not call.living.done():
        idle = 0 if _is_busy(call) else idle + 1
        spins += 1
        if idle > _ROUNDS:
            hooks_until = hooks_until or loop.time() + HOOK_SECONDS
            waits = call.line.held or call.conversation.keys_until is not None
            if waits or not call.session.hooks(before) or loop.time() > hooks_until:
                return True
        elif not idle:
            hooks_until = 0.0
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0 if 0 < idle <= _ROUNDS or spins < _SPINS else _PAUSE_SECONDS)
    return True


def _is_busy(call: TextCall) -> bool:
    conversation = call.conversation
    if call.line.held:
        return False
    if call.line.busy or conversation.speaker.audible or not conversation.has_begun:
        return True
    if conversation.keys_until is not None:
        return False
    return conversation.host.replying or bool(conversation.answering)


def where(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """Return the innermost line of the author's code at which each task waits."""
    return [place for task in tasks if (place := _where(task.get_coro()))]


def _where(coroutine: Any) -> str:
    place = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and _is_authors(frame.f_code.co_filename):
            name, number = frame.f_code.co_filename, frame.f_lineno
            place = f"{name}:{number} ({linecache.getline(name, number).strip()})"
        coroutine = getattr(coroutine, "cr_await", None)
    return place


def _is_authors(path: str) -> bool:
    return not path.startswith((_OURS, _PYTHONS, "<")) and "/site-packages/" not in path
