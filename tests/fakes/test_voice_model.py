"""The ears that fakes of speech models have in common."""

from shared.audio import silence
from tests.fakes.speech import speech
from tests.fakes.voice_model import Began, Ears, Ended


def _heard(audio: bytes, size: int) -> list[Began | Ended]:
    ears = Ears()
    return [it for at in range(0, len(audio), size) for it in ears.feed(audio[at : at + size])]


def test_they_hear_the_words_of_each_turn_whatever_the_size_of_the_pieces() -> None:
    audio = silence(400) + speech("two of us", 40) + silence(500) + speech("at eight", 40)
    for size in (160, 333, 4000):
        heard = _heard(audio + silence(500), size)
        assert [type(it) for it in heard] == [Began, Ended, Began, Ended]
        assert [it.text for it in heard if isinstance(it, Ended)] == ["two of us", "at eight"]


def test_a_turn_has_no_word_of_the_one_before() -> None:
    """They listen back a little for where a turn began, and not beyond the end of another."""
    audio = silence(400) + speech("tell me a b", 40) + silence(240) + speech("and now c", 40)
    heard = [it.text for it in _heard(audio + silence(500), 160) if isinstance(it, Ended)]
    assert heard == ["tell me a b", "and now c"]


def test_a_noise_is_a_turn_without_words() -> None:
    noise = b"\x20\xa0" * 1600
    heard = _heard(silence(400) + noise + silence(500), 160)
    assert [it.text for it in heard if isinstance(it, Ended)] == [""]
