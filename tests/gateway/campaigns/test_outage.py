"""A database that is away: said once and once when it is back, and counted."""

from pathlib import Path

import structlog
from structlog.testing import capture_logs

from gateway.campaigns.figures import CampaignFigures
from gateway.campaigns.outage import LAST_PAUSE, Outage
from gateway.store.store import StoreError
from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import numbers, yard
from tests.harness import eventually

AWAY = StoreError("the database is away: locked", away=True)


def test_it_is_said_once_and_once_when_it_is_over_with_growing_pauses() -> None:
    with capture_logs() as logs:
        it = Outage(structlog.get_logger(), "a campaign")
        it.over()
        pauses = [it.pause(AWAY) for _ in range(9)]
        it.over()
        it.over()
        assert it.pause(AWAY) == pauses[0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_PAUSE
    assert [each["event"] for each in logs] == [
        "a campaign waits for the database",
        "a campaign goes on: the database is back",
        "a campaign waits for the database",
    ]


async def test_a_campaign_that_waits_for_the_database_is_counted_and_says_so_once(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: Callee(ring_s=1, talk_s=5)) as it:
        it.room = 0
        campaign = await it.begun(numbers(3))

        def waiting() -> float:
            return _figure(it.campaigns, "callfarm_campaigns_waiting")

        async def away(statements: object) -> int:
            raise AWAY

        kept, it.store._commit = it.store._commit, away  # type: ignore[method-assign]
        it.room = 10
        with capture_logs() as logs:
            await eventually(lambda: waiting() == 1, seconds=10)
            assert _figure(it.campaigns, "callfarm_campaigns_running") == 1
            it.store._commit = kept  # type: ignore[method-assign]
            await it.ended(campaign.id)
        said = [each["event"] for each in logs if "database" in each["event"]]
        assert said == [
            "a campaign waits for the database",
            "a campaign goes on: the database is back",
        ]
        assert waiting() == _figure(it.campaigns, "callfarm_campaigns_running") == 0


def _figure(campaigns: object, name: str) -> float:
    families = CampaignFigures(campaigns).collect()  # type: ignore[arg-type]
    return next(each.samples[0].value for each in families if each.name == name)
