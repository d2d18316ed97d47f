"""Each provider killed in mid-conversation: the caller is answered, and the operator told."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from phone import Call
from phone.events import VerbBegun
from tests.e2e.cascade import DESK, FALLBACK, KEYS, Caller, Cascade, answers, cascade
from tests.fakes.openai import Broken, Fault, Trouble
from tests.fakes.openai_refusal import Refusal as ModelRefusal
from tests.fakes.voice_faults import Dies, Refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENTS = (
    DESK
    + """
class Alone(Desk):
    llm = OpenAI(first_token_s=0.8)
    sorry = "Sorry, again please."

class Doubled(Desk):
    tts = [VOICE, ElevenLabs()]

class Eared(Desk):
    stt = [EARS, OpenAITranscription(silence_duration_ms=200)]

class Thinker(Desk):
    llm = [OpenAI(model="gone"), MODEL]
"""
)
NUMBERS = {
    agent: f"+1555000600{at}" for at, agent in enumerate(("Alone", "Doubled", "Eared", "Thinker"))
}
ROUTES = 'default = "desk:Desk"\n[numbers]\n' + "".join(
    f'"{number}" = "desk:{agent}"\n' for agent, number in NUMBERS.items()
)
LONG = "Certainly we have nine tables left, and each of them is by the window."
LAST = "window."
WORKS = "It works."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cascade]:
    """A gateway whose providers are mortal."""
    folder = tmp_path_factory.mktemp("deaths")
    async with cascade(folder, {"desk.py": AGENTS}, routes=ROUTES) as stage:
        stage.openai.replies = answers({"tell me": LONG, "once more": WORKS}, "Noted.")
        yield stage


async def _is_told(stage: Cascade, caller: Caller, provider: str, fallback: str | None) -> None:
    """The operator reads of it at the call, in the log and in the figures."""
    trouble = (await caller.view())["troubles"][-1]
    assert (trouble["provider"], trouble["fallback"]) == (provider, fallback)
    log = stage.gateway.log_text()
    assert re.search(f"provider given up .*{caller.sid}.*provider={provider}", log)
    labels = f'{{fallback="{fallback or ""}",provider="{provider}"}}'
    assert f"callfarm_provider_troubles_total{labels}" in await stage.metrics()


def _are_once(words: list[str], text: str) -> None:
    """All words of ``text`` were heard, in order; one that was cut may have come twice."""
    again = [at for at in range(1, len(words)) if words[at] == words[at - 1]]
    assert len(again) <= 1, words
    assert [word for at, word in enumerate(words) if at not in again] == text.split()


# Ears ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1011, None], ids=["closed with 1011", "dropped"])
async def test_words_are_not_lost_with_the_ears(stage: Cascade, code: int | None) -> None:
    said = "a quiet table for seven people and one dog"
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        speaking = asyncio.create_task(caller.says(said))
        await caller.call.wait(500)
        socket = stage.deepgram.sockets[-1]
        if code is None:
            socket.cut()
        else:
            await socket.connection.close(code, "as programmed")
        await speaking
        await caller.hears("Noted.")
        assert ("caller", said) in await caller.lines()
    assert stage.history()[-1] == ("user", said)
    assert stage.deepgram.sockets[-1] is not socket


async def test_other_ears_hear_what_was_said_meanwhile(stage: Cascade) -> None:
    said = "a quiet table for seven people and one dog"
    async with stage.caller(NUMBERS["Eared"]) as caller:
        await caller.hears("Good evening.")
        speaking = asyncio.create_task(caller.says(said))
        await caller.call.wait(500)
        stage.deepgram.refuse(401, "INVALID_AUTH", "Invalid credentials.")
        stage.deepgram.sockets[-1].cut()
        await speaking
        await caller.hears("Noted.")
        await _is_told(stage, caller, "Deepgram", "OpenAITranscription")
        await caller.asks("once more", WORKS)
    assert ("user", said) in stage.history()


@pytest.mark.parametrize("which", ["ears", "voice"])
async def test_what_is_lost_for_good_is_a_humans_business(stage: Cascade, which: str) -> None:
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        if which == "ears":
            stage.deepgram.refuse(402, "ASR_PAYMENT_REQUIRED", "no credit")
            stage.deepgram.sockets[-1].cut()
        else:
            stage.cartesia.next_contexts.append(Dies(after_ms=730))
            stage.cartesia.next_upgrades.append(Refusal(402, "quota_exceeded"))
            await caller.says("tell me")
        await _is_apologised_to(caller.call)


# Voice -----------------------------------------------------------------------------------------


async def test_a_voice_that_dies_in_a_word_says_the_rest(stage: Cascade) -> None:
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        for code in (1011, None):
            begun = len(caller.words)
            stage.cartesia.next_contexts.append(Dies(after_ms=730, code=code))
            await caller.asks("tell me", LAST)
            _are_once(caller.words[begun:], LONG)
        await caller.asks("once more", WORKS)
        assert not (await caller.view())["troubles"]
    assert stage.history().count(("assistant", LONG)) == 2


async def test_another_voice_goes_on_within_the_sentence(stage: Cascade) -> None:
    async with stage.caller(NUMBERS["Doubled"]) as caller:
        await caller.hears("Good evening.")
        stage.cartesia.next_contexts.append(Dies(after_ms=730))
        stage.cartesia.next_upgrades.append(Refusal(402, "quota_exceeded"))
        begun = len(caller.words)
        await caller.asks("tell me", LAST)
        _are_once(caller.words[begun:], LONG)
        rest = "".join(request.get("text", "") for request in stage.elevenlabs.requests).split()
        assert 0 < len(rest) < len(LONG.split())
        assert LONG.split()[-len(rest) :] == rest
        await caller.asks("once more", WORKS)
        await _is_told(stage, caller, "Cartesia", "ElevenLabs")
        shown = await stage.show(caller.sid)
        assert re.search("trouble: Cartesia: .*no credit.*; ElevenLabs took over", shown)
    assert ("assistant", LONG) in stage.history()


# Model -----------------------------------------------------------------------------------------

FAULTS: dict[str, Fault] = {
    "500": ModelRefusal(500, "server_error", "as programmed"),
    "429": ModelRefusal(429, "rate_limit_exceeded", "slow down", headers={"Retry-After": "20"}),
    "stall": Broken(Trouble.STALL, after=-1),
    "drop": Broken(Trouble.DROP, after=-1),
}


async def test_a_model_that_fails_once_is_excused_however_it_fails(stage: Cascade) -> None:
    async with stage.caller(NUMBERS["Alone"]) as caller:
        await caller.hears("Good evening.")
        for name, fault in FAULTS.items():
            tries = 1 if name in ("429", "stall") else 2
            stage.openai.fail("chat", *[fault] * tries)
            await caller.asks("something odd", "Sorry, again please.")
            await _is_told(stage, caller, "openai", None)
            await caller.asks("once more", WORKS)
        assert len((await caller.view())["troubles"]) == len(FAULTS)


async def test_a_model_that_fails_twice_in_a_row_ends_in_apology_and_a_human(
    stage: Cascade,
) -> None:
    async with stage.caller(NUMBERS["Alone"]) as caller:
        await caller.hears("Good evening.")
        stage.openai.fail("chat", *[FAULTS["500"]] * 4)
        await caller.asks("something odd", "Sorry, again please.")
        await caller.says("something odd")
        await _is_apologised_to(caller.call)


async def test_another_model_takes_over_before_a_word_is_lost(stage: Cascade) -> None:
    async with stage.caller(NUMBERS["Thinker"]) as caller:
        await caller.hears("Good evening.")
        await caller.asks("once more", WORKS)
        await _is_told(stage, caller, "OpenAI", "OpenAI")


# At the webhook --------------------------------------------------------------------------------


async def _is_apologised_to(call: Call) -> None:
    """The caller is told so, and connected with a human."""
    report = await call.ended()
    verbs = [(verb.verb, verb.detail) for verb in report.of(VerbBegun)]
    assert any(verb == "Say" and "something went wrong" in detail for verb, detail in verbs), verbs
    assert any(verb == "Dial" and FALLBACK in detail for verb, detail in verbs), verbs


@pytest.mark.parametrize("name", ["deepgram", "openai", "cartesia"])
async def test_an_account_that_is_refused_is_a_humans_call(stage: Cascade, name: str) -> None:
    match name:
        case "deepgram":
            stage.deepgram.refuse(401, "INVALID_AUTH", "Invalid credentials.")
        case "openai":
            stage.openai.fail("models", ModelRefusal(401, "invalid_api_key", "Incorrect API key"))
        case "cartesia":
            stage.cartesia.next_upgrades.append(Refusal(402, "quota_exceeded"))
    logged = len(stage.gateway.log_text())
    async with stage.gateway.phone(stage.settings).dial() as call:
        await _is_apologised_to(call)
    log = stage.gateway.log_text()[logged:]
    assert name in log
    assert f"{name.upper()}_API_KEY" in log or name == "cartesia"


async def test_with_everything_down_a_caller_is_still_told(tmp_path: Path) -> None:
    dead = {f"{name}_BASE_URL": "http://127.0.0.1:9" for name in ("DEEPGRAM", "CARTESIA")}
    async with (
        cascade(tmp_path, None, {**dead, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}) as stage,
        stage.gateway.phone(stage.settings).dial() as call,
    ):
        async with asyncio.timeout(30):
            await _is_apologised_to(call)


# The log ---------------------------------------------------------------------------------------


async def test_no_key_and_no_word_of_a_caller_is_in_the_log(stage: Cascade) -> None:
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("tell me", "by the window.")
    await caller.over()
    log = stage.gateway.log_text()
    assert not [name for name, key in KEYS.items() if key in log]
    said = ("tell me", "once more", "something odd", "seven people", LONG, WORKS, "Noted.")
    assert not [words for words in said if words in log]
    assert not re.search(r"(?i)authorization|bearer", log)
