"""Which response is asked for when, and what became of it. Pure; the clock is given.

    order ──caller silent, nothing runs──> asked ──> runs ──> completed: tools wanted, or none
      ^                                                │────> cut: dead, and forgotten
      └──── again, from where it broke off ────────────┴────> failed, lost, silent too long

Only one response at a time writes to a conversation. Those that may not be interrupted are
*shielded*: the server is told before, and told again when they are made.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.log import get_logger
from worker import openai_client
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import Call
from worker.openai_client import NAME
from worker.openai_socket import Fault
from worker.speech import AgentCut, SpeechListener
from worker.speech import openai_realtime_events as wire
from worker.speech.openai_realtime_caller import Caller
from worker.speech.openai_realtime_orders import Orders
from worker.speech.openai_realtime_playing import Playing
from worker.speech.openai_realtime_voice import Running, Voice

if TYPE_CHECKING:
    from worker.speech.openai_realtime import OpenAIRealtime

MOST_FAILURES = 3
"""Answers in a row that may come to nothing."""

_BUSY_SECONDS = 0.25

_log = get_logger(__name__)


class Answers:
    """The responses of a call, over its connections. ``system`` is what the model is told now.

    Methods raise `ProviderError` when the connection, or the service, is of no more use.
    """

    def __init__(
        self,
        settings: "OpenAIRealtime",
        outbox: deque[bytes],
        caller: Caller,
        voice: Voice,
        playing: Playing,
        listener: SpeechListener,
        now: Callable[[], float],
    ) -> None:
        self._settings, self._outbox, self._listener, self._now = settings, outbox, listener, now
        self._caller, self._voice, self._playing = caller, voice, playing
        self._is_up = self._is_shielded = False
        self._failures = 0
        self.alive_at = 0.0
        """When the server last showed that it works on what it owes."""
        self.orders = Orders()
        self.system = ""

    @property
    def is_idle(self) -> bool:
        """Nothing is owed, nothing runs, and nothing of what was said is still on the line."""
        is_busy = self._caller.is_owed or self._voice.running or self.orders
        return not is_busy and self._playing.is_over(self._now())

    def opened(self) -> None:
        """A new connection knows of none."""
        self._is_up, self._is_shielded = True, False
        self.alive_at = self._now()

    def lost(self, *, was_owed: bool) -> None:
        """The connection is gone; ``was_owed``: a turn of the caller's had not been answered."""
        self._is_up = False
        self.orders.lost()
        running = self._voice.ended()
        if running is not None and not running.is_dead:
            self._again(running)
        elif was_owed:
            self.orders.answer(first=True)

    def release(self) -> None:
        """Ask for what is next, if it is its turn."""
        caller = self._caller
        if not self._is_up or caller.is_speaking or caller.is_owed or self._voice.running:
            return
        order = self.orders.next(self._now())
        if order is None:
            return
        self._shield(not order.interruptible)
        self.alive_at = self._now()
        instructions = order.instructions(self.system)
        self._outbox.append(wire.respond(order.key, instructions, calls_tools=not order.text))

    def tick(self) -> None:
        """See whether something is due."""
        now = self._now()
        if self._caller.is_overdue(now):
            self._caller.answered()
            self.orders.answer(first=True)
        self.release()
        is_awaited = self.orders.asked is not None or self._voice.running is not None
        if is_awaited and now - self.alive_at > self._settings.answer_s:
            self._fail("it is silent")
            raise ProviderLostError(NAME, f"did not answer within {self._settings.answer_s:g} s")

    def interrupted(self) -> None:
        """The caller began to speak."""
        now, running, asked = self._now(), self._voice.running, self.orders.asked
        is_shielded = (running is not None and running.is_protected) or (
            asked is not None and not asked.interruptible
        )
        if is_shielded or self._playing.is_protected(now):
            return
        is_live = running is not None and not running.is_dead
        is_heard = is_live or not self._playing.is_over(now)
        self._voice.kill()
        if is_live and running is not None:
            self._keep(running)
        if is_heard:
            self._listener.happened(AgentCut())

    def _keep(self, running: Running) -> None:
        """What the caller has cut before a sound of it came is said later, if it is to be said."""
        order = running.order
        if order is not None and order.text and order.keeps and not running.has_sounded:
            self.orders.again(order)

    def cancel(self) -> None:
        """End the response that runs: the call does not want it any more."""
        running = self._voice.running
        if running is not None and not running.is_dead:
            self._outbox.append(wire.cancel(running.id))
            self._voice.kill()

    def began(self, response: wire.Response) -> None:
        """The server began a response, of its own or because we asked."""
        self.alive_at = self._now()
        asked = self.orders.asked
        key = (response.metadata or {}).get(wire.ORDER)
        if key is None and asked is not None and not self._caller.is_owed:
            key = asked.key
        order = self.orders.taken(key)
        if order is None:
            self._caller.answered()
        self._voice.began(response.id or "", order)
        if order is not None and order.interruptible and self._caller.is_speaking:
            self.cancel()  # the caller was quicker, and the server did not know what comes
            if order.keeps:
                self.orders.again(order)

    def ended(self, response: wire.Response) -> tuple[tuple[Call, ...], bool]:
        """A response has ended. Return the tools that it wants called, and whether it was cut."""
        running = self._voice.running
        if running is None or response.id != running.id:
            return (), False
        self._voice.ended()
        if running.is_protected:
            self._shield(False)
            self._caller.may_be_forgotten(self._now())
        if response.status == "completed":
            self._failures = 0
            return _calls(response), running.is_dead
        if response.status in ("failed", "incomplete"):
            self._came_to_nothing(running, response)
        return (), running.is_dead

    def refused(self, fault: Fault) -> None:
        """Something was refused. Most errors are recoverable, and the session stays open."""
        is_busy, later = fault.code == wire.BUSY, self._now() + _BUSY_SECONDS
        running = self._voice.running
        order = None if running is None else running.order
        if is_busy and running and order is not None and order.key == fault.event_id:
            # What began was the server's own, and did not say so.
            running.order = None
            self.orders.again(order)
            return
        if self.orders.refused(fault.event_id, is_busy=is_busy, not_before=later) and is_busy:
            return
        self._raise_if_final(fault)
        _log.info("provider_error", provider=NAME, why=fault.name, param=fault.param)

    def _came_to_nothing(self, running: Running, response: wire.Response) -> None:
        details = response.status_details or wire.Details()
        fault = details.error or Fault(code=details.reason)
        self._raise_if_final(fault)
        _log.warning("answer_broken_off", provider=NAME, why=fault.name)
        if running.is_dead or (running.has_sounded and response.status == "incomplete"):
            return
        self._fail(fault.name)
        self._again(running, self._now() + _BUSY_SECONDS * 4 ** (self._failures - 1))

    def _again(self, running: Running, not_before: float = 0.0) -> None:
        """A response was broken off by a fault: ask for it again, or for the rest of it."""
        order = running.order
        if order is not None and (order.text or not running.has_sounded):
            said = len(self._voice.heard_text(running).split())
            rest = " ".join(order.text.split()[said:]) if said else order.text
            if rest or not order.text:
                self.orders.again(replace(order, text=rest))
        else:
            self.orders.answer(goes_on=running.has_sounded, first=True)
        self.orders.wait_until(not_before)

    def _shield(self, is_needed: bool) -> None:
        """Have the server let the caller interrupt what it says, or not."""
        if self._is_shielded != is_needed:
            self._is_shielded = is_needed
            turns = self._settings.detection(interrupts=not is_needed)
            self._outbox.append(wire.update({"audio": {"input": {"turn_detection": turns}}}))

    def _fail(self, why: str) -> None:
        """An answer has come to nothing. Raises `ProviderRefusedError` when that goes on."""
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise ProviderRefusedError(NAME, f"answers nothing any more: {why}")

    @staticmethod
    def _raise_if_final(fault: Fault) -> None:
        error = openai_client.stream_fault(fault.code, fault.type)
        if isinstance(error, ProviderRefusedError):
            raise error


def _calls(response: wire.Response) -> tuple[Call, ...]:
    return tuple(
        Call(output.call_id, output.name, output.arguments or "")
        for output in response.output or ()
        if output.type == "function_call" and output.call_id and output.name
    )
