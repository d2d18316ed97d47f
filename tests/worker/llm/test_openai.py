import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.openai import KEY, Broken, OpenAIFake, Trouble
from tests.fakes.openai_chat import Dialect, Wants
from tests.fakes.openai_refusal import Refusal
from tests.forking import used_after_a_fork
from worker import stand_ins
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.llm import Answer, Call, LLMSession, Prompt, Returned, Said, Text, ToolSpec, Usage
from worker.llm.openai import OpenAI

HELLO = Prompt((Said("system", "Be kind."), Said("user", "Hello")))
BOOK = ToolSpec("book", "Book a table.", {"type": "object", "properties": {}})


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIFake]:
    async with OpenAIFake() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@contextlib.asynccontextmanager
async def line(settings: OpenAI | None = None) -> AsyncIterator[LLMSession]:
    session = await (settings or OpenAI()).connect()
    try:
        yield session
    finally:
        await session.aclose()


async def ask(
    session: LLMSession, prompt: Prompt = HELLO, heard: list[Answer] | None = None
) -> list[Answer]:
    answers = heard if heard is not None else []
    async for answer in session.reply(prompt):
        answers += [answer]
    return answers


def said(answers: list[Answer]) -> str:
    return "".join(answer.delta for answer in answers if isinstance(answer, Text))


async def test_an_answer_is_streamed_with_its_usage(fake: OpenAIFake) -> None:
    fake.replies = ["Good evening, how can I help?"]
    async with line(OpenAI(temperature=0.4)) as session:
        answers = await ask(session)
    assert said(answers) == "Good evening, how can I help?"
    assert answers[-1] == Usage(2, 6, {"cached_tokens": 1})
    body = fake.chats[0].body
    assert body["messages"][1] == {"role": "user", "content": "Hello"}
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4.1-mini", 0.4, 300)
    assert "tools" not in body


async def test_calls_come_whole_and_their_results_are_taken(fake: OpenAIFake) -> None:
    fake.replies = [["One moment. ", Wants("book", {"people": 2}), Wants("book")], "Booked."]
    async with line() as session:
        answers = await ask(session, Prompt(HELLO.items, (BOOK,)))
        calls = tuple(answer for answer in answers if isinstance(answer, Call))
        assert [call.name for call in calls] == ["book", "book"]
        results = tuple(Returned(call.id, "done") for call in calls)
        items = (*HELLO.items, Said("assistant", said(answers), calls), *results)
        assert said(await ask(session, Prompt(items, (BOOK,)))) == "Booked."


async def test_a_local_server_without_key_and_ids_is_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    async with OpenAIFake(key=None) as fake:
        fake.dialect = Dialect(
            tolerant=True, whole_calls=True, index_zero=True, no_ids=True, no_usage=True,
            finish="stop", reasoning="hm hm",
        )  # fmt: skip
        fake.replies = [["Let me see. ", Wants("book"), Wants("book")]]
        settings = OpenAI(base_url=fake.url, extra_body={"min_p": 0.1})
        async with line(settings) as session:
            answers = await ask(session, Prompt(HELLO.items, (BOOK,)))
        assert said(answers) == "Let me see. "
        assert [type(answer) for answer in answers[-2:]] == [Call, Call]
        assert fake.chats[0].body["min_p"] == 0.1


async def test_the_first_question_finds_an_open_connection(fake: OpenAIFake) -> None:
    async with line() as session:
        for _ in range(3):
            await ask(session)
    assert len(fake.of("models")) == 1
    assert {asked.peer for asked in fake.requests} == {fake.requests[0].peer}


async def test_not_warmed_nothing_is_asked_beforehand(fake: OpenAIFake) -> None:
    async with line(OpenAI(warm=False)) as session:
        assert fake.requests == []
        assert said(await ask(session)) == "OK."


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_is_known_when_connecting(fake: OpenAIFake, status: int) -> None:
    fake.fail("models", Refusal(status, "no", f"no {KEY}"))
    with pytest.raises(ProviderRefusedError) as caught:
        await OpenAI().connect()
    assert caught.value.status == status
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("fault", [Refusal(404), Refusal(500), Broken(Trouble.DROP)])
async def test_a_server_that_lists_no_models_is_no_reason_to_give_up(
    fake: OpenAIFake, fault: Refusal | Broken
) -> None:
    fake.fail("models", fault)
    async with line() as session:
        assert said(await ask(session)) == "OK."


async def test_warming_waits_for_a_silent_server_a_short_time_only(fake: OpenAIFake) -> None:
    fake.fail("models", Broken(Trouble.STALL))
    async with asyncio.timeout(20), line(OpenAI(warm_s=0.2)) as session:
        assert said(await ask(session)) == "OK."


# Retries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(429, headers={"retry-after-ms": "20"}),
        Refusal(429, headers={"Retry-After": "0"}),
        Refusal(500),
        Refusal(503),
        Broken(Trouble.DROP, -1),
        Broken(Trouble.DROP, 0),
        Broken(Trouble.DROP, 1),
        Broken(Trouble.ERROR, 1),
        Broken(Trouble.GARBAGE, 0),
    ],
    ids=repr,
)
async def test_what_fails_before_the_first_word_is_tried_once_more(
    fake: OpenAIFake, fault: Refusal | Broken
) -> None:
    fake.fail("chat", fault)
    async with line() as session:
        assert said(await ask(session)) == "OK."
        assert len(fake.chats) == 2
        fake.fail("chat", fault, fault)
        with pytest.raises(ProviderLostError):
            await ask(session)
    assert len(fake.chats) == 4


@pytest.mark.parametrize("trouble", [Trouble.DROP, Trouble.ERROR, Trouble.GARBAGE])
async def test_after_the_first_word_nothing_is_tried_again(
    fake: OpenAIFake, trouble: Trouble
) -> None:
    fake.replies = ["One two three four."]
    fake.token_s = 0.01
    fake.fail("chat", Broken(trouble, 3))
    heard: list[Answer] = []
    async with line() as session:
        with pytest.raises(ProviderLostError):
            await ask(session, heard=heard)
    assert said(heard) == "One two"
    assert len(fake.chats) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(400, "invalid_value"),
        Refusal(404, "model_not_found"),
        Refusal(429, "insufficient_quota"),
    ],
)
async def test_a_refusal_is_final(fake: OpenAIFake, fault: Refusal) -> None:
    fake.fail("chat", fault)
    async with line() as session:
        with pytest.raises(ProviderRefusedError, match=fault.code or "") as caught:
            await ask(session)
    assert caught.value.status == fault.status
    assert len(fake.chats) == 1


async def test_a_long_pause_is_not_waited_for(fake: OpenAIFake) -> None:
    fake.fail("chat", Refusal(429, headers={"Retry-After": "20"}))
    async with asyncio.timeout(15), line() as session:
        with pytest.raises(ProviderLostError) as caught:
            await ask(session)
    assert caught.value.retry_after_s == 20
    assert len(fake.chats) == 1


async def test_no_server_at_all_is_a_lost_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with line(OpenAI(base_url="http://127.0.0.1:9/v1")) as session:
        with pytest.raises(ProviderLostError, match="cannot be reached"):
            await ask(session)


# Time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [-1, 0, 1])
async def test_a_first_word_that_does_not_come_is_given_up_for_good(
    fake: OpenAIFake, after: int
) -> None:
    fake.fail("chat", Broken(Trouble.STALL, after))
    async with line(OpenAI(first_token_s=0.5)) as session:
        with pytest.raises(ProviderLostError, match="in time"):
            await ask(session)
        await fake.until(lambda: fake.chats[0].cut_off)
        assert len(fake.chats) == 1
        assert said(await ask(session)) == "OK."


async def test_a_stall_in_the_middle_is_noticed(fake: OpenAIFake) -> None:
    fake.replies = ["One two three."]
    fake.fail("chat", Broken(Trouble.STALL, 3))
    heard: list[Answer] = []
    async with line(OpenAI(first_token_s=5, stall_s=0.5)) as session:
        with pytest.raises(ProviderLostError, match="in time"):
            await ask(session, heard=heard)
        await fake.until(lambda: fake.chats[0].cut_off)
    assert said(heard) == "One two"


# Cancelling ----------------------------------------------------------------------------------


async def test_closing_the_generator_closes_the_request(fake: OpenAIFake) -> None:
    fake.replies = ["word " * 500, "Next."]
    fake.token_s = 0.01
    async with line() as session:
        answers = session.reply(HELLO)
        assert isinstance(await anext(answers), Text)
        await answers.aclose()
        await fake.until(lambda: fake.chats[0].cut_off)
        fake.token_s = 0.0
        assert said(await ask(session)) == "Next."
    assert not fake.chats[1].cut_off


async def test_after_a_cut_off_answer_the_next_question_finds_an_open_connection(
    fake: OpenAIFake,
) -> None:
    fake.fail("chat", Broken(Trouble.STALL, 3))
    async with line() as session:
        answers = session.reply(HELLO)
        await anext(answers)
        await answers.aclose()
        await fake.until(lambda: len(fake.of("models")) == 2 and fake.chats[0].cut_off)
        await asyncio.sleep(0.05)
        await ask(session)
    assert fake.chats[1].peer == fake.of("models")[1].peer


@pytest.mark.parametrize("after", [-1, 3])
async def test_cancelling_the_reader_closes_the_request(fake: OpenAIFake, after: int) -> None:
    fake.replies = ["One two three."]
    fake.fail("chat", Broken(Trouble.STALL, after))
    async with line() as session:
        reading = asyncio.create_task(ask(session))
        await fake.until(lambda: bool(fake.chats and fake.chats[0].body))
        await asyncio.sleep(0.02)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await fake.until(lambda: fake.chats[0].cut_off)


async def test_closing_the_session_cuts_an_answer_off_and_may_be_done_twice(
    fake: OpenAIFake,
) -> None:
    fake.fail("chat", Broken(Trouble.STALL, 0))
    session = await OpenAI().connect()
    reading = asyncio.create_task(ask(session))
    await fake.until(lambda: bool(fake.chats and fake.chats[0].body))
    await session.aclose()
    await session.aclose()
    with pytest.raises(ProviderError):
        await reading
    await fake.until(lambda: fake.chats[0].cut_off)


# Settings ------------------------------------------------------------------------------------


def test_openai_itself_is_told_the_limit_by_its_new_name() -> None:
    settings = OpenAI(max_tokens=50, include_usage=False)
    limits = {"model": "gpt-4.1-mini", "max_completion_tokens": 50}
    assert settings.fields("https://api.openai.com/v1/") == limits
    assert settings.fields("http://127.0.0.1:11434/v1/")["max_tokens"] == 50


@pytest.mark.parametrize(
    "wrong",
    [{"model": ""}, {"temperature": 3}, {"max_tokens": 0}, {"stall_s": 0}],
)
def test_settings_out_of_range_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).removesuffix("_s")[:5]):
        OpenAI(**wrong)


def test_without_a_key_it_is_refused_when_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ProviderRefusedError, match="OPENAI_API_KEY"):
        OpenAI().prepare()


def test_its_stand_in_needs_no_network() -> None:
    assert isinstance(OpenAI().stand_in(), stand_ins.CannedLLM)


async def test_prepared_before_a_fork_it_answers_in_the_child(fake: OpenAIFake) -> None:
    async def answer() -> bool:
        async with line() as session:
            return said(await ask(session)) == "OK."

    assert await asyncio.to_thread(
        used_after_a_fork, OpenAI().prepare, lambda: asyncio.run(answer())
    )
