import os
from pathlib import Path

import pytest

from shared.settings import Place, Settings, SettingsError, Source, load_settings
from shared.settings.loading import read_env_file


def refused(**overrides: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides)
    return str(caught.value)


def test_without_environment_and_file_every_value_is_a_default() -> None:
    settings = load_settings()
    assert settings.model_dump() == Settings().model_dump()
    assert {str(settings.source(field)) for field in Settings.model_fields} == {"default"}


def test_command_line_goes_before_environment_before_env_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("PORT=1001\nMAX_CALLS=11\nHANG_SECONDS=2.5\n")
    monkeypatch.setenv("PORT", "1002")
    monkeypatch.setenv("MAX_CALLS", "12")
    settings = load_settings({"port": 1003, "host": None})
    assert (settings.port, settings.max_calls, settings.hang_seconds) == (1003, 12, 2.5)
    places = [settings.source(name).place for name in ("port", "max_calls", "hang_seconds", "host")]
    assert places == [Place.COMMAND_LINE, Place.ENVIRONMENT, Place.ENV_FILE, Place.DEFAULT]


def test_an_alias_is_read_and_named_as_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVEN_LABS_API_KEY", "abc")
    Path(".env").write_text("BASE_URL=https://a.example/x/\nHOST_NAME=127.0.0.1\n")
    settings = load_settings()
    assert settings.elevenlabs_api_key is not None
    assert settings.elevenlabs_api_key.get_secret_value() == "abc"
    assert settings.public_url == "https://a.example/x"
    assert settings.source("public_url") == Source(Place.ENV_FILE, "BASE_URL")
    assert str(settings.source("elevenlabs_api_key")) == "environment (ELEVEN_LABS_API_KEY)"
    assert settings.host == "127.0.0.1"


def test_the_own_name_goes_before_an_alias_in_the_same_place() -> None:
    Path(".env").write_text("PUBLIC_URL=https://own.example\nBASE_URL=https://alias.example\n")
    assert load_settings().public_url == "https://own.example"


def test_an_alias_in_the_environment_goes_before_the_own_name_in_the_env_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("PUBLIC_URL=https://own.example\n")
    monkeypatch.setenv("BASE_URL", "https://alias.example")
    assert load_settings().public_url == "https://alias.example"


def test_of_webhook_url_only_the_origin_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://Example.com:443/twiml?x=1")
    assert load_settings().public_url == "https://example.com"


def test_one_destination_without_a_name_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION_PHONE_NUMBER", "+1 (555) 123-4567")
    assert load_settings().transfer_numbers == {"default": "+15551234567"}


def test_key_and_cert_file_are_read_as_tls_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_FILE", "k.pem")
    monkeypatch.setenv("CERT_FILE", "c.pem")
    settings = load_settings()
    assert settings.tls_key_file == Path.cwd() / "k.pem"
    assert settings.tls_cert_file == Path.cwd() / "c.pem"


def test_an_empty_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("API_TOKEN", "  ")
    Path(".env").write_text("PORT=\nMAX_CALLS\n")
    settings = load_settings()
    assert (settings.port, settings.api_token) == (8000, None)
    assert settings.source("port").place is Place.DEFAULT


def test_values_lose_the_blanks_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", " abc\r\n")
    token = load_settings().twilio_auth_token
    assert token is not None
    assert token.get_secret_value() == "abc"


def test_every_variable_at_fault_is_named_with_value_source_and_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PORT", "80x")
    Path(".env").write_text("MAX_CALLS=0\nPUBLIC_URL=example.com\n")
    lines = refused(log_level="loud").splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "PORT=80x (environment)",
        "PUBLIC_URL=example.com (.env)",
        "MAX_CALLS=0 (.env)",
        "LOG_LEVEL=loud (command line)",
    ]
    assert lines[0].endswith("the default is 8000")
    assert "starting with https://" in lines[1]
    assert "notice" in lines[3]


def test_an_error_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://me:hunter2@db/x")
    assert "hunter2" not in refused()
    assert "mysql://me:****@db/x" in refused()
    monkeypatch.setenv("EVENTS_URL", "http://me:hunter2@a/x, ftp://you:hunter2@b/y")
    assert "hunter2" not in refused()
    assert "EVENTS_URL=http://me:****@a/x, ftp://you:****@b/y (environment): write" in refused()


def test_a_default_that_is_none_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "0")
    assert refused().endswith("input should be greater than 0")


def test_a_certificate_without_its_key_is_refused() -> None:
    assert refused(tls_cert_file="c.pem") == "set both TLS_CERT_FILE and TLS_KEY_FILE, or neither"


def test_an_unknown_override_is_refused() -> None:
    assert "prot" in refused(prot=1)


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "0", "1e400"])
def test_a_time_limit_is_finite_and_positive(text: str) -> None:
    assert "DRAIN_SECONDS" in refused(drain_seconds=text)


def test_an_env_file_that_is_no_text_is_refused_with_its_name() -> None:
    Path(".env").write_bytes(b"PORT=\xff\xfe\n")
    assert ".env" in refused() or "UTF-8" in refused()


def test_an_env_file_need_not_exist() -> None:
    assert read_env_file(Path("nowhere")) == {}


def test_constructing_settings_reads_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    Path(".env").write_text("MAX_CALLS=1\n")
    assert Settings().model_dump() == Settings(port=8000, max_calls=200).model_dump()


def test_relative_folders_become_absolute_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path.cwd()
    settings = load_settings({"data_dir": "data"})
    monkeypatch.chdir(os.sep)
    assert (settings.data_dir, settings.agents_dir) == (here / "data", here / "agents")
