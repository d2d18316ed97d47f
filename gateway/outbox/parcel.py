"""A body on its way to an address, with the headers that it goes with."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.outbox.deliveries import Delivery
from gateway.outbox.event import Shape
from gateway.outbox.signature import (
    SIGNATURE_HEADER,
    VOXFLOW_HEADER,
    signature,
    voxflow_signature,
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is brought where. ``trusted``: the operator's address; else a company's."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    trusted: bool


def parcel_of(it: Delivery, keys: Sequence[str]) -> Parcel:
    """Return a delivery as it is sent now, signed with all of ``keys``."""
    headers = {
        "Idempotency-Key": it.id,
        "X-Callfarm-Event": it.event,
        "X-Callfarm-Try": str(it.tries + 1),
        **signed(it.body, keys, voxflow=it.shape is Shape.VOXFLOW),
    }
    return Parcel(it.url, it.body, headers, trusted=it.owner is None)


def signed(body: bytes, keys: Sequence[str], *, voxflow: bool) -> dict[str, str]:
    """Return the headers that sign a body now; ``voxflow``: as VoxFlow did, as well."""
    if not keys:
        return {}
    headers = {SIGNATURE_HEADER: signature(body, keys, int(time.time()))}
    if voxflow:
        headers[VOXFLOW_HEADER] = voxflow_signature(body, keys[0])
    return headers
