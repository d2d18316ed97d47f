import asyncio

import pytest

from tests.worker.playbook import Ears, Voice
from worker.agent import Agent
from worker.message import Message
from worker.rehearsal import rehearse
from worker.stand_ins import EchoSpeech
from worker.tools import tool
from worker.turn import Turn


def _problem(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def test_every_hook_is_tried_once_and_can_see_that_it_is_a_rehearsal() -> None:
    seen = list[str]()

    class Diligent(Agent):
        tts = Voice()
        greeting = "Hello"

        async def on_ringing(self) -> None:
            seen.append("ringing")

        async def on_start(self) -> None:
            seen.append(f"start {self.call.rehearsal}")

        def on_audio(self, audio: bytes) -> None:
            if "audio" not in seen:
                seen.append("audio")

        async def on_dtmf(self, digit: str) -> None:
            seen.append("dtmf " + digit)

        async def on_ended(self) -> None:
            seen.append("ended")

    rehearse([Diligent], "r1")
    assert sorted(seen) == sorted(["ringing", "start True", "audio", "dtmf 1", "ended"])


@pytest.mark.parametrize("hook", ["on_ringing", "on_start", "on_dtmf", "on_ended"])
def test_a_hook_that_raises_fails_the_rehearsal_with_its_error(hook: str) -> None:
    async def fails(self: Agent, *_: object) -> None:
        raise ValueError("the author's mistake")

    agent = type("Broken", (Agent,), {hook: fails})
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        rehearse([agent], "r1")
    assert str(_problem(caught.value)) == "the author's mistake"


def test_an_audio_hook_that_raises_fails_the_rehearsal_with_its_error() -> None:
    class Broken(Agent):
        def on_audio(self, audio: bytes) -> None:
            raise ValueError("the author's mistake")

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        rehearse([Broken], "r1")
    assert str(_problem(caught.value)) == "the author's mistake"


def test_an_agent_that_hangs_up_in_its_rehearsal_passes() -> None:
    class Curt(Agent):
        async def on_start(self) -> None:
            await self.call.hangup()

    rehearse([Curt], "r1")


def test_providers_are_replaced_by_their_stand_ins() -> None:
    connected = list[str]()

    class Real(Voice):
        def stand_in(self) -> Voice:
            return Voice()

        async def connect(self, listener: object) -> Voice:
            connected.append("to the network")
            raise OSError

    class Speaking(Agent):
        stt = Ears()
        tts = Real()
        greeting = "Hello"

        async def inference(self, message: Message[str]) -> None:
            await self.say(message.data)

    rehearse([Speaking], "r1")
    assert connected == []
    assert isinstance(Speaking.tts, Real)


def test_no_event_loop_is_left_behind() -> None:
    rehearse([type("Plain", (Agent,), {})], "r1")
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_model_of_speech_is_stood_in_for_and_its_tools_are_not_run() -> None:
    seen = list[str]()

    class Talker(Agent):
        speech = EchoSpeech()
        greeting = "Good evening, this is the Bella Vista, and who are you if I may ask?"

        async def on_turn(self, turn: Turn) -> None:
            seen.append(turn.agent)

        @tool
        def book(self) -> str:
            """Book."""
            seen.append("booked")
            return "ok"

    rehearse([Talker], "r1")
    assert seen == ["hello"]
