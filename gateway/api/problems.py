"""Errors over HTTP: problem documents (RFC 9457), with a sentence that helps."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

PROBLEM_TYPE = "application/problem+json"


class ProblemShown(msgspec.Struct, rename={"kind": "type"}, omit_defaults=True, kw_only=True):
    """A problem document. ``detail`` is for people; further members depend on the problem."""

    status: int
    title: str
    detail: str
    kind: str = "about:blank"


class ProblemError(Exception):
    """What a handler raises to be answered with a problem. ``more`` are further members."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.more = status, detail, more

    def __str__(self) -> str:
        return self.detail


def problem(status: int, detail: str, **more: Any) -> Response:
    """Return a problem document (RFC 9457)."""
    return JSONResponse(
        {"status": status, "title": HTTPStatus(status).phrase, "detail": detail, **more},
        status,
        media_type=PROBLEM_TYPE,
    )


def sentence(error: object) -> str:
    """Return what an error says as a whole sentence."""
    text = str(error)
    return text[:1].upper() + text[1:].rstrip(".") + "."
