"""``callfarm connect``: a number of the account is pointed here."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.app import app
from gateway.cli.connect import urls
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, TwilioRestServer

NUMBER = "+15557654321"
VOICE = "https://calls.example.com/ai/twilio/voice#rc=5&rp=ct,rt,5xx&rt=4000"


@pytest.fixture
async def twilio(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[TwilioRestServer]:
    monkeypatch.chdir(tmp_path)
    async with TwilioRestServer() as server:
        server.account.add_number("+15557654322")
        server.account.add_number(NUMBER).settings["VoiceUrl"] = "https://old.example.com/"
        for name, value in (
            ("TWILIO_ACCOUNT_SID", ACCOUNT_SID),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
            ("TWILIO_BASE_URL", server.base_url),
            ("PUBLIC_URL", "https://calls.example.com/ai"),
        ):
            monkeypatch.setenv(name, value)
        yield server


async def run(*words: str) -> Result:
    """Run the command beside the server, as another process would."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["connect", *words])


async def test_a_numbers_urls_are_set_and_shown_before_and_after(twilio: TwilioRestServer) -> None:
    result = await run(NUMBER)
    assert result.exit_code == 0, result.output
    assert "https://old.example.com/" in result.output
    (settings,) = [
        it.settings for it in twilio.account.numbers.values() if it.phone_number == NUMBER
    ]
    assert settings == {
        "VoiceUrl": VOICE,
        "VoiceMethod": "POST",
        "VoiceFallbackUrl": VOICE,
        "VoiceFallbackMethod": "POST",
        "StatusCallback": VOICE.replace("voice", "status"),
        "StatusCallbackMethod": "POST",
    }
    again = await run(NUMBER)
    assert "comes here already" in again.output


async def test_a_dry_run_changes_nothing(twilio: TwilioRestServer) -> None:
    result = await run(NUMBER, "--dry-run", "--json", "--url", "https://other.example.com")
    shown = json.loads(result.output)
    assert shown["before"]["voice_url"] == "https://old.example.com/"
    assert shown["after"]["voice_url"] == urls("https://other.example.com").voice_url
    assert shown["changed"] is False
    assert {request.method for request in twilio.requests} == {"GET"}


async def test_what_cannot_be_connected_is_told(
    twilio: TwilioRestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not a number of this account" in (await run("+15550000000")).output
    assert "no phone number" in (await run("desk")).output
    number = next(it for it in twilio.account.numbers.values() if it.phone_number == NUMBER)
    number.settings["TrunkSid"] = "TK" + "1" * 32
    result = await run(NUMBER)
    assert (result.exit_code, "TK1" in result.output) == (1, True)
    twilio.fail(401, 20003)
    assert "TWILIO_AUTH_TOKEN" in (await run(NUMBER)).output
    monkeypatch.delenv("PUBLIC_URL")
    assert "PUBLIC_URL" in (await run(NUMBER)).output
