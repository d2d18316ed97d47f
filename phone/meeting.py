"""A leg in a conference: music until it begins, then silence until it is over.

Source: Twilio, "TwiML Voice: <Conference>" (waitUrl: a document of Say, Play, Pause and Redirect).
"""

import asyncio
from urllib.parse import urljoin

from phone.document import Fetch
from phone.documents import Documents
from phone.events import Met, Parted
from phone.plant import Plant
from phone.problem import Problem
from phone.rooms import News
from phone.verbs import Conference, Pause, Play, Redirect, Say


class Meeting:
    """One leg's time in a room, from when it is made to `leave`. Raises `RoomFullError`.

    Callbacks run in ``tasks``.
    """

    def __init__(
        self,
        plant: Plant,
        documents: Documents,
        conference: Conference,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._plant, self._documents, self._conference = plant, documents, conference
        self._tasks = tasks
        identity = plant.identity
        self._seat, news = plant.settings.rooms.enter(
            identity.account_sid, identity.call_sid, conference
        )
        self._tell(news)

    async def sit(self, url: str) -> None:
        """Return when the conference is over. ``url`` is the document's."""
        seat, journal = self._seat, self._plant.journal
        music = asyncio.ensure_future(self._hold_music(url))
        try:
            await seat.begun.wait()
        finally:
            music.cancel()
            await asyncio.gather(music, return_exceptions=True)
        if not seat.over.is_set():
            journal.note(Met(at_ms=journal.now_ms(), room=self._conference.name))
        await seat.over.wait()

    def leave(self) -> None:
        """Be out of the room."""
        self._tell(self._seat.leave())
        journal = self._plant.journal
        journal.note(Parted(at_ms=journal.now_ms(), room=self._conference.name))

    async def _hold_music(self, base: str) -> None:
        """Play the document of ``waitUrl``, again and again."""
        url = self._conference.wait_url and urljoin(base, self._conference.wait_url)
        while url:
            document = await self._documents.get(Fetch(url, self._conference.wait_method))
            if isinstance(document, Problem) or not document.verbs:
                return
            for verb in document.verbs:
                match verb:
                    case Say() | Play() | Pause():
                        await self._plant.performer.perform(verb, url)
                    case Redirect():
                        url = urljoin(url, verb.url)
                        break

    def _tell(self, news: list[News]) -> None:
        for it in news:
            self._tasks.create_task(self._plant.callbacks.room(it))
