"""The commands about a company's calls, made by the built-in phone in that company's account."""

from pathlib import Path

import pytest

from tests.harness import ACCOUNT_SID, AUTH_TOKEN, RunningGateway, eventually, running_gateway

ACCOUNT, TOKEN = "AC" + "a" * 32, "acmes-own-token"
AGENT = ("--agent", "desk:Desk")
SAYS = """
from worker import *

class Desk(Agent):
    recording = Recording(consent="")

    async def on_start(self):
        self.call.play(b"\\x20" * 8000)
        await self.call.mark()
        await self.call.hangup()
"""


async def called(gateway: RunningGateway, *options: str) -> str:
    """Call as the built-in phone does; return the call's SID."""
    url = f"{gateway.url}/twilio/voice"
    code, output = await gateway.command("call", "--url", url, *options)
    assert code == 0, output
    return output.split()[-1]


@pytest.mark.timeout(60)
async def test_a_companys_call_is_made_listed_and_shown_with_its_recording(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, {"desk.py": SAYS}, options=AGENT) as gateway:
        company = {"name": "Acme", "account_sid": ACCOUNT, "auth_token": TOKEN}
        made = await gateway.api("POST", "/api/companies", company)
        assert made.status_code == 201, made.text
        theirs = await called(gateway, "--account-sid", ACCOUNT, "--auth-token", TOKEN)
        nobodys = await called(gateway, "--auth-token", AUTH_TOKEN)

        async def whole() -> bool:
            it = (await gateway.api("GET", f"/api/calls/{theirs}")).json()
            return [each["status"] for each in it["recordings"]] == ["completed"]

        await eventually(whole)
        _, listed = await gateway.command("calls", "--all")
        _, of_company = await gateway.command("calls", "--company", str(made.json()["id"]))
        _, of_other = await gateway.command("calls", "--company", "99")
        _, shown = await gateway.command("show", theirs)
        _, other = await gateway.command("show", nobodys)
        (file,) = (gateway.data_dir / "recordings").rglob(f"{theirs}.wav")
    assert theirs in listed
    assert nobodys in listed
    assert "company" in listed.splitlines()[0].split()
    assert theirs in of_company
    assert nobodys not in of_company
    assert "No such calls." in of_other
    assert f"company {made.json()['id']}\n" in shown
    assert f"recording: completed, 1 s, {file}" in shown
    assert "\ncompany" not in other


@pytest.mark.timeout(60)
async def test_a_human_who_cannot_be_called_in_a_calls_account_is_refused_with_which_it_is(
    tmp_path: Path,
) -> None:
    variables = {"TRANSFER_NUMBERS": "desk=+15551234567", "TWILIO_ACCOUNT_SID": ACCOUNT}
    stays = "from worker import *\nclass Desk(Agent):\n    pass\n"
    async with (
        running_gateway(tmp_path, {"desk.py": stays}, variables, AGENT) as gateway,
        gateway.phone().dial() as call,
    ):
        await call.connected()
        code, said = await gateway.command(
            "transfer", call.sid, "desk", "--warm", "--summary", "A."
        )
    assert code == 1
    assert f"no credentials of the call's account {ACCOUNT_SID}" in said
