"""Whole conversations with a model that hears: a phone, a gateway, vLLM's fake and a voice."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from phone import PhoneSettings
from phone.events import Cleared, Ending
from shared.audio import silence
from shared.turn_stages import Stage
from tests.e2e.cascade import AGENT_MS, FALLBACK, KEYS, Caller, answers, noise
from tests.fakes.cartesia import CartesiaFake
from tests.fakes.openai_chat import Reply, Wants
from tests.fakes.speech import speech
from tests.fakes.vllm import VLLMFake
from tests.harness import RunningGateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENTS = '''
from worker import *
from worker.providers import *

class Desk(Agent):
    stt = LocalEndpointing(end_silence_ms=300)
    llm = UltravoxModel(connect_s=0.2)
    tts = Cartesia(voice="v")
    network_ms = 0
    instructions = "You are the desk."
    greeting = "Good evening."
    hold_on = ("One moment.", "Still here.")
    hold_after_s = 0.7
    hold_every_s = 1.0

    @tool
    async def book(self, people: int) -> str:
        """Book a table."""
        self.state["people"] = people
        return f"Booked for {people}."

class Impatient(Desk):
    llm = UltravoxModel(connect_s=0.2, wake_s=1.5)
    sorry = "Sorry, again please."
'''
NUMBERS = {"Desk": "+15550001111", "Impatient": "+15550007001"}
ROUTES = 'default = "desk:Desk"\n[numbers]\n' + f'"{NUMBERS["Impatient"]}" = "desk:Impatient"\n'
LONG = "Certainly we have nine tables left, and each of them is by the window."
LETTER_MS = 60.0
REPLIES: dict[str, Reply] = {
    "good evening": "For how many?",
    "for two": [Wants("book", {"people": 2})],
    "Booked for 2.": "It is booked.",
    "tell me about the tables": LONG,
    "never mind all that": "As you like.",
    "goodbye now": "Goodbye.",
}


@dataclass
class Stand:
    """What a test has before it."""

    gateway: RunningGateway
    vllm: VLLMFake
    cartesia: CartesiaFake

    @asynccontextmanager
    async def caller(self, agent: str = "Desk") -> AsyncIterator[Caller]:
        """Place a call; it is connected when the block begins."""
        settings = PhoneSettings(verb_speed=20)
        async with self.gateway.phone(settings).dial(to=NUMBERS[agent]) as call:
            await call.connected(timeout=10)
            yield Caller(self, call)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    async with (
        VLLMFake(tool_parser=True) as vllm,
        CartesiaFake(KEYS["CARTESIA_API_KEY"], ms_per_letter=AGENT_MS) as cartesia,
        running_gateway(
            tmp_path_factory.mktemp("hearing"),
            {"routes.toml": ROUTES, "desk.py": AGENTS},
            environment(vllm, cartesia),
        ) as gateway,
    ):
        yield Stand(gateway, vllm, cartesia)


def environment(vllm: VLLMFake, cartesia: CartesiaFake) -> dict[str, str]:
    return {
        "CARTESIA_API_KEY": KEYS["CARTESIA_API_KEY"],
        "CARTESIA_BASE_URL": cartesia.url,
        "VLLM_BASE_URL": vllm.url,
        "NO_PROXY": "127.0.0.1",
        "FALLBACK_NUMBER": FALLBACK,
    }


@pytest.fixture
def stand(whole: Stand) -> Iterator[Stand]:
    """The stage, its server awake and as quick as can be."""
    vllm = whole.vllm
    vllm.heard.clear()
    vllm.replies, vllm.token_s, vllm.loads_s = answers(REPLIES), 0.0, 0.0
    yield whole
    vllm.loads_s = 0.0


async def says(caller: Caller, text: str) -> None:
    await caller.says(text, LETTER_MS)


async def test_a_conversation_is_heard_answered_and_written_down(stand: Stand) -> None:
    async with stand.caller() as caller:
        await caller.hears("Good evening.")
        for said, reply in (
            ("good evening", "For how many?"),
            ("for two", "It is booked."),
            ("goodbye now", "Goodbye."),
        ):
            await caller.is_let_finish()
            await says(caller, said)
            await caller.hears(reply)
        await caller.is_let_finish()
        await caller.call.hangup()
    view = await caller.over()
    assert [text for text in stand.vllm.heard if text in REPLIES] == [
        *("good evening", "for two", "Booked for 2.", "goodbye now")
    ]
    lines = [(line["role"], line["text"]) for line in view["lines"]]
    assert [text for role, text in lines if role == "agent"] == [
        *("Good evening.", "For how many?", "It is booked.", "Goodbye.")
    ]
    written = [text for role, text in lines if role == "caller"]
    assert len(written) == 3
    assert all(text.startswith("(spoken, 0.") for text in written), written
    assert view["agent_state"]["people"] == 2
    for turn in view["turns"][1:]:
        assert {Stage.CALLER_STOPPED, Stage.STT_FINAL, Stage.FIRST_HEARD} <= turn["stages"].keys()
        assert turn["own_ms"] >= 0
    older = stand.vllm.chats[-1].body["messages"]
    assert [each["content"] for each in older if each["role"] == "user"][:-1] == written[:-1]


async def test_a_cough_costs_no_word_and_speech_stops_the_agent(stand: Stand) -> None:
    async with stand.caller() as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await says(caller, "tell me about the tables")
        await caller.hears("Certainly we")
        await caller.call.say(noise(260) + silence(600))
        await caller.call.seen(Cleared, timeout=2)
        await caller.hears("have nine")
        assert len(stand.vllm.heard) == 1
        await says(caller, "never mind all that")
        await caller.hears("As you like.")
        lines = (await caller.view())["lines"]
    cut = next(line for line in lines if line["interrupted"])
    assert LONG.startswith(cut["text"])
    assert "window." not in caller.words
    history = stand.vllm.chats[-1].body["messages"]
    assert history[-2] == {"role": "assistant", "content": cut["text"]}
    assert stand.vllm.heard[-1] == "never mind all that"


async def test_who_interrupts_a_slow_model_closes_its_request(stand: Stand) -> None:
    stand.vllm.token_s = 0.15
    stand.vllm.replies = answers({**REPLIES, "tell me about the tables": f"{LONG} " * 4})
    async with stand.caller() as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await says(caller, "tell me about the tables")
        await caller.hears("Certainly we")
        asked = stand.vllm.chats[-1]
        await says(caller, "never mind all that")
        await stand.vllm.until(lambda: asked.cut_off)
        stand.vllm.token_s = 0.0
        await caller.hears("As you like.")


async def test_a_server_that_sleeps_is_waited_for_with_words(stand: Stand) -> None:
    stand.vllm.loads_s = 3.0
    stand.vllm.sleep()
    async with stand.caller() as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await says(caller, "good evening")
        await caller.hears("One moment.")
        await caller.hears("For how many?")
        view = await caller.view()
        assert not view["troubles"]
    assert stand.vllm.heard == ["good evening"]
    assert stand.vllm.turned_away >= 1


async def test_who_speaks_into_the_waiting_is_answered_about_all_of_it(stand: Stand) -> None:
    stand.vllm.loads_s = 3.5
    stand.vllm.sleep()
    stand.vllm.replies = answers({}, "Both heard.")
    async with stand.caller() as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await says(caller, "good evening")
        await caller.hears("One")
        await says(caller, "hello is anybody there")
        await caller.hears("Both heard.")
    assert stand.vllm.heard[-1] == "good evening hello is anybody there"


async def test_patience_ends_with_an_apology_and_the_next_turn_may_be_answered(
    stand: Stand,
) -> None:
    stand.vllm.loads_s = 4.5
    stand.vllm.sleep()
    async with stand.caller("Impatient") as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await says(caller, "good evening")
        await caller.hears("Sorry, again please.")
        assert (await caller.view())["troubles"][0]["provider"] == "vllm"
        await caller.is_let_finish()
        await caller.call.wait(2500)
        await says(caller, "goodbye now")
        await caller.hears("Goodbye.")
        await caller.is_let_finish()
        await caller.call.hangup()
        assert (await caller.call.ended()).how is not Ending.DOCUMENT


async def test_a_server_that_starts_while_the_phone_rings_costs_nobody_a_greeting(
    tmp_path: Path,
) -> None:
    async with (
        VLLMFake(starts_s=math.inf, tool_parser=True) as vllm,
        CartesiaFake(KEYS["CARTESIA_API_KEY"], ms_per_letter=AGENT_MS) as cartesia,
        running_gateway(
            tmp_path, {"routes.toml": ROUTES, "desk.py": AGENTS}, environment(vllm, cartesia)
        ) as gateway,
    ):
        vllm.replies = answers(REPLIES)
        async with Stand(gateway, vllm, cartesia).caller() as caller:
            await caller.hears("Good evening.")
            await caller.is_let_finish()
            await caller.call.say(speech("good evening", LETTER_MS))
            await caller.hears("One moment.")
            vllm.start_in(0.5)
            await caller.hears("For how many?", 20)
