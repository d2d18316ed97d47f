from worker.speech import AgentCut, AgentDone, Event
from worker.speech.ear import Ear


class Told:
    """A listener that notes everything."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def audio(self, utterance: str, audio: bytes) -> None:
        self.all.append((utterance, audio))

    def happened(self, event: Event) -> None:
        self.all.append(event)

    def known_as(self, conversation_id: str) -> None:
        self.all.append(conversation_id)

    def failed(self, error: Exception) -> None:
        self.all.append(error)


def test_what_was_told_before_anybody_listened_comes_first_and_in_order() -> None:
    ear, told, error = Ear(), Told(), ValueError()
    ear.audio("u", b"a")
    ear.happened(AgentDone("u"))
    ear.known_as("id")
    ear.hear(told)
    ear.happened(AgentCut())
    ear.failed(error)
    assert told.all == [("u", b"a"), AgentDone("u"), "id", AgentCut(), error]


def test_nobody_is_told_after_retirement_and_nothing_is_kept() -> None:
    ear, told = Ear(), Told()
    ear.hear(told)
    ear.retire()
    ear.audio("u", b"a")
    ear.happened(AgentCut())
    assert told.all == []
    never = Ear()
    never.retire()
    never.happened(AgentCut())
    never.hear(told)
    assert told.all == []
