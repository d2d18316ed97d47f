"""Who listens to a session: what it tells is kept until it is chosen, and dropped afterwards."""

from collections.abc import Callable

from worker.speech import Event, SpeechListener


class Ear:
    """Listens to one session, on behalf of the call once `hear` has told who that is."""

    def __init__(self) -> None:
        self._listener: SpeechListener | None = None
        self._kept: list[Callable[[SpeechListener], None]] | None = []

    def hear(self, listener: SpeechListener) -> None:
        """Pass on what was told, and from now on all at once."""
        self._listener = listener
        kept, self._kept = self._kept or [], None
        for tell in kept:
            self._tell(tell)

    def retire(self) -> None:
        """Nobody listens any more."""
        self._listener = self._kept = None

    def _tell(self, tell: Callable[[SpeechListener], None]) -> None:
        if self._listener is not None:
            tell(self._listener)
        elif self._kept is not None:
            self._kept.append(tell)

    def audio(self, utterance: str, audio: bytes) -> None:
        """Pass audio on."""
        if self._listener is not None:
            self._listener.audio(utterance, audio)
        else:
            self._tell(lambda it: it.audio(utterance, audio))

    def happened(self, event: Event) -> None:
        """Pass on what happened."""
        self._tell(lambda it: it.happened(event))

    def known_as(self, conversation_id: str) -> None:
        """Pass the name on."""
        self._tell(lambda it: it.known_as(conversation_id))

    def failed(self, error: Exception) -> None:
        """Pass a loss on."""
        self._tell(lambda it: it.failed(error))
