import pytest

from gateway.doctor.accounts import (
    check_own_secrets,
    check_placing,
    check_providers,
    check_twilio,
)
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen

SID, TOKEN = "AC" + "0f" * 16, "ab" * 16


def twilio(**values: str) -> Seen:
    return Seen(check_twilio(Settings.model_validate(values)))


def test_no_account_is_fine() -> None:
    assert twilio().worst is Status.OK


def test_a_whole_account_is_fine_and_not_shown_in_full() -> None:
    seen = twilio(twilio_account_sid=SID, twilio_auth_token=TOKEN)
    assert seen.worst is Status.OK
    assert SID not in seen.text
    assert TOKEN not in seen.text


@pytest.mark.parametrize(
    ("sid", "token", "status", "said"),
    [
        (SID, "", Status.FAIL, "TWILIO_AUTH_TOKEN is not set"),
        ("", TOKEN, Status.FAIL, "TWILIO_ACCOUNT_SID is not set"),
        ("SK" + SID[2:], TOKEN, Status.FAIL, "API key"),
        (SID.upper(), TOKEN, Status.FAIL, "no account SID"),
        (SID[:-1], TOKEN, Status.FAIL, "no account SID"),
        (SID, TOKEN + "x", Status.WARN, "does not look like one"),
    ],
)
def test_wrong_credentials_are_named(sid: str, token: str, status: Status, said: str) -> None:
    given = {"twilio_account_sid": sid, "twilio_auth_token": token}
    seen = twilio(**{name: value for name, value in given.items() if value})
    assert seen.worst is status
    assert said in seen.text
    assert seen.all_have_fixes()


def test_a_region_without_a_known_edge_fails() -> None:
    seen = twilio(twilio_account_sid=SID, twilio_auth_token=TOKEN, twilio_region="xy9")
    assert seen.worst is Status.FAIL
    assert "TWILIO_EDGE" in seen.text


def test_provider_keys_are_named_not_shown() -> None:
    seen = Seen(check_providers(Settings.model_validate({"openai_api_key": "sk-123"})))
    assert "openai" in seen.text
    assert "sk-123" not in seen.text


@pytest.mark.parametrize("field", ["api_token", "secret_key", "call_me_token"])
@pytest.mark.parametrize(("token", "warned"), [("short", True), ("x" * 16, False)])
def test_a_short_secret_of_our_own_is_a_warning(field: str, token: str, warned: bool) -> None:
    assert bool(list(check_own_secrets(Settings.model_validate({field: token})))) is warned


def test_of_several_keys_the_shortest_counts() -> None:
    keys = {"secret_key": "x" * 16 + ",short"}
    assert "16 random" in Seen(check_own_secrets(Settings.model_validate(keys))).text


def test_what_placing_calls_lacks_is_told_to_whoever_has_an_account() -> None:
    assert not list(check_placing(Settings()))
    account = {"twilio_account_sid": SID, "public_url": "https://x.example"}
    lacking = Seen(check_placing(Settings.model_validate(account)))
    assert (lacking.worst, "TWILIO_PHONE_NUMBER" in lacking.text) == (Status.OK, True)
    whole = {**account, "twilio_phone_number": "+15551234567"}
    assert "+15551234567" in Seen(check_placing(Settings.model_validate(whole))).text
