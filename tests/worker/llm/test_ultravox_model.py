import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.openai import Broken, Trouble
from tests.fakes.openai_chat import Wants
from tests.fakes.openai_refusal import Refusal
from tests.fakes.speech import speech
from tests.fakes.vllm import MODEL, VLLMFake
from worker import stand_ins
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.llm import (
    Answer,
    Call,
    LLMSession,
    Prompt,
    Returned,
    Said,
    Sound,
    Text,
    ToolSpec,
    Usage,
    hears_audio,
)
from worker.llm.openai import OpenAI
from worker.llm.ultravox_model import UltravoxModel

NOTED = "(spoken, 1.0 s)"
BOOK = ToolSpec("book", "Book a table.", {"type": "object", "properties": {}})
REFUSED = (Refusal(401), Refusal(403))


def heard(text: str) -> Said:
    return Said("user", NOTED, sound=Sound(speech(text, 20), NOTED))


HELLO = Prompt((Said("system", "Be kind."), heard("hello there")))


@contextlib.asynccontextmanager
async def server(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[VLLMFake]:
    async with VLLMFake(**settings) as fake:
        monkeypatch.setenv("VLLM_BASE_URL", fake.url)
        monkeypatch.delenv("VLLM_API_KEY", raising=False)
        yield fake


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VLLMFake]:
    async with server(monkeypatch) as it:
        yield it


@contextlib.asynccontextmanager
async def line(settings: UltravoxModel | None = None) -> AsyncIterator[LLMSession]:
    session = await (settings or UltravoxModel()).connect()
    try:
        yield session
    finally:
        await session.aclose()


async def ask(session: LLMSession, prompt: Prompt = HELLO) -> list[Answer]:
    return [answer async for answer in session.reply(prompt)]


def said(answers: list[Answer]) -> str:
    return "".join(answer.delta for answer in answers if isinstance(answer, Text))


# What goes over the wire ---------------------------------------------------------------------


async def test_the_caller_is_heard_and_answered_in_text_with_its_usage(fake: VLLMFake) -> None:
    fake.replies = ["Good evening, how can I help?"]
    async with line(UltravoxModel(extra_body={"top_p": 0.9})) as session:
        answers = await ask(session)
    assert said(answers) == "Good evening, how can I help?"
    assert isinstance(answers[-1], Usage)
    assert fake.heard == ["hello there"]
    body = fake.chats[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == (MODEL, 0.3, 200)
    assert (body["top_p"], "tools" in body) == (0.9, False)


async def test_tools_are_called_where_the_server_has_a_parser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server(monkeypatch, tool_parser=True) as fake, line() as session:
        fake.replies = [["One moment.", Wants("book", {"people": 2})], "Booked."]
        answers = await ask(session, Prompt(HELLO.items, (BOOK,)))
        (call,) = (answer for answer in answers if isinstance(answer, Call))
        items = (*HELLO.items, Said("assistant", "One moment.", (call,)), Returned(call.id, "ok"))
        assert said(await ask(session, Prompt(items, (BOOK,)))) == "Booked."


async def test_a_key_is_sent_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(monkeypatch, key="sesame") as fake:
        monkeypatch.setenv("VLLM_API_KEY", "sesame")
        async with line() as session:
            assert said(await ask(session)) == "OK."
        monkeypatch.delenv("VLLM_BASE_URL")
        async with line(UltravoxModel(base_url=fake.url + "/")) as session:
            assert said(await ask(session)) == "OK."


async def test_a_caller_who_interrupts_closes_the_request(fake: VLLMFake) -> None:
    fake.replies = ["A very long story. " * 20]
    fake.token_s = 0.05
    async with line() as session:
        stream = session.reply(HELLO)
        await anext(stream)
        await stream.aclose()
        await fake.until(lambda: fake.chats[0].cut_off)
        fake.token_s, fake.replies = 0, ["Yes?"]
        assert said(await ask(session)) == "Yes?"


# What is refused -----------------------------------------------------------------------------


async def test_a_refusal_says_what_the_server_says_is_wrong(fake: VLLMFake) -> None:
    fake.audio_limit = 1
    items = (heard("one"), Said("assistant", "Yes."), heard("two"))
    async with line(UltravoxModel(audio_turns=2)) as session:
        with pytest.raises(ProviderRefusedError) as caught:
            await ask(session, Prompt(items))
    assert "At most 1 audio(s) may be provided" in str(caught.value)
    assert (caught.value.provider, caught.value.status) == ("vllm", 400)


@pytest.mark.parametrize("flat", [False, True])
async def test_another_model_is_refused_in_either_shape(
    monkeypatch: pytest.MonkeyPatch, flat: bool
) -> None:
    async with server(monkeypatch, flat_errors=flat), line(UltravoxModel(model="m")) as session:
        with pytest.raises(ProviderRefusedError, match="no such model") as caught:
            await ask(session)
    assert "`m` does not exist" in str(caught.value)


async def test_a_refusal_that_quotes_the_conversation_is_not_repeated(fake: VLLMFake) -> None:
    fake.fail("chat", Refusal(400, None, "Bad input_value={'content': 'my card is 4711'}"))
    prompt = Prompt((Said("user", "well, my card is 4711"), heard("hello")))
    async with line() as session:
        with pytest.raises(ProviderRefusedError) as caught:
            await ask(session, prompt)
    assert "card" not in str(caught.value)


@pytest.mark.parametrize("refusal", REFUSED)
async def test_a_key_that_is_no_good_is_known_when_connecting(
    fake: VLLMFake, refusal: Refusal
) -> None:
    fake.fail("models", refusal)
    with pytest.raises(ProviderRefusedError, match="VLLM_API_KEY"):
        await UltravoxModel().connect()


async def test_a_server_that_lists_no_models_is_awake_all_the_same(fake: VLLMFake) -> None:
    fake.fail("models", Refusal(404))
    async with line() as session:
        assert said(await ask(session)) == "OK."


def test_without_an_address_no_call_can_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    with pytest.raises(ProviderRefusedError, match="VLLM_BASE_URL"):
        UltravoxModel().prepare()
    UltravoxModel(base_url="http://127.0.0.1:1/v1").prepare()


# A server that sleeps ------------------------------------------------------------------------


async def test_one_that_starts_and_loads_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(monkeypatch, starts_s=2.0, loads_s=0.3) as fake:
        before = time.monotonic()
        async with line(UltravoxModel(connect_s=0.05)) as session:
            assert time.monotonic() - before < 2
            assert said(await ask(session)) == "OK."
        assert fake.turned_away >= 1
        assert len(fake.chats) == 1, "it is asked once it is awake"


async def test_one_behind_a_proxy_that_holds_the_request_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        server(monkeypatch, loads_s=0.5, holds=True),
        line(UltravoxModel(connect_s=0.05, first_token_s=0.1)) as session,
    ):
        assert said(await ask(session)) == "OK."


async def test_ringing_wakes_it_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(monkeypatch, loads_s=0.2) as fake, line(UltravoxModel(connect_s=0.05)):
        await fake.until(lambda: len(fake.of("models")) == 1)
        assert fake.chats == []


async def test_the_first_word_of_one_that_just_woke_may_take_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = UltravoxModel(connect_s=0.05, first_token_s=0.1, wake_s=5)
    async with server(monkeypatch, loads_s=0.3) as fake, line(settings) as session:
        fake.token_s = 0.4
        assert said(await ask(session)) == "OK."
        with pytest.raises(ProviderLostError, match="in time"):
            await ask(session)


async def test_one_that_falls_asleep_in_mid_call_is_woken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server(monkeypatch, loads_s=0.0) as fake, line() as session:
        assert said(await ask(session)) == "OK."
        fake.loads_s = 0.4
        fake.sleep()
        assert said(await ask(session)) == "OK."
        assert fake.turned_away >= 1


async def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = UltravoxModel(base_url="http://127.0.0.1:1/v1", connect_s=0.05, wake_s=0.4)
    async with line(settings) as session:
        with pytest.raises(ProviderLostError, match="cannot be reached"):
            await ask(session)
    async with server(monkeypatch, loads_s=60, holds=True), line(settings_of(0.4)) as session:
        with pytest.raises(ProviderLostError, match="did not wake up"):
            await ask(session)


def settings_of(wake_s: float) -> UltravoxModel:
    return UltravoxModel(connect_s=0.05, wake_s=wake_s)


async def test_closing_does_not_wait_for_one_that_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(monkeypatch, loads_s=60, holds=True):
        session = await settings_of(60).connect()
        asking = asyncio.ensure_future(ask(session))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        async with asyncio.timeout(20):
            await session.aclose()
            await session.aclose()


# What breaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(500),
        Refusal(503),
        Refusal(429, headers={"retry-after-ms": "10"}),
        Broken(Trouble.DROP, -1),
        Broken(Trouble.DROP, 0),
    ],
)
async def test_what_fails_before_its_first_word_is_asked_again(
    fake: VLLMFake, fault: Refusal | Broken
) -> None:
    fake.fail("chat", fault)
    async with line() as session:
        assert said(await ask(session)) == "OK."
    assert len(fake.chats) == 2


async def test_a_server_that_fails_every_time_is_given_up(fake: VLLMFake) -> None:
    fake.fail("chat", *[Refusal(500)] * 5)
    async with line() as session:
        with pytest.raises(ProviderLostError):
            await ask(session)
    assert len(fake.chats) == 3


async def test_what_was_said_is_not_said_again(fake: VLLMFake) -> None:
    fake.replies = ["one two three", "four"]
    fake.fail("chat", Broken(Trouble.DROP, 3))
    async with line() as session:
        stream = session.reply(HELLO)
        answers = [await anext(stream), await anext(stream)]
        with pytest.raises(ProviderError):
            await anext(stream)
    assert said(answers).startswith("one")
    assert len(fake.chats) == 1


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.GARBAGE])
async def test_an_answer_that_goes_wrong_names_its_server(fake: VLLMFake, trouble: Trouble) -> None:
    fake.fail("chat", *[Broken(trouble, 2)] * 3)
    async with line() as session:
        with pytest.raises(ProviderError) as caught:
            await ask(session)
    assert caught.value.provider == "vllm"


async def test_one_that_stalls_is_not_waited_for_forever(fake: VLLMFake) -> None:
    fake.fail("chat", Broken(Trouble.STALL, 2))
    async with line(UltravoxModel(stall_s=0.5)) as session:
        with pytest.raises(ProviderLostError, match="in time"):
            await ask(session)


# The settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"temperature": 3},
        {"max_tokens": 0},
        {"audio_turns": 0},
        {"audio_turns": 5},
        {"first_token_s": 0},
        {"wake_s": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        UltravoxModel(**wrong)


def test_it_hears_and_so_do_several_of_which_one_does() -> None:
    assert hears_audio(UltravoxModel())
    assert hears_audio([OpenAI(), UltravoxModel()])
    assert not hears_audio(OpenAI())
    assert not hears_audio(None)
    assert isinstance(UltravoxModel().stand_in(), stand_ins.CannedLLM)
