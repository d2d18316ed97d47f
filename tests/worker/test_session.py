import asyncio
from typing import Any
from uuid import uuid4

import msgpack
import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.playbook import (
    BYTES_A_LETTER,
    OVER,
    STREAM,
    After,
    Audio,
    Begins,
    Caller,
    Does,
    Ears,
    Echoes,
    Hears,
    Playbook,
    Says,
    Voice,
)
from worker.agent import Agent
from worker.errors import CallOverError, ProviderError
from worker.message import Message
from worker.session import ENDED_SECONDS
from worker.stt import Partial

HELLO = "Good morning"
HELLO_AUDIO = Audio(len(HELLO) * BYTES_A_LETTER)
STOPPED = messages.StreamStopped("lost")


def _agent(**parts: Any) -> type[Agent]:
    """Return an agent class with these attributes and hooks."""
    return type("TestAgent", (Agent,), parts)


def _greeter(**parts: Any) -> type[Agent]:
    return _agent(stt=Ears(), tts=Voice(), greeting=HELLO, **parts)


async def _parrot(self: Agent, message: Message[str]) -> None:
    await self.say(message.data)


def _problem(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


# Greeting ------------------------------------------------------------------------------------


@virtual_time
async def test_the_greeting_is_made_while_it_rings_and_goes_out_at_once_on_the_stream() -> None:
    loop = asyncio.get_running_loop()
    play = await (Playbook(_greeter()) >> After(0.3))
    assert play.rest == []
    began = loop.time()
    await (play >> STREAM << HELLO_AUDIO << messages.Mark)
    assert loop.time() == began
    await (play >> Echoes() << messages.Said("agent", HELLO, 0.0))
    await play.ended()


@virtual_time
async def test_a_greeting_that_is_not_ready_goes_out_as_soon_as_it_is() -> None:
    agent = _agent(tts=Voice(delay=1.0), greeting=HELLO)
    play = await (Playbook(agent) >> STREAM >> After(0.9))
    assert play.rest == []
    await (play >> After(0.2) << HELLO_AUDIO)
    await play.ended()


@virtual_time
async def test_ears_voice_and_ringing_hook_start_at_once_and_together() -> None:
    async def on_ringing(self: Agent) -> None:
        await asyncio.sleep(1.0)

    agent = _agent(stt=Ears(delay=1.0), tts=Voice(delay=1.0), greeting=HELLO, on_ringing=on_ringing)
    play = await (Playbook(agent) >> STREAM >> After(1.05) << HELLO_AUDIO)
    await play.ended()


@virtual_time
async def test_an_agent_without_a_greeting_says_nothing_of_itself() -> None:
    play = await (Playbook(_agent(tts=Voice())) >> STREAM >> After(5))
    assert play.rest == []
    await play.ended()


# Turns ---------------------------------------------------------------------------------------


@virtual_time
async def test_a_turn_is_heard_answered_recorded_and_checkpointed() -> None:
    play = Playbook(_agent(stt=Ears(), tts=Voice(), inference=_parrot))
    await (
        play
        >> STREAM
        >> Caller(b"\x11" * 8000)
        >> Says("two of us")
        << messages.Said("caller", "two of us", 1000.0)
        << Audio(9 * BYTES_A_LETTER)
        << messages.Mark
        >> Echoes()
        << messages.Said("agent", "two of us", 1000.0, 0.0)
        << messages.Checkpoint
    )
    assert bytes(play.agent.stt.heard) == b"\x11" * 8000  # type: ignore[union-attr]
    await play.ended()


@virtual_time
async def test_utterances_come_to_the_agent_one_after_the_other_in_order() -> None:
    log = list[str]()

    async def inference(self: Agent, message: Message[str]) -> None:
        log.append("begin " + message.data)
        await asyncio.sleep(1)
        log.append("end " + message.data)

    play = Playbook(_agent(stt=Ears(), inference=inference))
    await (play >> STREAM >> Says("a") >> Says("b") >> After(3))
    assert log == ["begin a", "end a", "begin b", "end b"]
    await play.ended()


@virtual_time
async def test_the_reply_time_counts_from_the_words_to_the_first_audio() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await asyncio.sleep(0.25)
        await self.say("yes")

    play = Playbook(_agent(stt=Ears(), tts=Voice(), inference=inference))
    await (play >> STREAM >> Says("a") >> After(0.3) >> Echoes())
    said = [it for it in play.wire.items if isinstance(it, messages.Said) and it.role == "agent"]
    assert [it.reply_ms for it in said] == [pytest.approx(250)]
    await play.ended()


@virtual_time
async def test_a_partial_transcript_is_no_turn() -> None:
    play = Playbook(_agent(stt=Ears(), tts=Voice(), inference=_parrot))
    await (play >> STREAM >> Hears(Partial("tw")) >> After(1))
    assert play.rest == []
    await play.ended()


@virtual_time
async def test_an_utterance_that_was_not_understood_reaches_the_agent_and_no_transcript() -> None:
    got = list[str]()

    async def inference(self: Agent, message: Message[str]) -> None:
        got.append(message.data)

    play = await (Playbook(_agent(stt=Ears(), inference=inference)) >> STREAM >> Says(""))
    assert got == [""]
    assert play.said("caller") == []
    await play.ended()


@virtual_time
async def test_the_checkpoint_holds_the_agents_state_after_each_turn() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        self.state["people"] = int(message.data)

    play = Playbook(_agent(stt=Ears(), inference=inference))
    await (play >> STREAM >> Says("4") >> Says("6"))
    points = [it for it in play.wire.items if isinstance(it, messages.Checkpoint)]
    assert [msgpack.unpackb(it.state) for it in points] == [{"people": 4}, {"people": 6}]
    await play.ended()


@virtual_time
async def test_what_was_noted_after_the_last_turn_is_in_the_final_checkpoint() -> None:
    async def on_ended(self: Agent) -> None:
        self.state["ended"] = True

    play = await (Playbook(_agent(on_ended=on_ended)) >> STREAM >> OVER)
    await play.ended()
    assert play.wire.items == [messages.Checkpoint(msgpack.packb({"ended": True}))]


# Barge-in ------------------------------------------------------------------------------------


@virtual_time
async def test_a_caller_who_begins_to_speak_stops_the_agent_at_once() -> None:
    loop = asyncio.get_running_loop()
    play = await (Playbook(_greeter()) >> STREAM << HELLO_AUDIO << messages.Mark >> After(0.07))
    now = loop.time()
    await (play >> Begins() << messages.Clear)
    assert loop.time() == now
    await (
        play
        >> After(0.4)
        >> Hears(Partial("wait"))
        << messages.Said("agent", "Good", 0.0, None, interrupted=True)
    )
    await play.ended()


@virtual_time
async def test_say_tells_the_agent_how_far_it_was_heard() -> None:
    heard = list[str]()

    async def inference(self: Agent, message: Message[str]) -> None:
        heard.append(await self.say("one two three"))

    play = Playbook(_agent(stt=Ears(), tts=Voice(), inference=inference))
    await (play >> STREAM >> Says("go") >> After(0.09) >> Begins() >> Hears(Partial("no")))
    assert heard == ["one two"]
    await play.ended()


@virtual_time
async def test_an_uninterruptible_sentence_survives_a_caller_who_speaks() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say("one two three", interruptible=False)

    play = Playbook(_agent(stt=Ears(), tts=Voice(), inference=inference))
    await (play >> STREAM >> Says("go") >> After(0.09) >> Begins() >> Echoes())
    assert play.said("agent") == ["one two three"]
    assert messages.Clear not in play.wire.kinds()
    await play.ended()


# Audio and keys ------------------------------------------------------------------------------


@virtual_time
async def test_an_agent_that_wants_audio_gets_every_frame_at_once() -> None:
    def on_audio(self: Agent, audio: bytes) -> None:
        self.call.play(audio)

    play = Playbook(_agent(on_audio=on_audio))
    await (play >> STREAM >> Caller(b"\x01" * 160) << Audio(160))
    await play.ended()


@virtual_time
async def test_a_key_reaches_the_agent_even_while_it_answers() -> None:
    keys = list[str]()

    async def on_dtmf(self: Agent, digit: str) -> None:
        keys.append(digit)

    async def inference(self: Agent, message: Message[str]) -> None:
        await asyncio.sleep(60)

    play = Playbook(_agent(stt=Ears(), on_dtmf=on_dtmf, inference=inference))
    await (play >> STREAM >> Says("hm") >> messages.Dtmf("5") >> messages.Dtmf("#"))
    assert keys == ["5", "#"]
    await play.ended()


@virtual_time
async def test_a_reconnected_stream_starts_again_without_a_second_greeting() -> None:
    starts = list[bool]()

    async def on_start(self: Agent) -> None:
        starts.append(self.call.streaming)

    play = await (Playbook(_greeter(on_start=on_start)) >> STREAM >> Echoes() >> STOPPED >> STREAM)
    assert starts == [True, True]
    assert Audio(len(play.wire.audio)) == HELLO_AUDIO
    await play.ended()


# Failing -------------------------------------------------------------------------------------


async def _fails(self: Agent, *_: object) -> None:
    raise ValueError("the author's mistake")


def _fails_now(self: Agent, audio: bytes) -> None:
    raise ValueError("the author's mistake")


@pytest.mark.parametrize(
    ("hook", "event"),
    [
        ("on_ringing", After(0)),
        ("on_start", STREAM),
        ("on_dtmf", messages.Dtmf("1")),
        ("inference", Says("hello")),
        ("on_ended", OVER),
    ],
)
def test_a_hook_that_raises_ends_the_call_with_its_error(hook: str, event: object) -> None:
    @virtual_time
    async def case() -> None:
        ears, voice = Ears(), Voice()
        play = Playbook(_agent(stt=ears, tts=voice, **{hook: _fails}))
        if event is not STREAM and hook != "on_ringing":
            await (play >> STREAM)
        await (play >> event)
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
            await play.living
        assert str(_problem(caught.value)) == "the author's mistake"
        assert voice.closed == 1

    case()


@virtual_time
async def test_an_audio_hook_that_raises_ends_the_call_with_its_error() -> None:
    play = await (Playbook(_agent(on_audio=_fails_now)) >> STREAM >> Caller(b"\x01" * 160))
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert str(_problem(caught.value)) == "the author's mistake"


@pytest.mark.parametrize("part", ["stt", "tts"])
def test_a_provider_that_cannot_be_reached_ends_the_call_with_its_error(part: str) -> None:
    @virtual_time
    async def case() -> None:
        error = ProviderError(part, "401: check the key")
        parts: dict[str, Any] = {"stt": Ears(), "tts": Voice()}
        parts[part].error = error
        play = await Playbook(_agent(**parts))
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
            await play.living
        assert _problem(caught.value) is error

    case()


@pytest.mark.parametrize("part", ["stt", "tts"])
def test_what_was_connected_is_closed_when_the_other_provider_fails(part: str) -> None:
    @virtual_time
    async def case() -> None:
        parts: dict[str, Any] = {"stt": Ears(), "tts": Voice()}
        parts[part].error, parts[part].delay = ProviderError(part, "no"), 1.0
        play = await (Playbook(_agent(**parts)) >> After(2))
        with pytest.raises(BaseException):  # noqa: B017, PT011 - a group of one
            await play.living
        other = parts["tts" if part == "stt" else "stt"]
        assert other.closed == 1

    case()


@virtual_time
async def test_ears_that_are_lost_end_the_call_with_their_error() -> None:
    play = await (Playbook(_greeter()) >> STREAM)
    play.session.conversation.failed(ProviderError("deepgram", "gone"))
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert str(_problem(caught.value)) == "deepgram: gone"


@virtual_time
async def test_events_that_come_while_a_failed_call_winds_up_harm_nobody() -> None:
    async def on_start(self: Agent) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)

    play = Playbook(_agent(stt=Ears(), on_start=on_start, inference=_fails))
    await (play >> STREAM >> Says("hello") >> messages.Dtmf("1") >> Caller(b"\x01" * 160))
    assert not play.living.done()
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert str(_problem(caught.value)) == "the author's mistake"


# Ending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ringing", [True, False])
def test_a_call_that_ends_as_calls_do_ends_without_an_error(ringing: bool) -> None:
    @virtual_time
    async def case() -> None:
        ears, voice = Ears(), Voice()
        play = await Playbook(_agent(stt=ears, tts=voice, greeting=HELLO))
        if not ringing:
            await (play >> STREAM)
        await (play >> OVER)
        await play.living
        assert (ears.closed, voice.closed) == (1, 1)

    case()


@virtual_time
async def test_the_last_hook_has_its_time_and_no_more() -> None:
    began = asyncio.get_running_loop().time()

    async def on_ended(self: Agent) -> None:
        await asyncio.sleep(3600)

    play = await (Playbook(_agent(on_ended=on_ended)) >> STREAM >> OVER)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert isinstance(_problem(caught.value), TimeoutError)
    assert asyncio.get_running_loop().time() - began == pytest.approx(ENDED_SECONDS)


@virtual_time
async def test_a_turn_in_progress_is_given_up_when_the_call_ends() -> None:
    ended = list[str]()

    async def inference(self: Agent, message: Message[str]) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("turn")

    async def on_ended(self: Agent) -> None:
        ended.append("call")

    play = Playbook(_agent(stt=Ears(), inference=inference, on_ended=on_ended))
    await (play >> STREAM >> Says("hello") >> OVER)
    await play.living
    assert sorted(ended) == ["call", "turn"]


@pytest.mark.parametrize("hook", ["inference", "on_start", "on_dtmf"])
def test_the_last_hook_runs_to_its_end_though_another_was_waiting_for_the_line(hook: str) -> None:
    done = list[str]()

    async def ask(self: Agent, *_: object) -> None:
        await self.call.start_recording()

    async def on_ended(self: Agent) -> None:
        await asyncio.sleep(2)
        done.append("saved")

    @virtual_time
    async def case() -> None:
        play = Playbook(_agent(stt=Ears(), on_ended=on_ended, **{hook: ask}))
        await (play >> STREAM >> Says("hello") >> messages.Dtmf("1") >> OVER)
        await play.living
        assert done == ["saved"]

    case()


@virtual_time
async def test_a_last_hook_that_asks_for_the_line_is_told_and_the_state_is_kept() -> None:
    async def on_ended(self: Agent) -> None:
        self.state["tried"] = True
        await self.call.hangup()

    play = await (Playbook(_agent(on_ended=on_ended)) >> STREAM >> OVER)
    await play.living
    assert play.wire.items == [messages.Checkpoint(msgpack.packb({"tried": True}))]


@virtual_time
async def test_hanging_up_from_a_turn_ends_the_call_without_an_error() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say("goodbye")
        await self.call.hangup()

    play = Playbook(_agent(stt=Ears(), tts=Voice(), inference=inference))
    await (
        play
        >> STREAM
        >> Says("bye")
        << messages.Said
        << Audio(7 * BYTES_A_LETTER)
        << messages.Mark
        >> Echoes()
        << messages.Said
        << messages.HangUp(1)
        >> messages.Reply(1)
        >> OVER
    )
    await play.living


@virtual_time
async def test_what_comes_after_the_end_harms_nobody() -> None:
    play = await (Playbook(_greeter(inference=_parrot)) >> STREAM >> Echoes() >> OVER)
    await play.living
    await (
        play
        >> messages.Dtmf("1")
        >> STREAM
        >> Caller(b"\x01" * 160)
        >> Begins()
        >> Says("hello?")
        >> messages.MarkPlayed("0.1")
        >> messages.Reply(1)
        >> OVER
        >> Does(lambda: play.session.conversation.failed(ValueError()))
    )


@virtual_time
async def test_an_agent_whose_turn_meets_the_end_of_the_call_sees_it_as_such() -> None:
    seen = list[str]()

    async def inference(self: Agent, message: Message[str]) -> None:
        await asyncio.shield(asyncio.sleep(0))
        try:
            await self.call.transfer("kitchen")
        except CallOverError as error:
            seen.append(error.reason)
            raise

    async def on_dtmf(self: Agent, digit: str) -> None:
        await inference(self, Message(uuid4(), ""))

    play = Playbook(_agent(on_dtmf=on_dtmf))
    await (play >> STREAM >> messages.Dtmf("1") >> OVER)
    await play.living
    assert seen == ["the caller hung up"]


@virtual_time
async def test_an_agent_hears_of_a_transfer_that_the_operator_has_ordered() -> None:
    heard = list[tuple[str, str]]()

    async def on_warm_transfer(self: Agent, to: str, outcome: str) -> None:
        heard.append((to, outcome))

    play = Playbook(_agent(on_warm_transfer=on_warm_transfer))
    await (
        play
        >> STREAM
        >> messages.WarmTransferred(0, "manager", "busy")
        >> messages.WarmTransferred(7, "sales", "busy")
        >> OVER
    )
    await play.living
    assert heard == [("manager", "busy")]


@virtual_time
async def test_what_was_said_before_the_caller_hung_up_is_still_acted_on() -> None:
    done: list[str] = []

    async def inference(self: Agent, message: Message[str]) -> None:
        await asyncio.sleep(1.0)
        done.append(message.data)
        assert await self.say("booked") == ""

    play = await (
        Playbook(_agent(stt=Ears(), tts=Voice(), inference=inference))
        >> STREAM
        >> Says("yes, book it")
        >> OVER
    )
    await play.ended()
    assert done == ["yes, book it"]


@virtual_time
async def test_a_state_that_is_too_large_is_reported_and_does_not_end_the_call() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        self.state["all"] = "x" * 1_000_000

    play = await (
        Playbook(_agent(stt=Ears(), inference=inference)) >> STREAM >> Says("hello") >> After(1.0)
    )
    logged = [item for item in play.rest if isinstance(item, messages.Log)]
    assert [line.level for line in logged] == ["warning"]
    await (play >> OVER).ended()


@virtual_time
async def test_what_the_carrier_reports_reaches_the_agent() -> None:
    told: list[object] = []

    async def on_status(self: Agent, status: str) -> None:
        told.append(status)

    async def on_answered_by(self: Agent, verdict: str) -> None:
        told.append(verdict)

    async def on_carrier_transcript(self: Agent, track: str, text: str, final: bool) -> None:
        told.append((track, text, final))

    async def on_carrier_recording(self: Agent, sid: str, status: str, url: str | None) -> None:
        told.append((sid, status, url))

    agent = _agent(
        on_status=on_status,
        on_answered_by=on_answered_by,
        on_carrier_transcript=on_carrier_transcript,
        on_carrier_recording=on_carrier_recording,
    )
    await (
        Playbook(agent)
        >> STREAM
        >> messages.CallStatus("in-progress")
        >> messages.AnsweredBy("human")
        >> messages.TranscriptReceived("inbound", "hello", True)
        >> messages.RecordingChanged("RE1", "completed", "https://x.example/RE1")
        >> OVER
    )
    assert told == [
        "in-progress",
        "human",
        ("inbound", "hello", True),
        ("RE1", "completed", "https://x.example/RE1"),
    ]
