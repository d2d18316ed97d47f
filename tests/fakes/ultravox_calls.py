"""A call of the fake Ultravox' account: what it is made of, and what became of it."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.fakes.ultravox_body import check_stage, name_of
from tests.fakes.ultravox_checks import BadBodyError, seconds
from tests.fakes.ultravox_tools import Outcome


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(slots=True)
class FakeCall:
    """One call. ``body`` is what it was created with, and what a stage has made of it.

    ``received`` holds the data messages that came, ``refused`` what was wrong with them, ``audio``
    the caller's, ``warnings`` those about it. ``inherited`` messages are a prior call's.
    """

    body: dict[str, Any]
    join_token: str = field(default_factory=lambda: uuid.uuid4().hex)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    prior: str | None = None
    agent: str | None = None
    created: str = field(default_factory=_now)
    created_at: float = field(default_factory=time.monotonic)
    joined: str | None = None
    joined_at: float = 0.0
    ended: str | None = None
    end_reason: str | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    on_end: "Callable[[FakeCall], None] | None" = None

    def __post_init__(self) -> None:
        self.stages.append({"id": str(uuid.uuid4()), **self.body})
        self.messages += [dict(it) for it in self.body.get("initialMessages", ())]

    @property
    def medium_name(self) -> str:
        """``serverWebSocket``, ``twilio`` …"""
        return str(next(iter(self.body.get("medium", {"webRtc": {}}))))

    @property
    def medium(self) -> dict[str, Any]:
        """The settings of the medium."""
        found: dict[str, Any] = self.body.get("medium", {"webRtc": {}})[self.medium_name]
        return found

    @property
    def first_speaker(self) -> dict[str, Any]:
        """Who speaks first, and what."""
        found: dict[str, Any] = self.body.get("firstSpeakerSettings", {"agent": {}})
        return found

    @property
    def prompt(self) -> str:
        """The system prompt of the stage."""
        return str(self.body.get("systemPrompt", ""))

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The tools of the stage by the names that the model knows."""
        given = self.body.get("selectedTools", [])
        added = self.body.get("toolOverrides", {}).get("add", [])
        return {name_of(tool): tool for tool in (*given, *added)}

    @property
    def is_active(self) -> bool:
        """Whether it was joined and goes on."""
        return self.joined is not None and self.ended is None

    def lapse(self) -> None:
        """End it if nobody has joined in time."""
        limit = seconds(self.body.get("joinTimeout", "30s"))
        if self.joined is None and time.monotonic() - self.created_at > limit:
            self.end("unjoined")

    def end(self, reason: str) -> None:
        """End it, once."""
        if self.ended is None:
            self.ended, self.end_reason = _now(), reason
            if self.on_end is not None:
                self.on_end(self)

    def say(self, role: str, text: str, medium: str = "VOICE", **more: Any) -> None:
        """Something was said, or a tool called."""
        at = f"{time.monotonic() - self.joined_at:.3f}s"
        self.messages.append(
            {
                "role": f"MESSAGE_ROLE_{role}", "text": text, "medium": f"MESSAGE_MEDIUM_{medium}",
                "callStageId": self.stages[-1]["id"], "timespan": {"start": at, "end": at}, **more,
            }
        )  # fmt: skip

    def new_stage(self, outcome: Outcome) -> Outcome:
        """Move on to the stage in a tool's answer; return what the model reads of it."""
        try:
            stage = json.loads(outcome.text)
            check_stage(stage)
        except (ValueError, BadBodyError) as error:
            self.refused.append(f"stage: {error}")
            return Outcome("The stage is wrong.", error=str(error))
        text = stage.pop("toolResultText", "OK")
        self.body |= stage
        if "selectedTools" in stage:
            self.body.pop("toolOverrides", None)
        self.stages.append({"id": str(uuid.uuid4()), **self.body})
        return replace(outcome, text=text, response_type="tool-response")

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the data messages of a type that came."""
        return [it for it in self.received if it.get("type") == kind]

    def shown(self, join_url: str) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "callId": self.id, "joinUrl": join_url, "created": self.created,
            "joined": self.joined, "ended": self.ended, "endReason": self.end_reason,
            "agentId": self.agent, "shortSummary": None, "summary": None,
            "billedDuration": None, "billingStatus": "BILLING_STATUS_PENDING",
            "errorCount": len(self.refused), **_public(self.body),
        }  # fmt: skip


def _public(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in body.items() if name not in ("callbacks", "selectedTools")
    }
