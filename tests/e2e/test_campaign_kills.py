"""A campaign whose gateway is killed at random moments: nobody called twice, nobody forgotten.

The gateway is a real one, the carrier the fake Twilio, whose own list of calls is what counts.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from phone import CalleeOutcome
from tests.e2e.carrier import gateway_of
from tests.fakes.n8n import N8nFake
from tests.fakes.twilio_account import Refusal
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ApiRequest, Trouble, TwilioRestServer
from tests.harness import RunningGateway, eventually, free_port

PEOPLE = 60
CONCURRENCY = 4
SEED = 20261127

TRAPS = (None, Trouble.CUT_AFTER, Trouble.CUT, None, Trouble.ERROR_AFTER)
"""How each gateway is killed: at a random moment; when its call exists and the answer is under
way; after its intent is durable, before the call exists."""


def callee(number: str) -> Callee:
    """Most answer, some are busy, some are not there."""
    kind = int(number[-2:]) % 6
    if kind == 1:
        return Callee(CalleeOutcome.BUSY, ring_s=4)
    if kind == 2:
        return Callee(CalleeOutcome.FAILED, ring_s=2)
    return Callee(ring_s=6, talk_s=10 + kind * 6)


class Executioner:
    """Kills a gateway: from outside after a while, or from within a request of its own."""

    def __init__(self, twilio: TwilioRestServer, chance: random.Random) -> None:
        self._twilio, self._chance = twilio, chance
        self._trap: Trouble | None = None
        self._pid = 0
        self._spared = 0
        twilio.mishap = self._befalls

    def _befalls(self, request: ApiRequest) -> Trouble | Refusal | None:
        if self._trap is None or (request.method, request.path) != ("POST", "/Calls.json"):
            return None
        self._spared -= 1
        if self._spared > 0:
            return None
        trap, self._trap = self._trap, None
        os.kill(self._pid, signal.SIGKILL)
        return trap

    async def strike(self, gateway: RunningGateway, trap: Trouble | None) -> None:
        """Return when the gateway is dead."""
        if trap is None:
            # By what was done and not by the clock: a busy machine is not as far by then.
            calls = self._twilio.account.calls
            enough = len(calls) + self._chance.randint(2, 6)
            await eventually(lambda: len(calls) >= enough, seconds=60, every=0.02)
            await asyncio.sleep(self._chance.uniform(0, 0.1))
            gateway.signal(signal.SIGKILL)
        else:
            self._pid, self._spared, self._trap = gateway.pid, self._chance.randint(2, 6), trap
        assert await gateway.ended(60) == -signal.SIGKILL


async def begun(gateway: RunningGateway) -> str:
    """Make a campaign and start it; return its id."""
    policy = {
        "concurrency": CONCURRENCY,
        "attempts": 2,
        "breaker_calls": 0,
        "delays": {"busy": 0.5, "failed": 0.5},
    }
    made = await gateway.api("POST", "/api/campaigns", {"name": "kills", "policy": policy})
    assert made.status_code == 201, made.text
    campaign = str(made.json()["id"])
    leads = [{"phone": f"+4930{1234500 + n}"} for n in range(PEOPLE)]
    added = await gateway.api("POST", f"/api/campaigns/{campaign}/leads", {"leads": leads})
    assert added.json()["total"] == PEOPLE, added.text
    started = await gateway.api("POST", f"/api/campaigns/{campaign}/start")
    assert started.status_code == 200, started.text
    return campaign


async def completed(gateway: RunningGateway, campaign: str) -> None:
    """Return when a campaign is over."""

    async def over() -> bool:
        shown = await gateway.api("GET", f"/api/campaigns/{campaign}/progress")
        return bool(shown.json()["state"] == "completed")

    await eventually(over, seconds=150, every=0.3)


def everybody_was_called(twilio: TwilioRestServer) -> None:
    """Check that everybody was called once, and who did not answer once more."""
    made = Counter(call.to for call in twilio.account.calls.values())
    assert len(made) == PEOPLE
    for number, calls in made.items():
        assert calls == (1 if callee(number).outcome is CalleeOutcome.ANSWERED else 2)


@pytest.mark.timeout(300)
async def test_a_campaign_whose_gateway_is_killed_again_and_again_calls_everybody_once_an_attempt(
    tmp_path: Path,
) -> None:
    chance, port, campaign = random.Random(SEED), free_port(), ""
    async with TwilioRestServer(callee=callee, speed=40) as twilio, N8nFake() as n8n:
        wants = {
            "EVENTS_URL": f"{n8n.url}/webhook/calls",
            "EVENTS": "campaign.*",
            "NO_PROXY": "127.0.0.1",
        }
        executioner = Executioner(twilio, chance)
        for trap in TRAPS:
            async with gateway_of(tmp_path, twilio.base_url, port, None, **wants) as gateway:
                campaign = campaign or await begun(gateway)
                await executioner.strike(gateway, trap)
        assert len(twilio.account.calls) < PEOPLE, "killed too late to tell anything"

        async with gateway_of(tmp_path, twilio.base_url, port, None, **wants) as gateway:
            await completed(gateway, campaign)
            try:
                await eventually(lambda: n8n.taken("campaign.completed"))
            except TimeoutError:
                kept = (await gateway.api("GET", "/api/webhooks")).text
                raise AssertionError(f"{kept}\n{n8n.received}\n{gateway.log_text()}") from None
            told = {(it.key, it.json["event"]) for it in n8n.taken()}
            assert sorted(name for _, name in told) == ["campaign.completed", "campaign.started"]
            page = (await gateway.api("GET", f"/api/campaigns/{campaign}/leads?limit=100")).json()[
                "leads"
            ]
            failures = gateway.log_text()

    calls = list(twilio.account.calls.values())
    made = Counter(call.to for call in calls)
    assert [lead["attempts"] for lead in page] == [made[lead["phone"]] for lead in page], failures
    for lead in page:
        last = next(call for call in reversed(calls) if call.to == lead["phone"])
        kind = callee(lead["phone"]).outcome
        assert lead["call_sid"] == last.sid
        assert lead["state"] == ("done" if kind is CalleeOutcome.ANSWERED else "failed")
        assert made[lead["phone"]] == (1 if kind is CalleeOutcome.ANSWERED else 2)


@pytest.mark.timeout(300)
async def test_a_gateway_that_is_told_to_stop_dials_nobody_new_and_the_next_goes_on(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with TwilioRestServer(callee=callee, speed=40) as twilio:
        async with gateway_of(tmp_path, twilio.base_url, port) as gateway:
            campaign = await begun(gateway)
            await eventually(lambda: len(twilio.account.calls) > 6, seconds=60)
            gateway.signal(signal.SIGTERM)
            await eventually(lambda: "draining" in gateway.log_text(), seconds=60)
            before = len(twilio.account.calls)
            assert await gateway.ended(60) == 0
            under_way = len(twilio.account.calls) - before
            assert under_way <= CONCURRENCY, "what Twilio was being asked for, and no more"
            assert before + under_way < PEOPLE

        async with gateway_of(tmp_path, twilio.base_url, port) as gateway:
            await completed(gateway, campaign)
    everybody_was_called(twilio)
