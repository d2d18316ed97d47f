"""Recordings over the API: a call's audio, whole or in part, live or past; taking it away.

Our own recording is given out while it grows: what there is so far. The carrier's is there once it
was fetched (``CARRIER_FETCH``).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum

import msgspec
from sqlalchemy import select, update
from starlette.responses import Response, StreamingResponse

from gateway.api.call_finding import CallFinder
from gateway.api.caller import Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery, Shape
from gateway.api.problems import ProblemError
from gateway.calls.registry import Calls
from gateway.recording.clip import (
    MOST_PCM_FRAMES,
    Clip,
    Format,
    PlainClip,
    UnsatisfiableError,
    span,
)
from gateway.recording.studio import Studio
from gateway.store.call_rows import RecordingRow
from gateway.store.gateways import GONE_SECONDS, host_of, others
from gateway.store.store import Store
from gateway.store.tables import carrier_lines, recordings
from shared.ulaw_wav import FRAME_BYTES, HEAD_BYTES

PATH = "/api/calls/{sid}/recording"

_PIECE = 64 << 10
_WAIT = "wait for its end, or hang up"
_BEING_MADE = ("in-progress", "paused")
_EXPECTED = (*_BEING_MADE, "stopped", "processing", "completed", "unknown")
"""Statuses of a carrier's recording that there is, or may be."""


class Whose(StrEnum):
    """Which recording."""

    OWN = "own"
    CARRIER = "carrier"


class RecordingQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``kind``: ours, if there is one, else the carrier's. ``format`` is what ours comes in."""

    kind: Whose | None = None
    format: Format = Format.ULAW


class CarrierLineShown(msgspec.Struct):
    """Something that the carrier's transcription has heard; ``track`` inbound is the caller's."""

    track: str
    text: str
    confidence: float | None
    at: float


class CarrierTranscript(msgspec.Struct):
    """What the carrier's own transcription has heard of a call."""

    sid: str
    lines: list[CarrierLineShown]


class RecordingSection:
    """The endpoints of recordings."""

    tag = "calls"

    def __init__(self, studio: Studio, calls: Calls, store: Store) -> None:
        self._studio, self._calls, self._store = studio, calls, store
        self._finder = CallFinder(calls, store)

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="GET",
                path=PATH,
                scope=Scope.READ,
                handler=self._play,
                summary="A call's recording, what there is so far: caller left, agent right.",
                query=RecordingQuery,
                shape=Shape.WAV,
                refusals=(404, 416),
            ),
            Endpoint(
                method="DELETE",
                path=PATH,
                scope=Scope.ADMIN,
                handler=self._delete,
                summary="Take our recordings of a call away, and our copies of the carrier's.",
                status=204,
                shape=Shape.NOTHING,
                refusals=(404, 409),
            ),
            Endpoint(
                method="GET",
                path="/api/calls/{sid}/carrier-transcript",
                scope=Scope.READ,
                handler=self._transcript,
                summary="What the carrier's own transcription has heard, if the agent wanted it.",
                answer=CarrierTranscript,
                refusals=(404,),
            ),
        ]

    async def _play(self, asked: Asked[RecordingQuery, None]) -> Response:
        sid = await self._finder.sid(asked.path["sid"], asked.who)
        row = await self._row(sid, asked.query.kind)
        clip = await asyncio.to_thread(self._clip, row, asked.query.format)
        if clip is None:
            raise ProblemError(404, await self._where(row))
        growing = self._studio.is_recorded(sid) and row.kind == Whose.OWN
        tag = f'"{row.id}-{clip.size}-{asked.query.format}"'
        return _sent(clip, asked.request.headers, None if growing else tag, row.id)

    async def _row(self, sid: str, kind: Whose | None) -> RecordingRow:
        rows = [it for it in await self._recordings(sid) if it.path]
        for wanted in (kind,) if kind is not None else tuple(Whose):
            found = [it for it in rows if it.kind == wanted]
            if found:
                return found[-1]
        raise ProblemError(404, "There is no recording of this call here.")

    async def _recordings(self, sid: str) -> tuple[RecordingRow, ...]:
        await self._finder.settle()
        assert self._finder.book is not None
        return await self._finder.book.recordings(sid)

    async def _where(self, row: RecordingRow) -> str:
        """Say what is known of a file that is not here."""
        if row.gateway in (None, self._store.gateway):
            return "The recording's file is gone."
        host = await host_of(self._store, row.gateway or "")
        which = f"the gateway on {host}" if host else "another gateway"
        return f"The recording's file lies at {which}, which shares this database: ask it there."

    def _clip(self, row: RecordingRow, form: Format) -> Clip | PlainClip | None:
        path = self._studio.path(row.path or "")
        try:
            size = path.stat().st_size
        except OSError:
            return None
        if row.kind != Whose.OWN:
            return PlainClip(path, size)
        frames = max(0, size - HEAD_BYTES) // FRAME_BYTES
        return Clip(path, min(frames, MOST_PCM_FRAMES), form)

    async def _delete(self, asked: Asked[NoQuery, None]) -> None:
        sid = await self._finder.sid(asked.path["sid"], asked.who)
        if self._studio.is_recorded(sid):
            raise ProblemError(409, f"The call is being recorded: {_WAIT}.")
        rows = [it for it in await self._recordings(sid) if it.path or _may_come(it)]
        there = await others(self._store, time.time() - GONE_SECONDS)
        own = [it for it in rows if it.kind == Whose.OWN and it.gateway in there]
        if any(it.status in _BEING_MADE for it in own):
            raise ProblemError(409, f"Another gateway records the call: {_WAIT}.")
        if not any(it.path or it.status in _EXPECTED for it in rows):
            raise ProblemError(404, "There is no recording of this call here.")
        going_on = any(it.status in _BEING_MADE and it.kind == Whose.CARRIER for it in rows)
        if going_on and self._calls.get(sid) is not None:
            raise ProblemError(409, f"The carrier records the call: {_WAIT}.")
        # First of all, and durably: what is told or fetched from now on changes nothing any more.
        await self._settle(rows, status="deleted", url=None)
        for row in rows:
            try:
                if row.path:
                    await self._studio.remove(row.path)
            except OSError as error:
                raise ProblemError(500, f"The file stays: {error.strerror}.") from error
        await self._settle(rows, path=None, size=None)

    async def _settle(self, rows: Sequence[RecordingRow], **values: str | None) -> None:
        ids = [row.id for row in rows]
        await self._store.commit(update(recordings).where(recordings.c.id.in_(ids)).values(values))

    async def _transcript(self, asked: Asked[NoQuery, None]) -> CarrierTranscript:
        sid = await self._finder.sid(asked.path["sid"], asked.who)
        c = carrier_lines.c
        wanted = select(c.track, c.text, c.confidence, c.at).where(c.call_sid == sid)
        rows = await self._store.rows(wanted.order_by(c.at, c.id))
        return CarrierTranscript(sid, [CarrierLineShown(**row) for row in rows])


def _may_come(it: RecordingRow) -> bool:
    """Whether the carrier may still tell of a recording, or have it fetched."""
    return it.kind == Whose.CARRIER and it.status != "deleted"


def _sent(
    clip: Clip | PlainClip, headers: Mapping[str, str], tag: str | None, name: str
) -> Response:
    """Return the clip, or the part of it that is asked for."""
    own = {"Accept-Ranges": "bytes", "Content-Disposition": f'inline; filename="{name}.wav"'}
    if tag is not None:
        own["ETag"] = tag
    asked = headers.get("range", "")
    if headers.get("if-range") not in (None, tag):
        asked = ""
    try:
        part = span(asked, clip.size) if asked else None
    except UnsatisfiableError:
        refused = {"Content-Range": f"bytes */{clip.size}", **own}
        return Response("Nothing lies there.", 416, refused, media_type="text/plain")
    start, end = (part.start, part.end) if part is not None else (0, clip.size)
    own["Content-Length"] = str(end - start)
    if part is not None:
        own["Content-Range"] = f"bytes {start}-{end - 1}/{clip.size}"
    status = 200 if part is None else 206
    return StreamingResponse(_pieces(clip, start, end), status, own, media_type="audio/wav")


async def _pieces(clip: Clip | PlainClip, start: int, end: int) -> AsyncIterator[bytes]:
    for place in range(start, end, _PIECE):
        yield await asyncio.to_thread(clip.part, place, min(place + _PIECE, end))
