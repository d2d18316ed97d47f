"""A company as values: what is told of it, what may be changed, what its calls need.

What is secret goes in and never comes out again, except to the part of the gateway that uses it.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shared.e164 import NumberError, phone_number
from shared.urls import http_url

_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
_PLACE = re.compile(r"[a-z0-9-]{2,16}")
_MOST_NAME = 200
_MOST_TEXT = 20_000
_MOST_SETTINGS = 64 << 10


class CompanyError(ValueError):
    """A company cannot be like that. ``sentence`` says what is wrong, without a secret."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


Text = str | None | UnsetType


class CompanyChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed: what is not named stays, ``null`` takes away.

    ``secrets`` are named ones of other parts (a webhook's key); each is changed by itself, and
    ``null`` takes all away.
    """

    name: str | UnsetType = UNSET
    account_sid: Text = UNSET
    auth_token: Text = UNSET
    phone_number: Text = UNSET
    region: Text = UNSET
    edge: Text = UNSET
    caller_id: Text = UNSET
    default_destination: Text = UNSET
    speech_key: Text = UNSET
    speech_url: Text = UNSET
    system_prompt: Text = UNSET
    model: Text = UNSET
    voice: Text = UNSET
    first_speaker: Text = UNSET
    agent: Text = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    secrets: dict[str, str | None] | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class Company:
    """A company as it is told of. Of its secrets only whether, or under which names, they exist."""

    id: int
    name: str
    created: float
    account_sid: str | None
    phone_number: str | None
    region: str | None
    edge: str | None
    caller_id: str | None
    default_destination: str | None
    speech_url: str | None
    system_prompt: str | None
    model: str | None
    voice: str | None
    first_speaker: str | None
    agent: str | None
    settings: dict[str, Any]
    has_auth_token: bool
    has_speech_key: bool
    secret_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """A company's account at the carrier, with what its calls are placed by."""

    company_id: int
    sid: str
    token: str = field(repr=False)
    phone_number: str | None
    region: str | None
    edge: str | None
    caller_id: str | None
    default_destination: str | None


@dataclass(frozen=True, slots=True)
class Speech:
    """A company's settings of the hosted voice; what is ``None`` is the agent's own affair.

    An empty ``key``: there is one, and it cannot be read.
    """

    company_id: int
    key: str | None = field(repr=False)
    url: str | None
    system_prompt: str | None
    model: str | None
    voice: str | None
    first_speaker: str | None


PLAIN = (
    *("name", "account_sid", "phone_number", "region", "edge", "caller_id"),
    *("default_destination", "speech_url", "system_prompt", "model", "voice"),
    *("first_speaker", "agent", "settings"),
)
"""Fields that are columns of the same name, kept as they are."""

HIDDEN = ("auth_token", "speech_key")
"""Fields that are columns of the same name, kept encrypted."""


def checked(change: CompanyChange) -> dict[str, Any]:
    """Return the plain fields that are changed, in their canonical form. Raises `CompanyError`."""
    given = {name: getattr(change, name) for name in PLAIN if getattr(change, name) is not UNSET}
    return {name: None if value is None else _fit(name, value) for name, value in given.items()}


def _fit(name: str, value: Any) -> Any:
    match name:
        case "name" if not 0 < len(value.strip()) <= _MOST_NAME:
            raise CompanyError(f"a company's name has 1 to {_MOST_NAME} letters")
        case "account_sid" if not _ACCOUNT.fullmatch(value):
            raise CompanyError("the account_sid is AC and 32 hexadecimal digits")
        case "region" | "edge" if not _PLACE.fullmatch(value):
            raise CompanyError(f"{name} is a word of small letters, as ie1 or dublin")
        case "phone_number" | "caller_id" | "default_destination":
            return _number(name, value)
        case "speech_url":
            return _url(name, value)
        case "settings":
            if len(msgspec.json.encode(value)) > _MOST_SETTINGS:
                raise CompanyError(f"settings are at most {_MOST_SETTINGS} bytes of JSON")
        case "first_speaker" if len(value) > 32:
            raise CompanyError("first_speaker has at most 32 letters")
        case _ if len(value) > _MOST_TEXT:
            raise CompanyError(f"{name} has at most {_MOST_TEXT} letters")
    return value


def _number(name: str, value: str) -> str:
    try:
        return phone_number(value)
    except NumberError as error:
        raise CompanyError(f"{name}: {error}") from None


def _url(name: str, value: str) -> str:
    try:
        return http_url(value)
    except ValueError as error:
        raise CompanyError(f"{name}: {error}") from None
