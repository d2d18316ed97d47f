from phone.ear import Ear, Span, voiced_until
from shared.audio import SILENT_FRAME, pcm16_to_ulaw

VOICE = pcm16_to_ulaw(b"\x00\x40\x00\xc0" * 80)


def test_a_span_ends_after_enough_quiet_and_tells_when_speech_was() -> None:
    ear = Ear(quiet_ms=60, threshold_dbfs=-45)
    frames = [SILENT_FRAME, VOICE, VOICE, SILENT_FRAME, VOICE] + [SILENT_FRAME] * 4
    spans = [(n, span) for n, frame in enumerate(frames) if (span := ear.hear(frame, n * 20))]
    assert spans == [(7, Span(20, 100))]
    assert ear.began_ms is None
    assert (ear.last_began_ms, ear.voiced_ms) == (20, 100)


def test_silence_frames_of_an_agent_are_no_speech() -> None:
    ear = Ear(60, -45)
    for n in range(10):
        assert ear.hear(bytes(b"\x7f" * 160), n * 20) is None
    assert ear.voiced_ms is None


def test_the_end_of_a_stream_ends_the_span() -> None:
    ear = Ear(60, -45)
    ear.hear(VOICE, 0)
    assert ear.finish() == Span(0, 20)
    assert ear.finish() is None


def test_the_silence_behind_a_phrase_is_not_speech() -> None:
    assert voiced_until(VOICE * 3 + SILENT_FRAME * 5, -45) == 480
    assert voiced_until(SILENT_FRAME, -45) == 0
    assert voiced_until(b"", -45) == 0
