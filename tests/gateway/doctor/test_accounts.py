import pytest

from gateway.doctor.accounts import check_api_token, check_providers, check_twilio
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


@pytest.mark.parametrize(("token", "warned"), [("short", True), ("x" * 16, False)])
def test_a_short_api_token_is_a_warning(token: str, warned: bool) -> None:
    assert bool(list(check_api_token(Settings.model_validate({"api_token": token})))) is warned
