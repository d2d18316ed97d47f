"""``callfarm latency`` as it is typed, on recordings of speech on a noisy line."""

import audioop
import json
import random
import struct
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from phone.ear import voiced_until
from shared.audio import bytes_of_ms, pcm16_to_ulaw, silence, ulaw_to_pcm16, write_stereo_wav
from shared.speech.espeak import EspeakVoice

QUESTION = "I would like a table for two people, please."
ANSWER = "Of course. On which day would you like to come, and at what time?"


def _run(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "latency", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _noise(ms: int, seed: int) -> bytes:
    """Return white noise of -45 dBFS, as PCM16."""
    chance = random.Random(seed)
    count = bytes_of_ms(ms)
    return struct.pack(f"<{count}h", *(int(chance.gauss(0, 184)) for _ in range(count)))


def _mixed(ms: int, seed: int | None, *parts: tuple[int, bytes]) -> bytes:
    """Return a track with μ-law parts at their times, over noise when there is a seed."""
    track = bytearray(silence(ms))
    for at_ms, audio in parts:
        track[bytes_of_ms(at_ms) : bytes_of_ms(at_ms) + len(audio)] = audio
    if seed is None:
        return bytes(track)
    return pcm16_to_ulaw(audioop.add(ulaw_to_pcm16(bytes(track)), _noise(ms, seed), 2))


def _spoken(text: str) -> bytes:
    """Return ``text`` spoken, without the silence behind it."""
    audio = EspeakVoice().speak(text)
    return audio[: voiced_until(audio, -45.0)]


@pytest.fixture(scope="module", params=[None, 1], ids=["clean", "noisy"])
def recording(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """A call of a greeting, a question that is answered, and one that interrupts the answer.

    With it, how long after the first question, as synthesised, its answer begins.
    """
    question, answer = _spoken(QUESTION), _spoken(ANSWER)
    asked_ms = 5000
    ended_ms = asked_ms + len(question) // 8
    answered_ms = ended_ms + 600
    again_ms = answered_ms + 1000
    cut = answer[: bytes_of_ms(1200)]
    caller = _mixed(20_000, request.param, (asked_ms, question), (again_ms, question))
    last_ms = again_ms + len(question) // 8 + 800
    agent = _mixed(20_000, request.param, (300, answer), (answered_ms, cut), (last_ms, answer))
    path = tmp_path_factory.mktemp("calls") / "call.wav"
    write_stereo_wav(path, caller, agent)
    return path, 600


def test_a_recording_is_measured_for_programs(recording: tuple[Path, int]) -> None:
    code, output, _ = _run(str(recording[0]), "--json")
    found = json.loads(output)
    assert code == 0
    assert found["greeting_ms"] == pytest.approx(300, abs=80)
    first, second = found["utterances"]
    assert first["kind"] == "answered"
    assert first["took_ms"] == pytest.approx(recording[1], abs=120)
    assert second["kind"] == "interrupted"
    assert second["took_ms"] == pytest.approx(800, abs=120)
    assert second["yielded_ms"] == pytest.approx(200, abs=120)
    assert found["replies"] == {
        "count": 1,
        **dict.fromkeys(("median_ms", "p95_ms", "worst_ms"), first["took_ms"]),
    }
    assert found["after_interruptions"]["count"] == 1


def test_a_recording_is_measured_for_people(recording: tuple[Path, int]) -> None:
    code, output, _ = _run(str(recording[0]))
    assert code == 0
    assert "the agent is heard first after" in output
    for words in ("answered", "interrupted", "replies", "median", "p95"):
        assert words in output


def test_swapped_tracks_are_asked_about_and_can_be_swapped_back(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_stereo_wav(path, silence(4000), _mixed(4000, None, (1000, _spoken(QUESTION))))
    code, output, _ = _run(str(path))
    assert code == 0
    assert "--swapped" in output
    code, output, _ = _run(str(path), "--swapped", "--json")
    assert [it["kind"] for it in json.loads(output)["utterances"]] == ["unanswered"]


def test_a_mono_recording_is_refused_with_the_way_to_a_better_one(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "mono.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    code, output, errors = _run(str(tmp_path / "mono.wav"))
    assert (code, output) == (1, "")
    assert "is mono" in errors
    assert "callfarm call --out" in errors


@pytest.mark.parametrize(("name", "code"), [("pyproject.toml", 1), ("nowhere.wav", 2)])
def test_what_is_no_recording_is_a_sentence(name: str, code: int) -> None:
    found, output, errors = _run(name)
    assert (found, output) == (code, "")
    assert "Traceback" not in errors
