import asyncio
from contextlib import aclosing

import pytest

from tests.virtual_time import virtual_time
from tests.worker.frail import LOST, NO_KEY, FrailLLM
from worker import succession
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import LLM, Answer, Call, LLMSession, Prompt, Said, Text, Usage
from worker.llm.fallback import AGAIN_SECONDS, FIRST_SECONDS, FallbackLLM
from worker.stand_ins import CannedLLM

PROMPT = Prompt((Said("user", "two of us"),))


class Troubles:
    """Keeps what the operator is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str | None]] = []

    def __call__(self, provider: str, sentence: str, fallback: str | None) -> None:
        self.told.append((provider, sentence, fallback))


async def thinking(*providers: LLM) -> tuple[LLMSession, Troubles]:
    troubles = Troubles()
    return await FallbackLLM(providers, troubles).connect(), troubles


async def answers(session: LLMSession) -> list[Answer]:
    return [answer async for answer in session.reply(PROMPT)]


async def text(session: LLMSession) -> str:
    return "".join(it.delta for it in await answers(session) if isinstance(it, Text)).strip()


@virtual_time
async def test_the_first_answers_and_the_next_is_not_connected() -> None:
    call, usage = Call("1", "book_table", "{}"), Usage(10, 2)
    first, second = FrailLLM(text="Of course.", answers=[call, usage]), FrailLLM()
    session, troubles = await thinking(first, second)
    assert await answers(session) == [Text("Of "), Text("course. "), call, usage]
    assert second.opened == 0
    await session.aclose()
    assert (first.closed, troubles.told) == (1, [])


@virtual_time
async def test_a_model_that_fails_before_its_first_word_is_replaced_unnoticed() -> None:
    first, second = FrailLLM(dies_after=0), FrailLLM(text="Certainly.")
    session, troubles = await thinking(first, second)
    assert await text(session) == "Certainly."
    assert troubles.told == [("FrailLLM", LOST.sentence, "FrailLLM")]
    assert first.streams_closed == 1
    assert await text(session) == "Certainly."
    assert (first.asked, second.asked, second.opened) == (1, 2, 1)
    await session.aclose()
    assert (first.closed, second.closed) == (1, 1)


@virtual_time
async def test_after_its_first_word_the_answer_fails_and_the_next_request_goes_elsewhere() -> None:
    session, troubles = await thinking(FrailLLM(dies_after=1), FrailLLM(text="Certainly."))
    stream = session.reply(PROMPT)
    assert await anext(stream) == Text("Of ")
    with pytest.raises(ProviderLostError, match="dropped"):
        await anext(stream)
    assert len(troubles.told) == 1
    assert await text(session) == "Certainly."
    await session.aclose()


@virtual_time
async def test_a_call_that_was_given_out_is_not_asked_for_again() -> None:
    call = Call("1", "hang_up", "{}")
    second = FrailLLM()
    session, _ = await thinking(FrailLLM(text="", answers=[call], dies_at_last=True), second)
    stream = session.reply(PROMPT)
    assert await anext(stream) == call
    with pytest.raises(ProviderLostError, match="dropped"):
        await anext(stream)
    assert second.asked == 0
    await session.aclose()


@virtual_time
async def test_a_model_that_does_not_begin_is_not_waited_for_while_another_is_left() -> None:
    loop = asyncio.get_running_loop()
    slow = FrailLLM(first_s=60)
    session, troubles = await thinking(slow, FrailLLM(text="Certainly."))
    began = loop.time()
    assert await text(session) == "Certainly."
    assert loop.time() - began == pytest.approx(FIRST_SECONDS, abs=0.1)
    assert troubles.told == [("FrailLLM", "did not begin to answer within 3 s", "FrailLLM")]
    assert slow.streams_closed == 1
    await session.aclose()


@virtual_time
async def test_the_last_model_may_think_for_as_long_as_it_likes() -> None:
    session, _ = await thinking(FrailLLM(dies_after=0), FrailLLM(text="Hm.", first_s=60))
    assert await text(session) == "Hm."
    await session.aclose()


@virtual_time
async def test_a_model_without_anything_to_say_has_answered() -> None:
    second = FrailLLM()
    session, troubles = await thinking(FrailLLM(text=""), second)
    assert await answers(session) == []
    assert (second.asked, troubles.told) == (0, [])
    await session.aclose()


@virtual_time
async def test_when_none_answers_the_last_error_is_raised() -> None:
    first, second = FrailLLM(dies_after=0), FrailLLM(dies_after=0)
    session, troubles = await thinking(first, second)
    with pytest.raises(ProviderLostError, match="dropped"):
        await answers(session)
    assert [told[2] for told in troubles.told] == ["FrailLLM", None]
    with pytest.raises(ProviderLostError, match="dropped"):
        await answers(session)
    assert (first.asked, second.asked) == (1, 1)
    await session.aclose()


@virtual_time
async def test_models_that_fail_slowly_are_each_asked_once() -> None:
    """Their errors take longer than they are left alone: by then the first may be asked again."""
    first, second = (FrailLLM(first_s=AGAIN_SECONDS + 0.9, dies_after=0) for _ in range(2))
    session, troubles = await thinking(first, second)
    async with asyncio.timeout(60):
        with pytest.raises(ProviderLostError, match="dropped"):
            await answers(session)
    assert (first.asked, second.asked) == (1, 1)
    assert len(troubles.told) == 2
    first.dies_after = None
    assert await text(session) == "Of course."
    await session.aclose()


@virtual_time
async def test_when_all_have_failed_they_are_tried_again_soon() -> None:
    first, second = FrailLLM(dies_after=0), FrailLLM(dies_after=0)
    session, _ = await thinking(first, second)
    with pytest.raises(ProviderLostError):
        await answers(session)
    await asyncio.sleep(AGAIN_SECONDS)
    first.dies_after = None
    assert await text(session) == "Of course."
    assert (first.asked, second.asked) == (2, 1)
    await session.aclose()


@virtual_time
async def test_at_the_start_of_a_call_the_first_that_opens_is_taken() -> None:
    session, troubles = await thinking(FrailLLM(refuses=NO_KEY), FrailLLM(text="Yes."))
    assert await text(session) == "Yes."
    assert len(troubles.told) == 1
    await session.aclose()
    with pytest.raises(ProviderRefusedError):
        await thinking(FrailLLM(refuses=NO_KEY))


@virtual_time
async def test_two_answers_at_once_tell_of_one_loss() -> None:
    first, second = FrailLLM(first_s=1, dies_after=0), FrailLLM(text="Yes.", opens_after_s=1)
    session, troubles = await thinking(first, second)
    assert tuple(await asyncio.gather(text(session), text(session))) == ("Yes.", "Yes.")
    assert len(troubles.told) == 1
    assert second.opened == 1
    await session.aclose()


@virtual_time
async def test_closing_an_answer_closes_the_models_stream() -> None:
    first = FrailLLM(text="One two three")
    session, troubles = await thinking(first, FrailLLM())
    async with aclosing(session.reply(PROMPT)) as stream:
        assert await anext(stream) == Text("One ")
    assert first.streams_closed == 1
    slow = FrailLLM(first_s=60)
    session, troubles = await thinking(slow, FrailLLM())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await text(session)
    assert slow.streams_closed == 1
    assert troubles.told == []
    await session.aclose()


@virtual_time
async def test_closing_is_bounded() -> None:
    loop = asyncio.get_running_loop()
    stuck = [FrailLLM(dies_after=0, closes_after_s=60), FrailLLM(closes_after_s=60)]
    session, _ = await thinking(*stuck)
    await text(session)
    began = loop.time()
    await session.aclose()
    await session.aclose()
    assert loop.time() - began == pytest.approx(succession.CLOSE_SECONDS)
    assert [it.closed for it in stuck] == [1, 1]


def test_keyless_ones_are_left_out_when_it_is_prepared() -> None:
    FallbackLLM([FrailLLM(refuses=NO_KEY), FrailLLM()]).prepare()
    with pytest.raises(ProviderRefusedError, match="set ACME_API_KEY"):
        FallbackLLM([FrailLLM(refuses=NO_KEY)]).prepare()
    assert FallbackLLM([FrailLLM()]).stand_in() == CannedLLM()
    with pytest.raises(ValueError, match="empty"):
        FallbackLLM([])
