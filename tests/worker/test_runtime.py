import asyncio
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import OVER, SID, STREAM
from worker.agent import Agent
from worker.call_process import last_words
from worker.errors import ProviderRefusedError
from worker.release import LoadedRelease, Routes
from worker.runtime import last_line, run

METADATA = messages.Metadata(SID, "AC1", "+1", "+2", "inbound", "r1", {"From": "+1"})


class Gateway:
    """The gateway's end of the pipe, as a plain ``Connection``."""

    def __init__(self, agent: type[Agent], routes: Routes | None = None) -> None:
        self.end, theirs = multiprocessing.Pipe(duplex=True)
        loaded = LoadedRelease("r1", routes or Routes("a:A"), {"a:A": agent, "b:B": _Other})
        self.running = asyncio.ensure_future(run(theirs, loaded))
        self.heard: list[messages.Command | bytes] = []

    async def say(self, *frames: messages.Event | bytes) -> None:
        for it in frames:
            frame = messages.audio_frame(it) if isinstance(it, bytes) else messages.encode(it)
            self.end.send_bytes(frame)
        await settled(30)

    def listen(self, quiet: tuple[type, ...] = (messages.Beat,)) -> list[Any]:
        try:
            while self.end.poll(0):
                frame = self.end.recv_bytes()
                audio = messages.audio_of(frame)
                self.heard.append(messages.decode_command(frame) if audio is None else audio)
        except (EOFError, OSError):
            pass
        return [it for it in self.heard if not isinstance(it, quiet)]


class _Echo(Agent):
    def on_audio(self, audio: bytes) -> None:
        self.call.play(audio)


class _Other(Agent):
    pass


@virtual_time
async def test_a_whole_call_from_hello_to_the_last_word() -> None:
    gateway = Gateway(_Echo)
    await gateway.say(messages.Hello(messages.VERSION), METADATA)
    assert gateway.listen() == [messages.Hello(messages.VERSION), messages.Running("a:A")]
    await gateway.say(STREAM, b"\x01" * 160, b"\x02" * 160)
    assert gateway.listen()[2:] == [b"\x01" * 160, b"\x02" * 160]
    await gateway.say(OVER)
    await gateway.running
    assert gateway.listen()[4:] == [messages.Checkpoint(b"\x80"), messages.Finished("")]
    gateway.end.close()


@virtual_time
async def test_what_was_said_before_the_agent_was_there_reaches_it_in_order() -> None:
    got = list[object]()

    class Early(Agent):
        def on_audio(self, audio: bytes) -> None:
            got.append(audio)

        async def on_dtmf(self, digit: str) -> None:
            got.append(digit)

    gateway = Gateway(Early)
    await gateway.say(
        messages.Hello(messages.VERSION), METADATA, STREAM, b"\x01", messages.Dtmf("1")
    )
    await gateway.say(OVER)
    await gateway.running
    assert got == [b"\x01", "1"]
    gateway.end.close()


@virtual_time
async def test_a_call_that_is_over_before_its_agent_was_there_ends_cleanly() -> None:
    gateway = Gateway(_Echo)
    gateway.end.send_bytes(messages.encode(messages.Hello(messages.VERSION)))
    await gateway.say(METADATA, STREAM, messages.Dtmf("1"), OVER)
    await gateway.running
    assert gateway.listen()[-1] == messages.Finished("")
    gateway.end.close()


@virtual_time
async def test_the_loop_says_once_a_second_that_it_turns() -> None:
    gateway = Gateway(_Echo)
    await gateway.say(messages.Hello(messages.VERSION), METADATA)
    await asyncio.sleep(10.5)
    gateway.listen()
    beats = [it for it in gateway.heard if isinstance(it, messages.Beat)]
    assert len(beats) == 11
    await gateway.say(OVER)
    await gateway.running
    gateway.end.close()


@virtual_time
async def test_the_number_that_was_called_chooses_the_agent() -> None:
    gateway = Gateway(_Echo, Routes("a:A", {"+2": "b:B"}))
    await gateway.say(messages.Hello(messages.VERSION), METADATA)
    assert messages.Running("b:B") in gateway.listen()
    await gateway.say(OVER)
    await gateway.running
    gateway.end.close()


@virtual_time
async def test_an_agent_that_fails_says_why_before_it_leaves() -> None:
    class Broken(Agent):
        async def on_start(self) -> None:
            raise KeyError("table")

    gateway = Gateway(Broken)
    await gateway.say(messages.Hello(messages.VERSION), METADATA, STREAM)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await gateway.running
    assert last_line(caught.value) == "KeyError: 'table'"
    assert gateway.listen()[-1] == messages.Finished("KeyError: 'table'")
    gateway.end.close()


@virtual_time
async def test_an_agent_that_cannot_be_made_says_why() -> None:
    class Unmade(Agent):
        def __init__(self) -> None:
            raise RuntimeError("no such file")

    gateway = Gateway(Unmade)
    await gateway.say(messages.Hello(messages.VERSION), METADATA)
    with pytest.raises(RuntimeError):
        await gateway.running
    assert gateway.listen()[-1] == messages.Finished("RuntimeError: no such file")
    gateway.end.close()


@virtual_time
async def test_a_gateway_that_goes_away_ends_the_call() -> None:
    gateway = Gateway(_Echo)
    await gateway.say(messages.Hello(messages.VERSION), METADATA, STREAM)
    gateway.end.close()
    with pytest.raises(Exception, match="the pipe was closed"):
        await gateway.running


@virtual_time
async def test_a_gateway_that_goes_away_before_it_said_which_call_ends_the_process() -> None:
    gateway = Gateway(_Echo)
    await settled()
    gateway.end.close()
    with pytest.raises(Exception, match="the pipe was closed"):
        async with asyncio.timeout(60):
            await gateway.running


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no"), "ValueError: no"),
        (ExceptionGroup("g", [ExceptionGroup("h", [KeyError("x")])]), "KeyError: 'x'"),
        (SystemExit(3), "SystemExit: 3"),
        (
            SyntaxError("invalid syntax", ("desk.py", 5, 1, "clas X:", 5, 2)),
            "SyntaxError: invalid syntax (desk.py, line 5)",
        ),
    ],
)
def test_the_last_line_is_that_of_the_innermost_error(error: BaseException, line: str) -> None:
    assert last_line(error) == line


class _Refused:
    def prepare(self) -> None:
        pass

    async def connect(self, listener: object) -> Any:
        raise ProviderRefusedError("deepgram", "the key is wrong: check DEEPGRAM_API_KEY", 401)

    def stand_in(self) -> "_Refused":
        return self


@virtual_time
async def test_a_provider_that_ends_a_call_is_told_to_the_operator_in_its_own_words() -> None:
    gateway = Gateway(type("Deaf", (Agent,), {"stt": _Refused()}))
    await gateway.say(messages.Hello(messages.VERSION), METADATA, STREAM)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the group's kind is not the point
        await gateway.running
    told = gateway.listen()
    trouble = messages.ProviderTrouble("deepgram", "the key is wrong: check DEEPGRAM_API_KEY")
    assert trouble in told
    assert told.index(trouble) < len(told) - 1
    gateway.end.close()
    assert last_words(raised.value) == "", "nothing is told twice"


def test_an_authors_mistake_leaves_its_traceback() -> None:
    with pytest.raises(ValueError, match="mistake") as raised:
        raise ValueError("the author's mistake")
    assert "in test_an_authors_mistake_leaves_its_traceback" in last_words(raised.value)


class _Chatty(Agent):
    async def on_start(self) -> None:
        structlog.get_logger("worker.x").warning("voice_lost", provider="cartesia", at=Path("x"))


@virtual_time
async def test_what_a_provider_logs_reaches_the_gateways_log_under_its_call() -> None:
    before = structlog.get_config()
    gateway = Gateway(_Chatty)
    await gateway.say(messages.Hello(messages.VERSION), METADATA, STREAM)
    await gateway.say(OVER)
    await gateway.running
    line = messages.Log("warning", "voice_lost", {"provider": "cartesia", "at": "x"})
    assert line in gateway.listen()
    assert structlog.get_config() == before
    gateway.end.close()
