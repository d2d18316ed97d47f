"""One row of the API's table: what may be asked, by whom, with what, and what comes of it.

Routes and the OpenAPI description are both made from these rows, so that they cannot disagree.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.caller import Caller, Scope
from gateway.api.problems import problem

Query = TypeVar("Query")
Body = TypeVar("Body")

MOST_BODY = 64 * 1024
"""Bytes of an ordinary request's body."""


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[Query, Body]):
    """A request that was checked: ``path`` holds the path's variables."""

    who: Caller
    path: Mapping[str, str]
    query: Query
    body: Body
    request: Request


Handler = Callable[[Asked[Any, Any]], Awaitable[object]]
"""Returns what is encoded as JSON, or a response of its own. Raises `ProblemError`."""

Refuse = Callable[[int, str], Response]
"""Makes the answer of an error: status, sentence."""


class Shape(Enum):
    """What the body of an answer is."""

    JSON = "application/json"
    NOTHING = ""
    CSV = "text/csv"
    WAV = "audio/wav"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What ``method`` of ``path`` does.

    ``scope`` is ``None`` where no token is needed. ``body`` and ``answer`` are types that msgspec
    knows; a body may be left out if its type can be made of nothing and ``body_optional``.
    ``refusals`` are statuses beside those that every route has. ``others`` are further successful
    statuses with the types of their bodies. ``refuse`` says errors in the words of the system that
    a route replaces; ``refused_as`` is their type.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler
    summary: str
    query: type[Any] = NoQuery
    body: Any = None
    body_optional: bool = False
    most_body: int = MOST_BODY
    answer: Any = None
    status: int = 200
    others: Mapping[int, Any] = field(default_factory=dict)
    shape: Shape = Shape.JSON
    refusals: tuple[int, ...] = ()
    refuse: Refuse = problem
    refused_as: Any = None
    keyed: bool = False
    """Whether the header Idempotency-Key makes a request that is sent again the same one."""
    whole_farm: bool = False
    """Whether it is about more than one company's own, so that a company's token is refused."""


class Section(Protocol):
    """Endpoints that belong together."""

    tag: str

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
