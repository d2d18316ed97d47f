import os
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from shared.settings import Settings, call_environment, load_settings, take_secrets
from shared.settings.environment import provider_fields
from shared.settings.fields import variable

GATEWAYS_OWN = (
    *("TWILIO_AUTH_TOKEN", "API_TOKEN", "SECRET_KEY", "DATABASE_URL", "NOTIFY_SOCKET"),
    "ULTRAVOX_WEBHOOK_SECRET",
)


def test_a_call_process_sees_no_name_that_is_not_for_it() -> None:
    environ = dict.fromkeys((*GATEWAYS_OWN, "AWS_SECRET_ACCESS_KEY", "PATH", "LC_ALL"), "x")
    assert call_environment(environ, Settings()) == {"PATH": "x", "LC_ALL": "x"}


def test_no_setting_of_the_gateway_gets_through_whatever_its_value() -> None:
    environ = {variable(field): "1" for field in Settings.model_fields}
    seen = call_environment(environ, Settings())
    assert seen == {}
    assert not set(map(variable, provider_fields())) & set(GATEWAYS_OWN)


def test_provider_keys_reach_calls_from_the_env_file_under_their_own_name() -> None:
    Path(".env").write_text(
        "OPENAI_API_KEY=sk-1\nELEVEN_LABS_API_KEY=el\nDEEPGRAM_BASE_URL=http://127.0.0.1:9/\n"
        "AGENT_CRM=https://crm.example\nAPI_TOKEN=t\nOTHER=o\n"
    )
    assert call_environment({}, load_settings()) == {
        "OPENAI_API_KEY": "sk-1",
        "ELEVENLABS_API_KEY": "el",
        "DEEPGRAM_BASE_URL": "http://127.0.0.1:9",
        "AGENT_CRM": "https://crm.example",
    }


def test_the_environment_goes_before_the_env_file_for_the_operators_own_variables() -> None:
    Path(".env").write_text("AGENT_CRM=file\n")
    seen = call_environment({"AGENT_CRM": "environment"}, load_settings())
    assert seen == {"AGENT_CRM": "environment"}


def test_taking_secrets_leaves_what_calls_may_see_and_returns_the_rest() -> None:
    environ = {"PATH": "/bin", "API_TOKEN": "t", "ELEVEN_LABS_API_KEY": "el"}
    settings = Settings(elevenlabs_api_key=SecretStr("el"))
    taken = take_secrets(environ, settings)
    assert environ == {"PATH": "/bin", "ELEVENLABS_API_KEY": "el"}
    assert taken == {"API_TOKEN": "t", "ELEVEN_LABS_API_KEY": "el"}
    assert take_secrets(environ, settings) == {}


def test_a_process_started_afterwards_inherits_no_secret() -> None:
    child = "import os; print(*sorted(os.environ))"
    parent = (
        "import os, subprocess, sys\n"
        "from shared.settings import load_settings, take_secrets\n"
        "take_secrets(os.environ, load_settings())\n"
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
    )
    environ = {**os.environ, "API_TOKEN": "t", "AGENT_X": "1", "UNKNOWN": "1"}
    done = subprocess.run(
        [sys.executable, "-c", parent], env=environ, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert "AGENT_X" in names
    assert not {"API_TOKEN", "UNKNOWN"} & set(names)
