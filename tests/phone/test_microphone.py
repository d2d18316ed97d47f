import pytest

from phone.microphone import Microphone, Phrase, Press, check_keys
from shared.audio import FRAME_BYTES, SILENCE


def nothing() -> None:
    """Nobody waits."""


def test_a_phrase_is_cut_into_frames_and_the_last_one_padded() -> None:
    microphone, phrase = Microphone(), Phrase(b"\x01" * 200, "hi", nothing)
    microphone.add(phrase)
    assert microphone.frame() == b"\x01" * FRAME_BYTES
    assert (microphone.began, microphone.ended) == (phrase, None)
    assert microphone.frame() == b"\x01" * 40 + SILENCE * 120
    assert (microphone.began, microphone.ended) == (None, phrase)
    assert microphone.frame() is None
    assert microphone.ended is None


def test_keys_come_after_the_phrase_before_them_and_take_their_time() -> None:
    microphone = Microphone()
    microphone.add(Phrase(b"\x01" * FRAME_BYTES, "", nothing))
    for key in "1w2":
        microphone.add(Press(key, nothing))
    keys = {}
    ended = []
    for n in range(60):
        microphone.frame()
        if microphone.key:
            keys[n] = microphone.key
        if isinstance(microphone.ended, Press):
            ended.append((n, microphone.ended.key))
    assert keys == {1: "1", 36: "2"}
    assert ended == [(1, "1"), (35, "w"), (36, "2")]


def test_an_empty_phrase_still_begins_and_ends() -> None:
    microphone, phrase = Microphone(), Phrase(b"", "", nothing)
    microphone.add(phrase)
    microphone.frame()
    assert (microphone.began, microphone.ended) == (phrase, phrase)


@pytest.mark.parametrize("keys", ["x", "1 2", "e"])
def test_a_key_that_no_telephone_has_is_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        check_keys(keys)
