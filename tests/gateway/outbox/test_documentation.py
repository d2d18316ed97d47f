"""What the documentation tells receivers to do is right."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.outbox.schedule import DELAYS
from gateway.outbox.signature import signature

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def _verifier() -> Callable[[str, bytes, str], bool]:
    (code,) = re.findall(r"```python\n(import hashlib.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[[str, bytes, str], bool] = names["is_genuine"]
    return found


def test_the_five_lines_know_a_genuine_body() -> None:
    is_genuine = _verifier()
    header = signature(b'{"a":1}', ["new", "old"], int(time.time()))
    assert is_genuine(header, b'{"a":1}', "new")
    assert is_genuine(header, b'{"a":1}', "old")
    assert not is_genuine(header, b'{"a":2}', "new")
    assert not is_genuine(header, b'{"a":1}', "other")
    stale = signature(b'{"a":1}', ["new"], int(time.time()) - 1000)
    assert not is_genuine(stale, b'{"a":1}', "new")


def test_the_schedule_is_the_one_that_is_kept() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    (sentence,) = re.findall(r"tried for a day: (.*?), with jitter", PAGE)
    told = [float(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", sentence)]
    assert tuple(told) == DELAYS
