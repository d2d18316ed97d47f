"""The commands' way to a running gateway: its API over the control socket."""

import json
from pathlib import Path
from typing import Any

import httpx2

from gateway.operator_socket import socket_path

LATE = "whether it was done, its log tells"


class GatewayError(Exception):
    """The gateway said no, or is not there. ``report`` is a traceback when it has one."""

    def __init__(self, sentence: str, report: str = "") -> None:
        self.sentence, self.report = sentence, report
        super().__init__(sentence, report)

    def __str__(self) -> str:
        report = self.report.rstrip()
        if report.endswith(self.sentence):
            return report
        return f"{report}\n{self.sentence}".lstrip()


def download(data_dir: Path, path: str, file: Path, seconds: float = 300.0) -> None:
    """Write what the gateway gives for ``path`` to ``file``. Raises `GatewayError`, ``OSError``."""
    address = socket_path(data_dir)
    try:
        with (
            httpx2.Client(transport=httpx2.HTTPTransport(uds=str(address))) as client,
            client.stream("GET", f"http://callfarm{path}", timeout=seconds) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise GatewayError(_detail(answer))
            with file.open("wb") as out:
                for piece in answer.iter_bytes():
                    out.write(piece)
    except httpx2.TransportError as error:
        raise _unanswered(data_dir, error, seconds) from error


def ask(
    data_dir: Path, method: str, path: str, body: object = None, seconds: float = 300.0
) -> dict[str, Any]:
    """Send one request and return its answer. Raises `GatewayError`."""
    address = socket_path(data_dir)
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(address))) as client:
            answer = client.request(
                method, f"http://callfarm{path}", json=body, timeout=httpx2.Timeout(seconds)
            )
    except (httpx2.TransportError, OSError) as error:
        raise _unanswered(data_dir, error, seconds) from error
    try:
        found = answer.json()
    except json.JSONDecodeError:
        found = {"detail": answer.text}
    if not isinstance(found, dict):
        raise GatewayError(f"the gateway answered {answer.status_code} with something else")
    if answer.is_error:
        detail = str(found.get("detail", f"the gateway answered {answer.status_code}"))
        raise GatewayError(detail, str(found.get("report", "")))
    return found


def _unanswered(data_dir: Path, error: Exception, seconds: float) -> GatewayError:
    match error:
        case httpx2.ReadTimeout():
            return GatewayError(f"the gateway has not answered within {seconds:g} s; {LATE}")
        case httpx2.RemoteProtocolError() | httpx2.ReadError():
            return GatewayError(f"the gateway went away before it answered ({error}); {LATE}")
    return GatewayError(
        f"no gateway runs on {data_dir} ({error}): start one with callfarm serve, "
        "or name its data folder with DATA_DIR or --data-dir"
    )


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"
