"""The types of settings: what an operator writes in one line of text, checked and made canonical.

Every check raises ``ValueError`` whose sentence is the fix, because it is shown beside the value.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from shared import e164
from shared.event_names import event_names
from shared.log_level import LogLevel, log_level
from shared.urls import http_url

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.1"), ip_network("::1"))

_ANYONE = ("0.0.0.0/0", "::/0")
_DATABASES = ("sqlite", "postgres", "postgresql")


def _destinations(value: object) -> object:
    """Named numbers, from text or a mapping; a number without a name is called ``default``."""
    if isinstance(value, Mapping):
        return {str(name): e164.phone_number(str(number)) for name, number in value.items()}
    if not isinstance(value, str):
        return value
    return dict(e164.destinations(value if "=" in value else f"default={value}"))


def _networks(value: object) -> object:
    """Networks, from addresses or CIDR ranges between commas; ``*`` stands for everyone."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[,\s]+", value) if part]
    if not isinstance(value, list | tuple):
        return value
    written = [text for part in value for text in (_ANYONE if part == "*" else (part,))]
    try:
        return tuple(ip_network(part, strict=False) for part in written)
    except ValueError as error:
        raise ValueError(f"{error}; write addresses or ranges, 10.0.0.0/8") from None


def _prefixes(value: object) -> object:
    """Beginnings of numbers in E.164, from text between commas."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[,\s]+", value) if part]
    if not isinstance(value, list | tuple):
        return value
    wrong = [part for part in value if not re.fullmatch(r"\+[1-9][0-9]{0,14}", str(part))]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no beginning of a number; write +49, +1212")
    return tuple(value)


def _database(secret: SecretStr) -> SecretStr:
    """An SQLite or PostgreSQL address, with or without a driver's name."""
    scheme, slashes, _ = secret.get_secret_value().partition("://")
    if not slashes or scheme.partition("+")[0] not in _DATABASES:
        raise ValueError("write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
    return secret


def _absolute(path: Path) -> Path:
    """Absolute, because processes change their working directory later."""
    return path.expanduser().absolute()


def _region(code: str) -> str:
    """A country by its two letters."""
    import phonenumbers  # no light import, and few set a region

    if code.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("write the two letters of a country: DE, US")
    return code.upper()


def _keys(secret: SecretStr) -> SecretStr:
    """Keys between commas, at least one."""
    if not secret.get_secret_value().replace(",", "").strip():
        raise ValueError("write a key, or several between commas; openssl rand -hex 32 makes one")
    return secret


def _level(value: object) -> LogLevel:
    return log_level(str(value))


HttpUrl = Annotated[str, AfterValidator(http_url)]
PhoneNumber = Annotated[str, AfterValidator(e164.phone_number)]
Destinations = Annotated[dict[str, str], BeforeValidator(_destinations)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]


def _listed(value: object) -> object:
    """The parts of a text between commas."""
    if isinstance(value, str):
        return tuple(part for part in re.split(r"[,\s]+", value) if part)
    return value


def _events(value: object) -> object:
    """Names of events between commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return event_names(map(str, value)) if isinstance(value, list | tuple) else value


def _webhooks(value: object) -> object:
    """Addresses between commas; they may hold a user, for Basic, and a query."""
    urls = _listed(value)
    if isinstance(urls, list | tuple):
        for url in urls:
            parts = urlsplit(str(url))
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("write whole addresses, starting with https://, between commas")
    return urls


def _private(value: object) -> object:
    """Networks; ``true`` stands for all, ``false`` for none."""
    word = str(value).strip().lower()
    return _networks({"true": "*", "false": ""}.get(word, value))


EventNames = Annotated[tuple[str, ...], BeforeValidator(_events)]
Webhooks = Annotated[tuple[str, ...], BeforeValidator(_webhooks)]
PrivateNetworks = Annotated[tuple[Network, ...], BeforeValidator(_private)]
Prefixes = Annotated[tuple[str, ...], BeforeValidator(_prefixes)]
Region = Annotated[str, AfterValidator(_region)]
Keys = Annotated[SecretStr, AfterValidator(_keys)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Sentence = Annotated[str, Field(pattern=r"\S", max_length=500)]
"""What a caller hears, in one breath."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Level = Annotated[LogLevel, BeforeValidator(_level)]
