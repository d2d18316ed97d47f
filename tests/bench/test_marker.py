"""Marks in the audio of the benchmark's callers."""

from bench.marker import SILENCE, TONE, Sign, marked, marks_in
from shared.audio import FRAME_BYTES


def test_a_mark_is_found_in_a_batch_of_frames() -> None:
    batch = TONE + marked(Sign.WORDS, 7, 300) + TONE + marked(Sign.END, 49, 1) + SILENCE
    assert list(marks_in(batch)) == [(Sign.WORDS, 7, 300), (Sign.END, 49, 1)]


def test_plain_frames_have_no_mark() -> None:
    assert not list(marks_in(TONE + SILENCE))


def test_every_frame_lasts_20_ms() -> None:
    assert {len(TONE), len(SILENCE), len(marked(Sign.BEGIN, 0, 1))} == {FRAME_BYTES}
