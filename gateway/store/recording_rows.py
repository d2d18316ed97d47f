"""Recordings as changes of the database's rows. It refuses to know how they come about."""

from gateway.calls.record import KeptRecording
from gateway.store.change import Upsert
from shared.audio import SAMPLE_RATE
from shared.ulaw_wav import FRAME_BYTES, HEAD_BYTES


def own_recording(
    sid: str, it: KeptRecording, created: float, gateway: str | None = None
) -> Upsert:
    """Return the row of our own recording of a call; its id is the call's.

    ``gateway`` is where its file is, if that is to be noted.
    """
    is_there = it.path is not None
    return Upsert(
        "recordings",
        {
            "id": sid,
            "call_sid": sid,
            "kind": "own",
            "status": it.status,
            "path": it.path,
            "seconds": it.frames / SAMPLE_RATE,
            "size": HEAD_BYTES + it.frames * FRAME_BYTES if is_there else 0,
            "created": created,
            **({} if gateway is None else {"gateway": gateway}),
        },
    )
