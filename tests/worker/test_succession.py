import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.virtual_time import virtual_time
from tests.worker.frail import LOST, NO_KEY, Frail
from worker import succession
from worker.backoff import Retry
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.succession import AGAIN_SECONDS, Succession, close, prepare, usable


class Troubles:
    """Keeps what the operator is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str | None]] = []

    def __call__(self, provider: str, sentence: str, fallback: str | None) -> None:
        self.told.append((provider, sentence, fallback))


@dataclass
class Other(Frail):
    """Another provider, by name."""


def opening() -> Callable[[Frail], Awaitable[Frail]]:
    async def open_(provider: Frail) -> Frail:
        await provider.open()
        return provider

    return open_


@virtual_time
async def test_the_first_serves_and_the_others_are_left_alone() -> None:
    first, second = Frail(), Frail()
    assert await Succession([first, second], None).take(opening()) == (0, first)
    assert second.opened == 0


@virtual_time
async def test_a_provider_that_cannot_be_had_is_passed_over_and_told_of() -> None:
    troubles = Troubles()
    order = Succession([Frail(refuses=LOST), Other()], troubles)
    place, _ = await order.take(opening())
    assert place == 1
    assert troubles.told == [("Frail", "the connection dropped", "Other")]


@virtual_time
async def test_only_the_last_provider_is_tried_with_patience() -> None:
    patience: list[Retry] = []

    async def open_(provider: Frail) -> Frail:
        patience.append(Retry(tries=5).now())
        await provider.open()
        return provider

    order = Succession([Frail(refuses=LOST), Frail(refuses=LOST), Frail()], None)
    assert (await order.take(open_))[0] == 2
    assert [retry.tries for retry in patience] == [1, 1, 5]
    assert Retry(tries=5).now().tries == 5


@virtual_time
async def test_a_provider_that_does_not_open_is_not_waited_for_while_another_is_left() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    slow, troubles = Frail(opens_after_s=60), Troubles()
    place, _ = await Succession([slow, Other()], troubles).take(opening())
    assert place == 1
    assert loop.time() - began == pytest.approx(succession.TURN_SECONDS)
    assert troubles.told == [("Frail", "did not open within 3 s", "Other")]


@virtual_time
async def test_the_last_one_is_given_more_time() -> None:
    slow = Other(opens_after_s=succession.LAST_SECONDS - 1)
    assert await Succession([Frail(refuses=LOST), slow], None).take(opening()) == (1, slow)
    with pytest.raises(ProviderLostError, match="did not open within 10 s"):
        await Succession([Frail(opens_after_s=60)], None).take(opening())


@virtual_time
async def test_when_none_can_be_had_the_last_error_is_raised() -> None:
    troubles = Troubles()
    order = Succession([Frail(refuses=LOST), Other(refuses=NO_KEY)], troubles)
    with pytest.raises(ProviderRefusedError, match="no key"):
        await order.take(opening())
    assert troubles.told == [
        ("Frail", LOST.sentence, "Other"),
        ("Other", NO_KEY.sentence, None),
    ]
    with pytest.raises(ProviderRefusedError, match="no key"):
        await order.take(opening())
    assert len(troubles.told) == 2


@virtual_time
async def test_a_provider_that_failed_is_not_tried_again_while_another_has_not() -> None:
    providers = [Frail(), Frail(), Frail()]
    order = Succession(providers, None)
    order.lost((await order.take(opening()))[0], LOST)
    await asyncio.sleep(10 * AGAIN_SECONDS)
    assert (await order.take(opening()))[0] == 1
    order.lost(1, LOST)
    assert (await order.take(opening()))[0] == 2
    assert providers[0].opened == 1


@virtual_time
async def test_when_all_have_failed_the_first_one_is_tried_again_after_a_minute() -> None:
    first, second = Frail(), Frail()
    order = Succession([first, second], None)
    order.lost((await order.take(opening()))[0], LOST)
    await asyncio.sleep(AGAIN_SECONDS - 1)
    order.lost((await order.take(opening()))[0], LOST)
    with pytest.raises(ProviderLostError):
        await order.take(opening())
    await asyncio.sleep(1)
    assert (await order.take(opening()))[0] == 0
    assert (first.opened, second.opened) == (2, 1)


@virtual_time
async def test_each_is_tried_once_at_most_when_a_session_is_wanted() -> None:
    slow = [Frail(opens_after_s=60), Frail(opens_after_s=60)]
    with pytest.raises(ProviderLostError):
        await Succession(slow, None, again_s=1.0).take(opening())
    assert [it.opened for it in slow] == [1, 1]


@virtual_time
async def test_a_loss_is_told_once() -> None:
    troubles = Troubles()
    order = Succession([Frail(), Other()], troubles)
    place, _ = await order.take(opening())
    order.lost(place, LOST)
    order.lost(place, LOST)
    assert len(troubles.told) == 1


@virtual_time
async def test_a_fault_in_a_provider_is_told_without_its_text() -> None:
    async def faulty(_: Frail) -> Frail:
        raise KeyError("my name is Miller")

    troubles = Troubles()
    with pytest.raises(ProviderLostError) as caught:
        await Succession([Frail()], troubles).take(faulty)
    assert troubles.told == [("Frail", "failed: KeyError", None)]
    assert isinstance(caught.value.__cause__, KeyError)


@virtual_time
async def test_one_provider_may_be_declared_twice() -> None:
    twice = Frail(refuses=LOST)
    with pytest.raises(ProviderLostError):
        await Succession([twice, twice], None).take(opening())
    assert twice.opened == 2


@virtual_time
async def test_giving_up_the_wait_is_no_failure_of_the_provider() -> None:
    troubles = Troubles()
    order = Succession([Frail(opens_after_s=2), Other()], troubles)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await order.take(opening())
    assert troubles.told == []


def test_all_are_prepared_and_those_that_refuse_are_left_out() -> None:
    good, keyless, last = Frail(), Frail(refuses=NO_KEY), Frail()
    prepare([good, keyless, last])
    assert [it.prepared for it in (good, keyless, last)] == [1, 1, 1]
    assert usable([good, keyless, last]) == (good, last)


def test_when_none_is_left_it_is_refused_with_every_reason() -> None:
    other = ProviderRefusedError("other", "there is no key: set OTHER_API_KEY")
    with pytest.raises(ProviderRefusedError) as caught:
        prepare([Frail(refuses=NO_KEY), Frail(refuses=other)])
    assert str(caught.value) == (
        "acme, other: there is no key: set ACME_API_KEY; there is no key: set OTHER_API_KEY"
    )


def test_a_fault_of_the_release_is_raised() -> None:
    with pytest.raises(ProviderError, match="line 3"):
        prepare([Frail(), Frail(refuses=ProviderError("sphinx", "grammar: line 3"))])


def test_what_is_prepared_again_with_a_key_is_used_again() -> None:
    provider, other = Frail(refuses=NO_KEY), Frail()
    prepare([provider, other])
    provider.refuses = None
    prepare([provider, other])
    assert usable([provider, other]) == (provider, other)


@virtual_time
async def test_a_call_does_not_try_what_was_left_out() -> None:
    keyless, good = Frail(refuses=NO_KEY), Frail()
    prepare([keyless, good])
    troubles = Troubles()
    assert (await Succession([keyless, good], troubles).take(opening()))[1] is good
    assert keyless.opened == 0
    assert troubles.told == []


@virtual_time
async def test_closing_is_bounded_and_hides_nothing_from_the_caller() -> None:
    loop = asyncio.get_running_loop()

    class Session:
        def __init__(self, wait_s: float, error: Exception | None = None) -> None:
            self.wait_s, self.error = wait_s, error

        async def aclose(self) -> None:
            await asyncio.sleep(self.wait_s)
            if self.error is not None:
                raise self.error

    began = loop.time()
    await close(Session(60))
    assert loop.time() - began == pytest.approx(succession.CLOSE_SECONDS)
    await close(Session(0, OSError()))
