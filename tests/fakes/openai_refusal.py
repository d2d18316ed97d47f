"""A refusal as OpenAI writes it: an HTTP status and an ``error`` object."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web


class Refusal(Exception):  # noqa: N818 - as in `twilio_account`
    """A request is refused. ``param`` names the field that is wrong."""

    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str = "refused",
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.code, self.message = status, code, message
        self.param, self.headers = param, dict(headers or {})
        super().__init__(status, code, message)

    def error(self) -> dict[str, Any]:
        """Return the ``error`` object."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.code == "insufficient_quota":
            kind = "insufficient_quota"
        return {"message": self.message, "type": kind, "param": self.param, "code": self.code}

    def response(self) -> web.Response:
        """Return the whole answer."""
        body = {"error": self.error()}
        return web.json_response(body, status=self.status, headers=self.headers)


def unknown_field(body: Mapping[str, Any], known: frozenset[str], prefix: str = "") -> None:
    """Refuse the first field that is not known."""
    for name in body:
        if name not in known:
            path = f"{prefix}{name}"
            raise Refusal(400, "unknown_parameter", f"Unknown parameter: '{path}'.", param=path)


def text(body: Mapping[str, Any], name: str, most: int = 1 << 20) -> str:
    """Return a required text that is not empty."""
    value = body.get(name)
    if value is None:
        raise Refusal(400, None, f"you must provide a {name} parameter", param=name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, "invalid_type", f"Invalid type for '{name}'.", param=name)
    if len(value) > most:
        message = f"Invalid '{name}': string too long. Expected at most {most} characters."
        raise Refusal(400, "string_above_max_length", message, param=name)
    return value


def number(body: Mapping[str, Any], name: str, least: float, most: float) -> None:
    """Refuse an optional number out of its range."""
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(400, "invalid_type", f"Invalid type for '{name}'.", param=name)
    if not least <= value <= most:
        message = f"Invalid '{name}': {value} is out of {least} to {most}."
        raise Refusal(400, "decimal_out_of_range", message, param=name)


def known_model(name: str, models: set[str]) -> None:
    """Refuse a model that the account has not."""
    if name not in models:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Refusal(404, "model_not_found", message, param="model")
