"""Two gateways on one database: one is killed, and the other goes on with its campaign."""

import signal
from pathlib import Path

import pytest

from tests.e2e.carrier import gateway_of
from tests.e2e.test_campaign_kills import PEOPLE, begun, callee, completed, everybody_was_called
from tests.fakes.twilio_rest import TwilioRestServer
from tests.harness import RunningGateway, eventually, free_port


async def dials(gateway: RunningGateway, where: str) -> bool:
    """Tell whether a gateway says that calls are dialled there."""
    ready = await gateway.api("GET", "/ready")
    return ready.status_code == 200 and bool(ready.json()["dials"] == where)


@pytest.mark.timeout(300)
async def test_a_gateway_that_is_killed_has_its_campaign_gone_on_with_by_the_other_at_once(
    tmp_path: Path,
) -> None:
    shared = {"DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}"}
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    async with (
        TwilioRestServer(callee=callee, speed=40) as twilio,
        gateway_of(folders[0], twilio.base_url, free_port(), None, **shared) as first,
    ):
        await eventually(lambda: dials(first, "here"))
        async with gateway_of(folders[1], twilio.base_url, free_port(), None, **shared) as second:
            await eventually(lambda: dials(second, "elsewhere"))
            await eventually(lambda: f"process {first.pid}" in second.log_text())

            campaign = await begun(second)
            shown = (await second.api("GET", f"/api/campaigns/{campaign}/progress")).json()
            assert f"process {first.pid}" in shown["elsewhere"]
            code, told = await second.command("campaign", "show", campaign)
            assert (code, "another gateway" in told) == (0, True)

            await eventually(lambda: len(twilio.account.calls) > 6, seconds=20)
            first.signal(signal.SIGKILL)
            assert await first.ended(20) == -signal.SIGKILL
            await eventually(lambda: dials(second, "here"))
            assert len(twilio.account.calls) < PEOPLE
            await completed(second, campaign)
    everybody_was_called(twilio)
