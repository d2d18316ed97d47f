from ipaddress import ip_network

import pytest
from pydantic import SecretStr, ValidationError

from shared.log_level import LogLevel
from shared.settings import Settings
from shared.settings.fields import is_secret


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_no_representation_holds_a_secret() -> None:
    settings = Settings(
        api_token=SecretStr("s3cret-s3cret-s3cret"),
        database_url=SecretStr("postgresql://me:hunter2@db/x"),
    )
    text = f"{settings} {settings!r} {settings.model_dump_json()}"
    assert "s3cret" not in text
    assert "hunter2" not in text


def test_a_long_secret_is_shown_by_its_last_characters_and_a_short_one_not_at_all() -> None:
    assert Settings(api_token=SecretStr("0123456789abcdef")).shown("api_token") == "****cdef"
    assert Settings(api_token=SecretStr("short")).shown("api_token") == "****"
    assert Settings(api_token=SecretStr("a://b:c@d")).shown("api_token") == "****"
    assert Settings().shown("api_token") == ""


def test_every_key_token_and_database_address_is_a_secret() -> None:
    named = {
        field
        for field in Settings.model_fields
        if field.endswith(("_key", "_token", "_secret")) or field == "database_url"
    }
    assert {field for field in Settings.model_fields if is_secret(field)} == named


def test_a_database_is_shown_without_its_password() -> None:
    settings = Settings(database_url=SecretStr("postgresql+asyncpg://me:p@ss@db:5432/x"))
    assert settings.shown("database_url") == "postgresql+asyncpg://me:****@db:5432/x"


def test_values_are_shown_as_an_operator_would_write_them() -> None:
    settings = Settings.model_validate({"transfer_numbers": "a=+15551234567, b=+15557654321"})
    assert settings.shown("transfer_numbers") == "a=+15551234567, b=+15557654321"
    assert settings.shown("trusted_proxies") == "127.0.0.1/32, ::1/128"
    assert settings.shown("max_call_seconds") == "3600"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.7/8, 192.168.1.1", ("10.0.0.0/8", "192.168.1.1/32")),
        ("fd00::/8", ("fd00::/8",)),
        ("*", ("0.0.0.0/0", "::/0")),
    ],
)
def test_proxies_are_addresses_ranges_or_everyone(text: str, expected: tuple[str, ...]) -> None:
    settings = Settings.model_validate({"trusted_proxies": text})
    assert settings.trusted_proxies == tuple(map(ip_network, expected))


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("DEBUG", LogLevel.DEBUG),
        ("Notice", LogLevel.INFO),
        ("warn", LogLevel.WARNING),
        ("ERROR", LogLevel.ERROR),
        ("CRIT", LogLevel.CRITICAL),
        ("ALERT", LogLevel.CRITICAL),
        ("EMERG", LogLevel.CRITICAL),
    ],
)
def test_syslog_names_are_levels_too(name: str, level: LogLevel) -> None:
    assert Settings.model_validate({"log_level": name}).log_level is level


@pytest.mark.parametrize(
    "field_and_value",
    [
        ("transfer_numbers", "desk=911"),
        ("transfer_numbers", "desk=+15551234567, desk=+15557654321"),
        ("transfer_numbers", 5),
        ("trusted_proxies", "10.0.0.0/33"),
        ("trusted_proxies", 5),
        ("fallback_number", "0301234567"),
        ("database_url", "callfarm.db"),
        ("port", "65536"),
        ("public_url", "ftp://x.example"),
        ("secret_key", " , "),
        ("dial_region", "XX"),
        ("dial_region", "Germany"),
    ],
)
def test_nonsense_is_refused(field_and_value: tuple[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(dict([field_and_value]))
