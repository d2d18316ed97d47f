"""A call whose caller is joined straight to a speech-to-speech service: nothing of it comes here.

    ringing ──> on_ringing ──> the service makes a call ──> Join ──> (tools run here) ──> ended
                                          └──it cannot, and somebody else can──> relayed

The process renders the instructions and has the call made. It stays for the tools that run in it,
and for hooks that want to hear of the call's end; without either it leaves, and the call goes on.
What a stream brings (`Agent.on_start`, `on_audio`, `on_dtmf`, turns) does not happen here.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from shared import messages
from worker.agent import Agent
from worker.conversation import Conversation
from worker.direct import models_of, spoken_before, stays
from worker.errors import ProviderError, RequestError
from worker.first_message import ring
from worker.handover import successor
from worker.llm import Call, Item, Returned, Said
from worker.session import Session
from worker.speech import Opening
from worker.tools import Ran
from worker.tools.outcome import Done
from worker.voip import VoIP

if TYPE_CHECKING:
    from worker.speech.ultravox import Ultravox
    from worker.speech.ultravox_direct import Line, UltravoxDirect

_LEAST_SECONDS = 2.0
"""What the making of a call has in any case, however long a hook took while the phone rang."""

FINISH_SECONDS = 2.0
"""What the service has, when the call is over, to be told so and to tell what was said."""


class RelayError(Exception):
    """The service could not take the call: whoever is left is to serve it, on our own stream."""


class DirectConversation(Conversation):
    """What an agent can do in such a call: by the service's REST, and by what its tools return."""

    model: "Ultravox"
    tools_url = ""
    leave: Callable[[], None]
    """Lets the process end; the call goes on."""
    give_back: Callable[[], None]
    """Keeps what happens from now on for whoever serves the call instead."""
    is_relayed = False
    _line: "UltravoxDirect | None" = None
    _has_moved = False

    def __init__(
        self,
        agent: Agent,
        call: VoIP,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        super().__init__(agent, call, clock, spawn)
        call.is_direct = True
        self._came_to: dict[str, Ran] = {}
        self.office.returned = self._returned

    async def get_ready(self) -> None:
        """Have the service make a call, and the carrier join it.

        Raises `ProviderError` when it cannot, `RelayError` when somebody else will.
        """
        from worker.speech import ultravox_direct

        seconds = ultravox_direct.HASTY_SECONDS if self._others else ultravox_direct.CREATE_SECONDS
        loop = asyncio.get_running_loop()
        began = loop.time()
        await ring(self.agent, self.call)
        # The carrier waits for an answer: what was waited is not there any more.
        seconds = max(seconds - (loop.time() - began), _LEAST_SECONDS)
        try:
            line = self._line = ultravox_direct.line(self.model, self.tools_url)
            url = await line.create(self.opening(), seconds)
        except ProviderError as error:
            if not self._others:
                raise
            self.trouble(error.provider, error.sentence, self._others)
            self.is_relayed, self.call.is_direct = True, False
            self.give_back()
            raise RelayError from error
        needed = stays(type(self.agent))
        self.call.tell(messages.KnownAs(line.call_id))
        words = spoken_before(self.agent)
        language = self.model.language_hint or ""
        name = ultravox_direct.STREAM_NAME
        self.call.tell(messages.Join(url, name, needed, words, language if words else ""))
        await self.manners.told()
        if not needed:
            self.leave()

    def opening(self) -> Opening:
        """Return what the service begins with; what the carrier has to say before is not in it."""
        interruptible = self.agent.greeting_interruptible
        return replace(
            super().opening(),
            greeting=self.office.greeting(),
            greeting_interruptible=interruptible,
        )

    @property
    def _others(self) -> str:
        """Who is left to serve the call, if anybody."""
        behind = models_of(self.agent)[1:]
        if behind:
            return type(behind[0]).__name__.lower()
        return "cascade" if self.has_cascade else ""

    # Tools -----------------------------------------------------------------------------------

    async def tool(self, request: int, name: str, arguments: str) -> None:
        """Run a tool that the service has called, and answer it."""
        call = Call(f"call-{request}", name, arguments)
        await self.office.run_tools((call,), None)
        self.call.tell(self._answer(request, self._came_to.pop(call.id)))

    def _returned(self, ran: Ran) -> None:
        self._came_to[ran.call.id] = ran

    def _answer(self, request: int, ran: Ran) -> messages.ToolReturned:
        text, failed = ran.outcome.sentence, not isinstance(ran.outcome, Done)
        if self.call.leaving:
            return messages.ToolReturned(request, text, failed, "hang-up")
        if not self._has_moved or self._line is None:
            return messages.ToolReturned(request, text, failed, reaction="speaks")
        self._has_moved = False
        words = self.office.says_first()
        if words:
            text = f'{text} Begin with these words: "{words}"'
        body = self._line.stage(self.office.brief(), text)
        return messages.ToolReturned(request, text, failed, "new-stage", body, "speaks")

    def enter(self, stage: str) -> None:
        """Move to another stage: the service hears of it by the next tool that returns."""
        super().enter(stage)
        self._has_moved = True

    async def hand_over(self, agent: type[Agent]) -> None:
        """Let another agent go on, with its own instructions and tools: the service stays."""
        self.agent = successor(agent, self.agent)
        self.agent.attach(self.call, self)
        self.office.took_over()
        self._has_moved = True
        self.manners.taken_over()
        self.call.log("handed over", agent=agent.__name__)
        await self.agent.on_taken_over()

    # What the agent asks for -------------------------------------------------------------------

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Have the service say something; nobody knows what of it is heard."""
        words = text if isinstance(text, str) else "".join([part async for part in text])
        if self._line is not None and words.strip():
            await self._line.say(words, interruptible=interruptible)
        return words

    async def answer(self, text: str) -> None:
        """Have the service answer ``text``."""
        if self._line is not None:
            await self._line.tell(text)

    async def keys(self, timeout_s: float) -> str:
        """Keys go to the service: raises `RequestError`."""
        del timeout_s
        raise RequestError("elsewhere", "the caller's keys go to the service, as words")

    async def set_stt(self, stt: object) -> None:
        """Nobody is exchanged here: raises `RequestError`."""
        raise RequestError("elsewhere", f"{stt} cannot hear a caller who is joined to a service")

    async def set_tts(self, tts: object) -> None:
        """Nobody is exchanged here: raises `RequestError`."""
        raise RequestError("elsewhere", f"{tts} cannot speak to one who is joined to a service")

    def run_beside(self, text: str) -> None:
        """While a tool runs the service is silent, whatever it is told."""

    # The end ---------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Have the service let go, and write down what was said."""
        line = self._line
        if line is None or not line.call_id:
            return
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                with suppress(ProviderError):  # one that is over says 422
                    await line.hang_up()
                self._write_down(await line.spoken())
        except TimeoutError:
            self.call.log("no transcript: the service took too long to tell", "warning")
        except ProviderError as error:
            self.call.log("no transcript", "warning", why=error.sentence)

    def _write_down(self, said: "Sequence[Line]") -> None:
        self.history.trim(0)
        for line in said:
            _remember(self, line.item)
            if isinstance(line.item, Said) and line.item.text:
                role: Literal["caller", "agent"]
                role = "caller" if line.item.role == "user" else "agent"
                self.call.tell(messages.Said(role, line.item.text, line.at_ms))

    async def aclose(self) -> None:
        """Release everything, in bounded time."""
        await super().aclose()
        if self._line is not None:
            await self._line.aclose()


def _remember(conversation: Conversation, item: Item) -> None:
    history = conversation.history
    match item:
        case Said("user", text):
            history.caller(text)
        case Said(_, text, calls):
            history.called(history.agent(text), calls)
        case Returned(call_id, text):
            history.returned(call_id, text)


class DirectSession(Session):
    """One call's life while its caller talks to a service.

    `run` raises `RelayError`, in a group, when the service could not take the call.
    """

    conversation: DirectConversation

    def __init__(
        self,
        agent: Agent,
        call: VoIP,
        clock: Callable[[], float],
        model: "Ultravox",
        tools_url: str,
        give_back: Callable[[], None],
    ) -> None:
        super().__init__(agent, call, clock, DirectConversation)
        it = self.conversation
        it.model, it.tools_url = model, tools_url
        it.leave, it.give_back = self._ended.set, give_back

    async def _finish_turns(self, conversation: asyncio.Task[None]) -> None:
        conversation.cancel()
        if self._call.over:
            await self.conversation.finish()

    def call_event(self, event: messages.Event) -> None:
        """Act on what happened to the call."""
        match event:
            case messages.ToolCalled(request, name, arguments):
                self._spawn(self.conversation.tool(request, name, arguments))
            case _:
                super().call_event(event)
