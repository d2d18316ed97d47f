"""A campaign made, filled and run over the API."""

from pathlib import Path
from typing import Any

from tests.e2e.test_outbound import world
from tests.fakes.twilio_callee import Callee
from tests.harness import eventually


async def test_a_campaign_is_made_filled_started_and_watched_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=5)) as (gateway, twilio):

        async def ask(method: str, path: str, body: object = None) -> tuple[int, Any]:
            answer = await gateway.api(method, f"/api/campaigns{path}", body)
            return answer.status_code, answer.json()

        status, made = await ask("POST", "", {"name": "News", "policy": {"concurrency": 2}})
        assert (status, made["state"], made["policy"]["concurrency"]) == (201, "draft", 2)
        one = f"/{made['id']}"
        assert (await ask("POST", f"{one}/start"))[0] == 409
        people = [{"phone": f"+4930123456{i:02}", "variables": {"n": str(i)}} for i in range(5)]
        status, refused = await ask("POST", f"{one}/leads", {"leads": [*people, {"phone": "112"}]})
        assert (status, refused["refused"][0]["row"]) == (422, 5)
        assert (await ask("POST", f"{one}/leads", {"leads": people}))[1]["added"] == 5
        assert (await ask("POST", f"{one}/start"))[1]["state"] == "running"

        async def completed() -> bool:
            return bool((await ask("GET", f"{one}/progress"))[1]["state"] == "completed")

        await eventually(completed)
        leads = (await ask("GET", f"{one}/leads?limit=3"))[1]
        assert [(it["phone"], it["state"]) for it in leads["leads"]] == [
            (it["phone"], "done") for it in people[:3]
        ]
        assert leads["next"] == 2
        assert twilio.exchange.most_at_once <= 2
        assert (await ask("POST", f"{one}/cancel"))[0] == 409
        (listed,) = (await ask("GET", "?state=completed"))[1]["campaigns"]
        assert listed["id"] == made["id"]
        assert (await ask("GET", "/c0"))[0] == 404
