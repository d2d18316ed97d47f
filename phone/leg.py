"""The caller's leg of one call: does what the documents say, until someone ends it.

The course (`phone.document`) decides, the leg acts: it fetches, performs verbs, runs streams, sends
status callbacks and notes everything in the journal. A hang-up is possible at any moment; a
webhook that is under way then is still answered to nobody, as with Twilio. All tasks of the call
live in the leg's own task group.
"""

import asyncio
from typing import Any

from phone.document import Command, Course, DialResult, End, Fetch
from phone.documents import Documents
from phone.events import (
    Ended,
    Ending,
    Noticed,
    StreamEnded,
    StreamEnding,
    VerbBegun,
)
from phone.meeting import Meeting
from phone.messages import Writer
from phone.performer import Timed
from phone.plant import Plant
from phone.problem import Problem
from phone.rooms import RoomFullError
from phone.session import MediaSession
from phone.settings import HangUpStep
from phone.stream import MediaStream, Phase, StreamOutcome
from phone.stream_url import StreamRefusedError, resolve
from phone.twiml import Document
from phone.verbs import Conference, Connect, Dial, Gather, Pause, Play, Say, Stream


class Leg:
    """Runs one call."""

    def __init__(self, plant: Plant, course: Course) -> None:
        self._plant, self._course = plant, course
        self._journal, self._settings = plant.journal, plant.settings
        self._documents = Documents(plant)
        self._interrupt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """What is going on is broken off: by a hang-up, or by other instructions."""
        self._ending: Ending | None = None
        self._instructions: Document | str = ""
        self._tasks = asyncio.TaskGroup()
        self._stream: MediaStream | None = None
        self._answered_ms: float | None = None
        self._final_callback_done = False
        self.over = asyncio.Event()
        """Set when the call has ended, though callbacks may still be under way."""

    def hang_up(self, how: Ending = Ending.CALLER) -> None:
        """End the call from the caller's side; harmless when it has ended."""
        self._ending = self._ending or how
        if not self._interrupt.done():
            self._interrupt.set_result(None)

    def redirect(self, instructions: Document | str) -> None:
        """Go on with a document, or with that of a URL; nothing when the call is over."""
        self._instructions = instructions
        if not self._interrupt.done():
            self._interrupt.set_result(None)

    def drop(self) -> bool:
        """Lose the media socket's network; return whether there was one to lose."""
        if self._stream is None or self._stream.phase is not Phase.OPEN:
            return False
        self._stream.drop()
        return True

    async def run(self) -> None:
        """Live through the call and everything that follows from it."""
        clock = self._plant.clock
        limit = clock.call_at(
            clock.now() + self._settings.time_limit_s, lambda: self.hang_up(Ending.TIME_LIMIT)
        )
        try:
            async with self._tasks:
                for event in ("initiated", "ringing"):
                    self._tasks.create_task(self._plant.callbacks.progress(event, event))
                command = self._course.start()
                while not isinstance(command, End):
                    self._note_answer()
                    command = await self._carry_out(command)
                    self._note_problems(self._course.problems)
                    self._course.problems.clear()
                self._note_answer()
                self._finish(command)
        finally:
            limit.cancel()
            if self._journal.ended is None:
                # Cancelled, or broken by an error that is on its way up: nobody may wait for more.
                now = self._journal.now_ms()
                self._journal.note(Ended(at_ms=now, status="failed", how=Ending.CUT_OFF))
            self.over.set()

    def _note_answer(self) -> None:
        if self._course.answered and self._answered_ms is None:
            self._answered_ms = self._journal.now_ms()
            self._tasks.create_task(self._plant.callbacks.progress("answered", "in-progress"))

    def _note_problems(self, problems: list[Problem]) -> None:
        for problem in problems:
            self._journal.note(Noticed(at_ms=self._journal.now_ms(), problem=problem))

    async def _carry_out(self, command: Command) -> Command:
        match command:
            case Fetch():
                return await self._fetch(command)
            case Connect():
                return await self._connect(command)
            case Dial(conference=Conference() as conference):
                return await self._confer(conference)
            case Say() | Play() | Pause() | Dial() | Gather():
                return await self._perform(command)
        raise AssertionError(f"the course never hands out {command}")

    async def _broken_off(self, task: asyncio.Task[Any]) -> bool:
        await asyncio.wait({task, self._interrupt}, return_when=asyncio.FIRST_COMPLETED)
        return self._interrupt.done()

    def _interrupted(self) -> Command:
        """Return what follows what was broken off."""
        if self._ending is not None:
            return self._course.hung_up(self._ending)
        self._interrupt = asyncio.get_running_loop().create_future()
        given = self._instructions
        if isinstance(given, str):
            self._begin("REST", given)
            return self._course.sent_to(given)
        self._begin("REST", "instructions")
        self._note_problems(list(given.problems))
        return self._course.redirected(given)

    async def _fetch(self, fetch: Fetch) -> Command:
        if fetch.verb:
            self._begin(fetch.verb, fetch.url)
        status = "in-progress" if self._course.answered else "ringing"
        task = self._tasks.create_task(self._documents.get(fetch, status))
        if await self._broken_off(task):
            return self._interrupted()
        outcome = task.result()
        if isinstance(outcome, Problem):
            return self._course.failed(outcome)
        return self._course.fetched(outcome)

    def _begin(self, verb: str, detail: str) -> None:
        self._journal.note(VerbBegun(at_ms=self._journal.now_ms(), verb=verb, detail=detail))

    async def _perform(self, verb: Timed) -> Command:
        task = self._tasks.create_task(self._plant.performer.perform(verb, self._course.url))
        if await self._broken_off(task):
            task.cancel()
            return self._interrupted()
        return self._course.done(task.result())

    async def _confer(self, conference: Conference) -> Command:
        self._begin("Conference", conference.name)
        try:
            meeting = Meeting(self._plant, self._documents, conference, self._tasks)
        except RoomFullError as error:
            self._note_problems([Problem(16020, str(error))])
            return self._course.done(DialResult({"DialCallStatus": "failed"}))
        task = self._tasks.create_task(meeting.sit(self._course.url))
        broken_off = await self._broken_off(task)
        task.cancel()
        meeting.leave()
        if broken_off:
            return self._interrupted()
        return self._course.done(DialResult({"DialCallStatus": "answered"}))

    async def _connect(self, connect: Connect) -> Command:
        noun, settings = connect.stream, self._settings
        self._begin("Connect", noun.url)
        try:
            url = resolve(noun, self._course.url, allow_plain=settings.allow_plain)
        except StreamRefusedError as refused:
            self._stream_over(noun, None, StreamOutcome(StreamEnding.FAILED, None, refused.problem))
            return self._course.done()
        stream = self._stream = self._new_stream(noun, url)
        context = self._plant.context if url.startswith("wss:") else None
        task = self._tasks.create_task(
            stream.run(self._plant.signer, context, settings.handshake_limit_s)
        )
        broken_off = await self._broken_off(task)
        if task.done():
            self._stream_over(noun, stream, task.result())
            return self._interrupted() if broken_off else self._course.done()
        if self._ending is None:
            return await self._cut(noun, stream, task)
        return await self._leave(noun, stream, task, self._ending)

    async def _cut(
        self, noun: Stream, stream: MediaStream, task: asyncio.Task[StreamOutcome]
    ) -> Command:
        """Other instructions end a stream: the call goes on."""
        if stream.phase is Phase.OPENING:
            task.cancel()
            return self._interrupted()
        stream.stop()
        await stream.close(StreamEnding.REDIRECTED)
        self._note_stream_end(stream.sid, stream, await task)
        self._tasks.create_task(self._plant.callbacks.stream(noun, stream.sid, "stream-stopped"))
        return self._interrupted()

    def _new_stream(self, noun: Stream, url: str) -> MediaStream:
        plant, identity = self._plant, self._plant.identity

        def started() -> None:
            callback = plant.callbacks.stream(noun, stream.sid, "stream-started")
            self._tasks.create_task(callback)

        sid = MediaStream.new_sid()
        writer = Writer(identity.account_sid, identity.call_sid, sid)
        session = MediaSession(sid, writer, plant.handset, plant.journal, plant.settings)
        stream = MediaStream(session, plant.ticker, noun, url, sid=sid, on_start=started)
        return stream

    def _stream_over(
        self, noun: Stream, stream: MediaStream | None, outcome: StreamOutcome
    ) -> None:
        """Note the end of a stream that the caller did not end, and tell its callback."""
        sid = stream.sid if stream else MediaStream.new_sid()
        self._note_stream_end(sid, stream, outcome)
        event, error = "stream-stopped", ""
        if outcome.problem is not None:
            self._note_problems([outcome.problem])
            event, error = "stream-error", str(outcome.problem)
        self._tasks.create_task(self._plant.callbacks.stream(noun, sid, event, error))

    def _note_stream_end(
        self, sid: str, stream: MediaStream | None, outcome: StreamOutcome
    ) -> None:
        self._journal.note(
            StreamEnded(
                at_ms=self._journal.now_ms(),
                stream_sid=sid,
                how=outcome.how,
                code=outcome.code,
                unplayed_ms=stream.unplayed_ms if stream else 0,
            )
        )

    async def _leave(
        self,
        noun: Stream,
        stream: MediaStream,
        task: asyncio.Task[StreamOutcome],
        how: Ending,
    ) -> End:
        """The caller hangs up during a stream: the steps in the order of the settings."""
        end = self._course.hung_up(how)
        if stream.phase is Phase.OPENING:
            task.cancel()
            return end
        self._final_callback_done = True
        for step in self._settings.hang_up_order:
            match step:
                case HangUpStep.STOP:
                    stream.stop()
                case HangUpStep.CLOSE:
                    await stream.close()
                case HangUpStep.STREAM_CALLBACK:
                    await self._plant.callbacks.stream(noun, stream.sid, "stream-stopped")
                case HangUpStep.CALL_CALLBACK:
                    await self._final_callback(end)
        if HangUpStep.CLOSE not in self._settings.hang_up_order:
            stream.drop()
        self._note_stream_end(stream.sid, stream, await task)
        return end

    async def _final_callback(self, end: End) -> None:
        since = self._answered_ms
        seconds = 0 if since is None else (self._journal.now_ms() - since) / 1000
        await self._plant.callbacks.progress("completed", end.status, seconds)

    def _finish(self, end: End) -> None:
        if not self._final_callback_done:
            self._tasks.create_task(self._final_callback(end))
        self._journal.note(Ended(at_ms=self._journal.now_ms(), status=end.status, how=end.how))
        self.over.set()
