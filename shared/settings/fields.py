"""The settings: one frozen, typed class whose field ``port`` is the environment variable ``PORT``.

Refuses to know how a value is found (``loading``) and what it is used for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared.log_level import LogLevel
from shared.settings.types import (
    LOOPBACK,
    AbsolutePath,
    DatabaseUrl,
    Destinations,
    EventNames,
    HttpUrl,
    Keys,
    Level,
    Networks,
    PhoneNumber,
    Prefixes,
    PrivateNetworks,
    Region,
    Seconds,
    Sentence,
    Webhooks,
)
from shared.urls import without_password

AGENT_PREFIX = "AGENT_"
"""The operator's own variables for agent code start with it."""


class Place(StrEnum):
    """Where a value was found."""

    COMMAND_LINE = "command line"
    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value was found and, if under an alias, the name it had there."""

    place: Place
    alias: str = ""

    def __str__(self) -> str:
        return f"{self.place} ({self.alias})" if self.alias else str(self.place)


class Settings(BaseSettings):
    """Every setting. Constructed directly it reads nothing from outside; see ``load_settings``."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        case_sensitive=True,
        env_file_encoding="utf-8",
    )
    _sources: dict[str, Source] = PrivateAttr(default_factory=dict)
    _agent_variables: dict[str, str] = PrivateAttr(default_factory=dict)

    # Listening
    host: str = Field(default="0.0.0.0", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8000, description="TCP port to listen on; 0 takes any free one."
    )
    public_url: HttpUrl | None = Field(
        default=None,
        description="Address under which Twilio reaches this server, with a path prefix if there "
        "is one; decides every signed URL. Unset: scheme and Host of the request, believed only "
        "after its signature was verified.",
        examples=["https://calls.example.com"],
    )
    trusted_proxies: Networks = Field(
        default=LOOPBACK,
        description="Addresses or ranges, between commas, whose X-Forwarded headers are believed; "
        "* believes everyone.",
        examples=["127.0.0.1, 10.0.0.0/8"],
    )
    tls_cert_file: AbsolutePath | None = Field(
        default=None,
        description="Certificate chain (PEM) for TLS of our own.",
        examples=["/etc/callfarm/fullchain.pem"],
    )
    tls_key_file: AbsolutePath | None = Field(
        default=None, description="Its private key (PEM).", examples=["/etc/callfarm/privkey.pem"]
    )

    # Files
    agents_dir: AbsolutePath = Field(
        default=Path("agents"), description="Folder of the agents' code."
    )
    data_dir: AbsolutePath = Field(
        default=Path("var"),
        description="Folder of releases, records, recordings and made secrets; private to us.",
    )
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="Database of the records. Unset: SQLite in DATA_DIR.",
        examples=["postgresql://callfarm:PASSWORD@127.0.0.1/callfarm"],
    )

    retention_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Days that calls, their transcripts and recordings are kept. Unset: until "
        "callfarm prune takes them away.",
        examples=["90"],
    )

    # Our own secrets
    api_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of /api. Unset: a random one is made and kept in DATA_DIR.",
    )
    secret_key: Keys | None = Field(
        default=None,
        description="Encrypts the secrets in the database: any text, made at random, or several "
        "between commas: the first encrypts, all decrypt. Unset: one is made and kept in DATA_DIR.",
    )

    # Calls
    max_calls: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200, description="Calls at the same time; the next one is refused politely."
    )
    max_call_seconds: Seconds = Field(default=3600, description="Longest call, in seconds.")
    drain_seconds: Seconds = Field(
        default=600, description="Seconds that calls in progress may go on after SIGTERM or Ctrl-C."
    )
    stream_timeout_seconds: Seconds = Field(
        default=15,
        description="Seconds from the webhook to the call's media stream, then it is given up.",
    )
    hang_seconds: Seconds = Field(
        default=15,
        description="Seconds without a heartbeat, then a call process is killed; a third: dump.",
    )
    call_memory_mb: Annotated[int, Field(ge=16)] = Field(
        default=256,
        description="Private memory that one call process may reach, in MB of 1,048,576 bytes.",
    )
    template_timeout_seconds: Seconds = Field(
        default=60, description="Seconds that a release may take to load and rehearse."
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=1_000_000, description="Largest request body, in bytes."
    )
    fallback_number: PhoneNumber | None = Field(
        default=None,
        description="Human who is dialled when no agent can answer (E.164).",
        examples=["+15551234567"],
    )
    transfer_numbers: Destinations = Field(
        default={},
        description="Named destinations of transfers: name=number (E.164) between commas. One "
        "number alone is called default.",
        examples=["desk=+15551234567, sales=+15557654321"],
    )
    transfer_ring_seconds: Annotated[int, Field(ge=5, le=120)] = Field(
        default=20,
        description="Seconds that the phone rings of somebody to whom a caller is transferred.",
    )
    hold_music_url: HttpUrl | None = Field(
        default=None,
        description="Audio file (WAV, MP3) that callers hear on hold, over and over. Unset: a soft "
        "loop of our own.",
        examples=["https://example.com/hold.mp3"],
    )

    # What the carrier says where no agent can
    say_busy: Sentence | None = Field(
        default=None,
        description="Said when there is no room for a call.",
        examples=["Zurzeit sind alle Leitungen belegt."],
    )
    say_failed: Sentence | None = Field(
        default=None, description="Said when something went wrong in a call."
    )
    say_unconnected: Sentence | None = Field(
        default=None, description="Said when a caller could not be joined to a voice service."
    )
    say_unanswered: Sentence | None = Field(
        default=None, description="Said when nobody takes a transferred call."
    )
    say_connecting: Sentence | None = Field(
        default=None, description="Said after these, before FALLBACK_NUMBER is dialled."
    )
    say_later: Sentence | None = Field(
        default=None, description="Said after these, before the call is hung up."
    )
    say_language: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})+$",
        description="Language of these, with its region. Unset: Twilio's own, English.",
        examples=["de-DE"],
    )

    # Webhooks that tell of calls
    events_url: Webhooks = Field(
        default=(),
        description="Addresses that are told of calls and of what agents emit, between commas.",
        examples=["https://n8n.example.com/webhook/calls"],
    )
    events: EventNames = Field(
        default=(),
        description="Events that they are told of, between commas; call.* names all of a kind. "
        "Unset: all.",
        examples=["call.ended, booking"],
    )
    events_secret: SecretStr | None = Field(
        default=None,
        description="Signs what they are sent: any text, or several between commas, for a change.",
    )
    events_format: Literal["callfarm", "voxflow"] = Field(
        default="callfarm", description="callfarm, or voxflow: bodies as VoxFlow's n8n flows want."
    )
    events_timeout_seconds: Seconds = Field(
        default=10, description="Seconds that an address may take to answer."
    )
    events_keep_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=30, description="Days that what was told is kept, to be told again."
    )
    events_allow_private: PrivateNetworks = Field(
        default=(),
        description="Private networks that companies' own addresses may lead to, between commas, "
        "or true for all. What is set here, in EVENTS_URL, may lead anywhere.",
        examples=["10.0.5.0/24"],
    )
    first_message_url: HttpUrl | None = Field(
        default=None,
        description="Address that is asked, as a call comes in, what agents with a first_message "
        "say first.",
        examples=["https://n8n.example.com/webhook/first"],
    )
    first_message_seconds: Annotated[float, Field(gt=0, le=10)] = Field(
        default=2, description="Seconds that it may take; then the agent says its own."
    )
    ultravox_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret of the webhook by which Ultravox tells /ultravox/events of calls, or "
        "several between commas, for a change. Unset: nothing is taken there.",
    )

    # Logging
    log_level: Level = Field(
        default=LogLevel.INFO,
        description="debug, info, warning, error or critical, or a syslog name.",
    )
    log_format: Literal["text", "json"] = Field(default="text", description="text or json.")

    # Twilio
    twilio_account_sid: str | None = Field(
        default=None, description="Account SID (AC and 32 hex digits).", examples=["AC" + "0" * 32]
    )
    twilio_auth_token: SecretStr | None = Field(
        default=None,
        description="Auth token; every webhook's signature is checked with it. Unset: a random "
        "one is made and kept in DATA_DIR, for the built-in phone.",
    )
    twilio_phone_number: PhoneNumber | None = Field(
        default=None,
        description="Number that outbound calls come from (E.164).",
        examples=["+15551234567"],
    )
    twilio_region: str | None = Field(
        default=None,
        description="Processing region: us1, ie1 or au1; any other needs TWILIO_EDGE.",
        examples=["ie1"],
    )
    twilio_edge: str | None = Field(default=None, description="Edge location.", examples=["dublin"])
    twilio_base_url: HttpUrl | None = Field(
        default=None, description="Another server that speaks its API."
    )
    carrier_fetch: bool = Field(
        default=False,
        description="Fetch the carrier's own recordings into DATA_DIR once they are complete.",
    )

    # Calls that are placed
    dial_region: Region | None = Field(
        default=None,
        description="Country (two letters) of numbers that are written without +. Unset: they are "
        "refused.",
        examples=["DE"],
    )
    dial_allow: Prefixes = Field(
        default=(),
        description="Beginnings of the only numbers that may be called, between commas. Unset: "
        "all but emergency, premium-rate, shared-cost and satellite numbers, which never are.",
        examples=["+49, +43"],
    )
    dial_deny: Prefixes = Field(
        default=(),
        description="Beginnings of numbers that are never called; the longer of two decides.",
        examples=["+4932"],
    )
    dial_ring_seconds: Annotated[int, Field(ge=5, le=600)] = Field(
        default=30, description="Seconds that a phone rings before a call is given up."
    )
    dial_calls_per_second: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1,
        description="Calls that are placed in a second, as the Twilio account allows: beyond that "
        "Twilio queues them.",
    )
    dial_doubt_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=45,
        description="Seconds after which a call that Twilio has not confirmed, and does not list, "
        "counts as never placed.",
    )
    campaign_reserve: Annotated[int, Field(ge=0, le=99)] = Field(
        default=10,
        description="Percentage of MAX_CALLS that campaigns leave free for callers; they may "
        "always have one call.",
    )
    call_me_token: SecretStr | None = Field(
        default=None,
        description="Token of the page /twilio/call-me. Unset: an API token with the scope calls "
        "opens it.",
    )

    # Speech and language providers: what a call process sees
    deepgram_api_key: SecretStr | None = Field(default=None, description="Key of Deepgram.")
    deepgram_base_url: HttpUrl | None = Field(
        default=None, description="Another server of its API."
    )
    openai_api_key: SecretStr | None = Field(default=None, description="Key of OpenAI.")
    openai_base_url: HttpUrl | None = Field(
        default=None,
        description="Another server of its API, with the version in its path.",
        examples=["http://127.0.0.1:11434/v1"],
    )
    cartesia_api_key: SecretStr | None = Field(default=None, description="Key of Cartesia.")
    cartesia_base_url: HttpUrl | None = Field(
        default=None, description="Another server of its API."
    )
    elevenlabs_api_key: SecretStr | None = Field(default=None, description="Key of ElevenLabs.")
    elevenlabs_agent_id: str | None = Field(default=None, description="Agent of ElevenLabs Agents.")
    elevenlabs_base_url: HttpUrl | None = Field(
        default=None, description="Another server of its API."
    )
    ultravox_api_key: SecretStr | None = Field(default=None, description="Key of Ultravox.")
    ultravox_base_url: HttpUrl | None = Field(
        default=None, description="Another server of its API."
    )
    vllm_api_key: SecretStr | None = Field(
        default=None, description="Key of a vLLM server of your own, if it wants one."
    )
    vllm_base_url: HttpUrl | None = Field(
        default=None,
        description="That server, with the version in its path.",
        examples=["http://127.0.0.1:8001/v1"],
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> "Settings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("set both TLS_CERT_FILE and TLS_KEY_FILE, or neither")
        return self

    def found_at(
        self, sources: Mapping[str, Source], agent_variables: Mapping[str, str] | None = None
    ) -> Self:
        """Return self, now knowing the values' sources and the env file's ``AGENT_`` variables."""
        self._sources = dict(sources)
        self._agent_variables = dict(agent_variables or {})
        return self

    @property
    def agent_variables(self) -> Mapping[str, str]:
        """The env file's variables that are the operator's own, for agent code."""
        return self._agent_variables

    def source(self, field: str) -> Source:
        """Tell where the value of ``field`` was found."""
        return self._sources.get(field, Source(Place.DEFAULT))

    def shown(self, field: str) -> str:
        """Return the value of ``field`` for human eyes: secrets masked, nothing for not set."""
        return shown(field, getattr(self, field))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the looking to ``load_settings``, which must remember where a value was found."""
        return (init_settings,)


def variable(field: str) -> str:
    """Return the name of a field's environment variable."""
    return field.upper()


def is_secret(field: str) -> bool:
    """Tell whether the value of ``field`` may be shown to nobody."""
    return "SecretStr" in str(Settings.model_fields[field].annotation)


def shown(field: str, value: object) -> str:
    """Return a value, checked or not, for human eyes: a secret is masked.

    Of a long secret the last four characters are left, to tell two apart; of a database's address
    all but the password.
    """
    if value is None:
        return ""
    if is_secret(field):
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return without_password(text) if field == "database_url" else _masked(text)
    if isinstance(value, dict):
        return ", ".join(f"{name}={number}" for name, number in value.items())
    if isinstance(value, tuple):
        return ", ".join(without_password(str(item)) for item in value)
    if isinstance(value, float):
        return f"{value:.15g}"
    # As it was written, perhaps a list that was refused.
    return ", ".join(without_password(part) for part in re.split(r",\s*(?=\w+://)", str(value)))


def _masked(secret: str) -> str:
    return "****" + (secret[-4:] if len(secret) >= 16 else "")
