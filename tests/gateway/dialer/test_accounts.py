"""What an account signs counts for what went through that account, and for nothing else."""

from pathlib import Path

import pytest

from gateway.dialer.attempt import AttemptState
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialRefusedError
from gateway.dialer.lines import CompanyAccount
from gateway.dialer.order import Order
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID
from tests.gateway.dialer.exchange import TO, Directory, successor, world
from tests.harness import eventually

ANOTHERS = "AC" + "b" * 32
THEIR_CALL = "CA" + "b" * 32


async def nothing_is_believed(dialer: Dialer, marker: str, sid: str) -> None:
    """Have an account sign webhooks with another's marker."""
    assert await dialer.plan(marker, THEIR_CALL, ANOTHERS) is None
    assert await dialer.plan(marker, sid, ANOTHERS) is None
    assert await dialer.plan("", sid, ANOTHERS) is None
    await dialer.told(marker, sid, "busy", ANOTHERS, final=True)
    await dialer.answered_by(marker, sid, "fax", ANOTHERS)


async def test_an_attempt_of_another_account_is_neither_told_nor_changed(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=100_000)) as it:
        dialled = await it.dialer.dial(Order(to=TO, key="guessed", variables={"name": "Ada"}))
        attempt = it.dialer.following.get(dialled.id)
        assert attempt is not None
        await eventually(lambda: attempt.state is AttemptState.ANSWERED)
        await nothing_is_believed(it.dialer, dialled.id, dialled.call_sid)
        assert (attempt.state, attempt.answered_by) == (AttemptState.ANSWERED, "")
        await it.store.flush()
        async with successor(it) as after:  # from the database it is the same
            await nothing_is_believed(after, dialled.id, dialled.call_sid)
            recalled = await after.progress(dialled.id)
            assert recalled is not None
            assert (recalled.state, recalled.answered_by) == (AttemptState.ANSWERED, "")
            plan = await after.plan(dialled.id, dialled.call_sid, ACCOUNT_SID)
            assert plan is not None
            assert plan.variables == {"name": "Ada"}


async def test_an_attempt_whose_account_was_not_written_down_is_the_companys_of_today(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=100_000)) as it:
        dialled = await it.dialer.dial(Order(to=TO))
        attempt = it.dialer.following.get(dialled.id)
        assert attempt is not None
        attempt.account = ""
        assert await it.dialer.plan(dialled.id, dialled.call_sid, ANOTHERS) is None
        assert await it.dialer.plan(dialled.id, dialled.call_sid, ACCOUNT_SID) is not None


@pytest.mark.parametrize("agents", [["Desk"], ["desk:Desk"], "Desk, Unknown"])
async def test_a_company_uses_the_agents_that_it_may_use(tmp_path: Path, agents: object) -> None:
    one = CompanyAccount(1, caller_id="+15550001111", settings={"agents": agents})
    async with world(tmp_path, companies=Directory({1: one})) as it:
        await it.dialer.check(Order(to=TO, company=1))
        await it.dialer.check(Order(to=TO, company=1, agent="Desk"))
        await it.dialer.check_agent("desk:Desk", 1)
        await it.dialer.check_agent("Caller", None)
        for agent in ("Caller", "sales:Caller"):
            with pytest.raises(DialRefusedError, match="may not use") as caught:
                await it.dialer.dial(Order(to=TO, company=1, agent=agent))
            assert caught.value.reason == "agent"
            with pytest.raises(DialRefusedError, match="may not use"):
                await it.dialer.check_agent(agent, 1)
        assert not it.twilio.placed()


async def test_without_a_list_a_company_uses_them_all_and_with_an_empty_one_none(
    tmp_path: Path,
) -> None:
    directory = Directory(
        {
            1: CompanyAccount(1, caller_id="+15550001111"),
            2: CompanyAccount(2, caller_id="+15550002222", settings={"agents": []}),
        }
    )
    async with world(tmp_path, companies=directory) as it:
        await it.dialer.check(Order(to=TO, company=1, agent="Caller"))
        with pytest.raises(DialRefusedError, match="none"):
            await it.dialer.check(Order(to=TO, company=2, agent="Caller"))
