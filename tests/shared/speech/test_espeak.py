import os
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audio import level_dbfs, ms_of_bytes
from shared.speech.espeak import EspeakVoice, VoiceError

VOICE = EspeakVoice()

TREMBLING = 0.02
"""How much the length of a text differs when it is spoken again."""


def same_length(first: bytes, second: bytes) -> bool:
    return abs(len(first) - len(second)) < TREMBLING * len(first)


def kernel_tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_it_speaks_at_telephone_rate_and_level() -> None:
    audio = VOICE.speak("The table is booked for Friday evening.")
    assert 1500 < ms_of_bytes(len(audio)) < 4000
    assert -28 < level_dbfs(audio) < -18


def test_every_voice_is_about_as_loud() -> None:
    text = "The table is booked for Friday evening."
    for name in ("en-us", "en-us+f3", "en-us+klatt4", "en-us+whisper", "de"):
        assert -28 < level_dbfs(EspeakVoice(name).speak(text)) < -18, name


def test_the_first_slice_comes_before_the_rest_is_made() -> None:
    slices = VOICE.stream("This is one sentence. " * 1000)
    assert 0 < len(next(slices)) <= 4000
    slices.close()
    assert VOICE.speak("Hello.")


def test_slices_join_to_the_whole() -> None:
    text = "First sentence. Second, longer sentence; with more. Third!"
    assert same_length(b"".join(VOICE.stream(text)), VOICE.speak(text))


TEXTS = [
    "Hello there.",
    "At the end of the street, on the left of the house: I am there, as it is to be.",
    "It costs $12.50 for 1234 people, at 7:30 p.m. on 24/12!",
    "Dr. Miller's well-known table — it's booked... (for four) 'or' five?",
    "naïve café, señor Müller",
    " - ",
    "one,two;three",
    "Write to me@example.com & call +1 555 0100.",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["en-us", "en-us+f3", "de"])
def test_each_word_has_a_time_within_the_audio(name: str, text: str) -> None:
    slices = list(EspeakVoice(name).slices(text))
    words = [word for piece in slices for word in piece.words]
    assert [word.text for word in words] == text.split()
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= ms_of_bytes(sum(len(piece.audio) for piece in slices))


def test_words_are_where_they_are_heard() -> None:
    sound = {
        word.text: word
        for piece in VOICE.slices("One. Two hundred and forty four, three.")
        for word in piece.words
    }
    assert 200 < sound["One."].end_ms < sound["Two"].start_ms - 100  # the pause is nobody's
    assert sound["three."].start_ms > sound["four,"].end_ms + 50
    audio = VOICE.speak("One. Two hundred and forty four, three.")
    quiet = audio[8 * int(sound["One."].end_ms + 20) : 8 * int(sound["Two"].start_ms - 20)]
    assert level_dbfs(quiet) < -60


def test_a_clause_brings_its_words_with_its_first_slice() -> None:
    slices = list(VOICE.slices("One sentence of a good many words, no less. Another."))
    assert [len(piece.words) for piece in slices if piece.words] == [9, 1]
    assert slices[0].words
    assert len(slices) > 2


def test_two_voices_may_take_turns() -> None:
    other = EspeakVoice("en-us+f3", rate=250, pitch=70)
    text = "One sentence. Another sentence. A third."
    alone = VOICE.speak(text), other.speak(text)
    mixed: tuple[list[bytes], list[bytes]] = ([], [])
    for one, two in zip_longest(VOICE.stream(text), other.stream(text), fillvalue=b""):
        mixed[0].append(one)
        mixed[1].append(two)
    assert not same_length(*alone)
    assert same_length(b"".join(mixed[0]), alone[0])
    assert same_length(b"".join(mixed[1]), alone[1])


def test_rate_changes_the_length() -> None:
    slow, fast = (EspeakVoice(rate=rate).speak("Good evening.") for rate in (100, 300))
    assert len(slow) > 1.5 * len(fast)


@pytest.mark.parametrize("text", ["", "   ", "\n", "\x01"])
def test_text_without_anything_to_say_is_silent(text: str) -> None:
    assert VOICE.speak(text) == b""


def test_markup_is_read_out_not_obeyed() -> None:
    plain = len(VOICE.speak("hello there"))
    for attack in (
        '<prosody rate="x-slow">hello</prosody> there',
        "<break time='60s'/> hello there",
        "hello [[h@l'oU]] there",
    ):
        assert plain < len(VOICE.speak(attack)) < plain + 80_000, attack


def test_embedded_commands_cannot_change_the_voice() -> None:
    before = VOICE.speak("hello there")
    VOICE.speak("Mister \x01400S\x0199P\x010A Smith")
    assert same_length(VOICE.speak("hello there"), before)
    assert same_length(VOICE.speak("\x01400Shello there"), VOICE.speak(" 400Shello there"))


@pytest.mark.parametrize(
    "text", ["naïve café, señor Müller", "日本語", "привет", "🍕 pizza", "\ud800"]
)
def test_any_script_is_spoken_somehow(text: str) -> None:
    assert isinstance(VOICE.speak(text), bytes)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_no_text_harms_the_engine(text: str) -> None:
    size, edges = 0, [0.0]
    for piece in VOICE.slices(text):
        edges += [edge for word in piece.words for edge in (word.start_ms, word.end_ms)]
        size += len(piece.audio)
    assert edges == sorted(edges)
    assert edges[-1] <= ms_of_bytes(size)


def test_a_long_text_is_spoken_to_its_end() -> None:
    sentence = "We are open every day but Monday, from five until eleven. "
    one, many = len(VOICE.speak(sentence)), len(VOICE.speak(sentence * 50))
    assert abs(many - 50 * one) < 0.02 * many


@pytest.mark.parametrize("name", ["", "zz", "en-us+zzz", "a/../b", "en-us+../f3", "en\0us"])
def test_an_unknown_voice_is_named(name: str) -> None:
    with pytest.raises(VoiceError) as caught:
        EspeakVoice(name).load()
    assert caught.value.voice == name
    assert repr(name) in str(caught.value)
    assert VOICE.speak("Hello.")


@pytest.mark.parametrize(("rate", "pitch"), [(79, 50), (451, 50), (165, -1), (165, 100)])
def test_settings_out_of_range_are_refused(rate: int, pitch: int) -> None:
    with pytest.raises(ValueError, match="use "):
        EspeakVoice(rate=rate, pitch=pitch)


def test_it_leaves_no_thread_behind() -> None:
    before = kernel_tasks()
    VOICE.speak("Hello.")
    assert kernel_tasks() == before


def test_an_engine_loaded_before_a_fork_speaks_in_the_child() -> None:
    expected = VOICE.speak("Hello from a child.")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        right = same_length(VOICE.speak("Hello from a child."), expected) and kernel_tasks() == 1
        os.write(writing, b"y" if right else b"n")
        os._exit(0)
    os.close(writing)
    answer = os.read(reading, 1)
    os.close(reading)
    assert os.waitpid(child, 0)[1] == 0
    assert answer == b"y"
