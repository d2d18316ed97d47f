"""Leads as they are given: which numbers may be called, and why the others not.

Numbers are read some at a time: the event loop that does it carries live audio.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import msgspec

from gateway.campaigns.views import RefusedLead
from gateway.dialer.numbers import NumberRefusedError, NumberRules, callable_number
from gateway.dialer.order import MOST_VARIABLE_LETTERS, MOST_VARIABLES

SLICE_SECONDS = 0.001
"""How long numbers are read at a stretch."""


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who might be called; ``phone`` as people write it."""

    phone: str
    variables: dict[str, str] = {}


class Admitted(msgspec.Struct, frozen=True):
    """Somebody who may be. ``row`` is the candidate's place, ``phone`` E.164."""

    row: int
    phone: str
    variables: Mapping[str, str]

    def repeated(self, number: int) -> RefusedLead:
        """Return it as refused, because lead ``number`` has the same phone."""
        return RefusedLead(self.row, self.phone, f"lead {number + 1} has the same number")


async def admitted(
    candidates: Sequence[Candidate], rules: Sequence[NumberRules], *, repeats: bool
) -> tuple[list[Admitted], list[RefusedLead]]:
    """Return who may be called, and who may not.

    ``rules`` must all be pleased. Without ``repeats`` a number's second candidate is refused.
    """
    good, refused, seen = list[Admitted](), list[RefusedLead](), dict[str, int]()
    since = time.perf_counter()
    for row, it in enumerate(candidates):
        if time.perf_counter() - since > SLICE_SECONDS:
            await asyncio.sleep(0)
            since = time.perf_counter()
        try:
            phone = _phone(it, rules)
        except NumberRefusedError as error:
            refused.append(RefusedLead(row, it.phone[:40], str(error)))
            continue
        except ValueError as error:
            refused.append(RefusedLead(row, it.phone[:40], str(error)))
            continue
        if not repeats and phone in seen:
            refused.append(RefusedLead(row, phone, f"row {seen[phone] + 1} has the same number"))
            continue
        seen[phone] = row
        good.append(Admitted(row, phone, it.variables))
    return good, refused


def _phone(it: Candidate, rules: Sequence[NumberRules]) -> str:
    size = sum(len(name) + len(value) for name, value in it.variables.items())
    if len(it.variables) > MOST_VARIABLES or size > MOST_VARIABLE_LETTERS:
        raise ValueError(
            f"its variables are over {MOST_VARIABLES}, or over {MOST_VARIABLE_LETTERS} letters"
        )
    phone = callable_number(it.phone, rules[0])
    for others in rules[1:]:
        others.check(phone)
    return phone
