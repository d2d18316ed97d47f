"""Utterances that were aborted while their text was still coming: the rest of it is dropped. Pure.

Nobody promises that the last piece of such a text ever comes, so only the newest are remembered.
"""

from uuid import UUID

from worker.message import Message

MOST = 64
"""Utterances remembered; nobody speaks so many at once."""


class Aborted:
    """The aborted utterances of one session."""

    def __init__(self) -> None:
        self._uuids: dict[UUID, None] = {}

    def __len__(self) -> int:
        return len(self._uuids)

    def add(self, uuid: UUID) -> None:
        """This one was aborted, and its text is not whole."""
        self._uuids[uuid] = None
        if len(self._uuids) > MOST:
            del self._uuids[next(iter(self._uuids))]

    def drops(self, message: Message[str]) -> bool:
        """Tell whether a piece of text is of one of them; after its last piece it is forgotten."""
        if message.uuid not in self._uuids:
            return False
        if message.done:
            del self._uuids[message.uuid]
        return True

    def clear(self) -> None:
        """Forget them all."""
        self._uuids.clear()
