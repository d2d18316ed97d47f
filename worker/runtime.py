"""A call process's life: from the fork to its exit.

The process has one event loop and one agent. It reaches the gateway by the pipe alone.
"""

import asyncio
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from shared import messages
from shared.pipe import Pipe
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.call_log import logging_to
from worker.company import as_chosen, hold_back, use_account
from worker.direct import direct_model, leave_to_others
from worker.direct_call import DirectSession, RelayError
from worker.errors import ProviderError
from worker.release import LoadedRelease
from worker.session import Session
from worker.voip import VoIP, VoIPListener

BEAT_SECONDS = 1.0
"""How often the loop says that it turns; ``HANG_SECONDS`` is measured against it."""


class GatewayGoneError(Exception):
    """The pipe closed: there is no call any more."""


class Switchboard:
    """The call process's end of the pipe: metadata first, then everything to the listener."""

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._metadata: asyncio.Future[CallInfo] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: list[bytes] = []
        self.tools_url = ""
        """Where a service may call this call's tools; a secret."""
        self._call: VoIP | None = None
        self._listener: VoIPListener | None = None
        self.pipe = Pipe(connection, self._frame, self._closed)

    async def metadata(self) -> CallInfo:
        """Say hello and return which call this is."""
        self.pipe.send(messages.encode(messages.Hello(messages.VERSION)))
        return await self._metadata

    def connect(self, call: VoIP, listener: VoIPListener) -> None:
        """From now on (and for what has waited) the listener hears of everything."""
        self._call, self._listener = call, listener
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._frame(frame)

    def disconnect(self) -> None:
        """From now on everything waits for the next who is connected."""
        self._call = self._listener = None

    def _frame(self, frame: bytes) -> None:
        listener, call = self._listener, self._call
        if listener is None or call is None:
            self._before_the_call(frame)
            return
        audio = messages.audio_of(frame)
        if audio is not None:
            listener.call_audio(audio)
            return
        event = messages.decode_event(frame)
        call.deliver(event)
        listener.call_event(event)

    def _before_the_call(self, frame: bytes) -> None:
        if self._metadata.done():
            self._waiting.append(frame)
            return
        match messages.decode_event(frame):
            case messages.Metadata() as it:
                self.tools_url = it.tools_url
                use_account(it.voice)
                self._metadata.set_result(
                    CallInfo(
                        it.call_sid,
                        it.account_sid,
                        it.from_,
                        it.to,
                        it.direction,
                        it.release,
                        it.parameters,
                        it.variables,
                        it.agent,
                        it.machine,
                        it.first_message_s,
                        it.company,
                        it.chosen,
                    )
                )

    def _closed(self, error: Exception | None) -> None:
        problem = GatewayGoneError(str(error or "the pipe was closed"))
        for waiting in (self._metadata, self.gone):
            if not waiting.done():
                waiting.set_exception(problem)
                waiting.exception()  # a call that is over does not look at it, and that is fine


async def run(connection: Connection, release: LoadedRelease) -> None:
    """Be one call's process, until the call is over. Raises what the agent's code raises."""
    clock = time.monotonic
    switchboard = Switchboard(connection, clock)
    info = await switchboard.metadata()
    name, agent_class = release.agent_for(info.own_number, info.agent)
    call = VoIP(switchboard.pipe, info, clock, network_ms=agent_class.network_ms)
    if info.agent not in ("", name):
        call.log("the agent that was ordered is not in this release", "warning", agent=info.agent)
    beat = asyncio.create_task(_beat(call))
    problem = ""
    with logging_to(call):
        try:
            agent = agent_class()
            hold_back(agent, info)
            call.tell(messages.Running(name))
            if not await _joined(agent, call, switchboard, clock):
                session = Session(agent, call, clock)
                switchboard.connect(call, session)
                await _until_gone(session, switchboard.gone)
        except BaseException as error:
            problem = last_line(error)
            lost = innermost(error)
            if isinstance(lost, ProviderError):
                call.tell(messages.ProviderTrouble(lost.provider, lost.sentence))
            raise
        finally:
            beat.cancel()
            call.tell(messages.Finished(problem))
            await switchboard.pipe.drained()


async def _joined(
    agent: Agent, call: VoIP, switchboard: Switchboard, clock: Callable[[], float]
) -> bool:
    """Live a call whose caller is joined to a service; false if it is to be served here."""
    model = direct_model(type(agent))
    if model is None:
        return False
    [model] = as_chosen((model,), call.info)
    url, give_back = switchboard.tools_url, switchboard.disconnect
    session = DirectSession(agent, call, clock, model, url, give_back)
    switchboard.connect(call, session)
    try:
        await _until_gone(session, switchboard.gone)
    except* RelayError:
        leave_to_others(agent)
    if not session.conversation.is_relayed or call.over:
        return True
    call.tell(messages.Relay())
    return False


async def _until_gone(session: Session, gone: asyncio.Future[None]) -> None:
    living = asyncio.create_task(session.run())
    await asyncio.wait([living, gone], return_when=asyncio.FIRST_COMPLETED)
    if not living.done():
        living.cancel()
        gone.result()
    await living


async def _beat(call: VoIP) -> None:
    beat = messages.Beat()
    while True:
        call.tell(beat)
        await asyncio.sleep(BEAT_SECONDS)


def innermost(error: BaseException) -> BaseException:
    """Return what lies in a group of errors, the first of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def last_line(error: BaseException) -> str:
    """Return the innermost error in one line, the way a traceback ends."""
    error = innermost(error)
    if isinstance(error, SyntaxError):  # a traceback ends it with the source, in several lines
        return f"{type(error).__name__}: {error}"[:2000]
    return "".join(traceback.format_exception_only(error)).strip()[:2000]
