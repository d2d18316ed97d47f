from uuid import uuid4

from worker.message import Message
from worker.tts.aborted import MOST, Aborted


def test_text_is_dropped_up_to_its_last_piece() -> None:
    aborted, uuid = Aborted(), uuid4()
    aborted.add(uuid)
    assert aborted.drops(Message(uuid, "and", done=False))
    assert aborted.drops(Message(uuid, "so on"))
    assert not aborted.drops(Message(uuid, "anew"))


def test_text_of_others_is_not_dropped() -> None:
    aborted = Aborted()
    aborted.add(uuid4())
    assert not aborted.drops(Message(uuid4(), "Hello."))
    assert len(aborted) == 1


def test_of_texts_that_never_end_the_newest_are_remembered() -> None:
    aborted, uuids = Aborted(), [uuid4() for _ in range(3 * MOST)]
    for uuid in uuids:
        aborted.add(uuid)
    assert len(aborted) == MOST
    assert aborted.drops(Message(uuids[-1], "late", done=False))
    assert not aborted.drops(Message(uuids[0], "late", done=False))


def test_what_was_cleared_is_forgotten() -> None:
    aborted, uuid = Aborted(), uuid4()
    aborted.add(uuid)
    aborted.clear()
    assert not aborted.drops(Message(uuid, "anew"))
