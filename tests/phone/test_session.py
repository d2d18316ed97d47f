"""A stream on a virtual clock: what is sent, beat by beat."""

import base64
import json
from random import Random
from typing import Any

import pytest

from phone.ear import Ear
from phone.events import CallerSpoke, Cleared, MarkEchoed, Noticed
from phone.journal import Journal
from phone.line import Line
from phone.messages import Writer
from phone.microphone import Microphone, Phrase, Press
from phone.playout import LIMIT_BYTES
from phone.recording import Recording
from phone.session import Handset, MediaSession
from phone.settings import PhoneSettings
from phone.verbs import Stream
from shared.audio import FRAME_BYTES, pcm16_to_ulaw, silence
from tests.phone.clock import HandClock

SID = "MZ1"
VOICE = pcm16_to_ulaw(b"\x00\x40\x00\xc0" * 80)


class Desk:
    """A session with everything it needs, and helpers that speak as the server."""

    def __init__(self, settings: PhoneSettings | None = None, line: Line | None = None) -> None:
        self.clock = HandClock()
        self.journal = Journal(self.clock)
        self.settings = settings or PhoneSettings()
        self.handset = Handset(Microphone(), Ear(500, -45), Recording(), line)
        self.session = self.next_session()

    def next_session(self) -> MediaSession:
        writer = Writer("AC1", "CA1", SID)
        session = MediaSession(SID, writer, self.handset, self.journal, self.settings)
        session.begin(Stream("wss://x"), "wss://x")
        return session

    def ticks(self, count: int = 1, **how: bool) -> list[dict[str, Any]]:
        sent = []
        for _ in range(count):
            sent += [json.loads(text) for text in self.session.tick(**how)]
            self.clock.advance(0.02)
        return sent

    def server(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        text = json.dumps({"event": event, "streamSid": SID} | fields)
        return [json.loads(reply) for reply in self.session.receive(text)]

    def play(self, audio: bytes) -> None:
        self.server("media", media={"payload": base64.b64encode(audio).decode()})


def marks(messages: list[dict[str, Any]]) -> list[str]:
    return [m["mark"]["name"] for m in messages if m["event"] == "mark"]


def test_a_mark_behind_a_second_of_audio_comes_back_a_second_later() -> None:
    desk = Desk()
    desk.play(VOICE * 50)
    assert desk.server("mark", mark={"name": "end"}) == []
    assert marks(desk.ticks(50)) == []
    assert marks(desk.ticks(1)) == ["end"]
    assert desk.journal.of(MarkEchoed)[0].at_ms == pytest.approx(1000)


def test_a_mark_in_silence_comes_back_at_once() -> None:
    desk = Desk()
    desk.ticks(3)
    assert marks(desk.server("mark", mark={"name": "now"})) == ["now"]


def test_clear_returns_the_marks_at_once_and_says_how_much_was_lost() -> None:
    desk = Desk()
    desk.play(VOICE * 50)
    desk.server("mark", mark={"name": "a"})
    desk.server("mark", mark={"name": "b"})
    desk.ticks(10)
    assert marks(desk.server("clear")) == ["a", "b"]
    assert desk.journal.of(Cleared)[0].dropped_ms == 800
    assert desk.handset.recording.agent == VOICE * 10


def test_the_caller_is_heard_between_frames_of_silence_with_steady_timestamps() -> None:
    desk = Desk()
    done: list[str] = []
    phrase = VOICE * 2 + silence(40)
    desk.handset.microphone.add(Phrase(phrase, "hello", lambda: done.append("said")))
    desk.handset.microphone.add(Press("5", lambda: done.append("pressed")))
    sent = desk.ticks(8)
    stamps = [m["media"]["timestamp"] for m in sent if m["event"] == "media"]
    assert stamps == [str(n * 20) for n in range(8)]
    assert [m["dtmf"]["digit"] for m in sent if m["event"] == "dtmf"] == ["5"]
    assert done == ["said", "pressed"]
    (spoke,) = desk.journal.of(CallerSpoke)
    assert (spoke.label, spoke.from_ms, spoke.until_ms) == ("hello", 0, 40)


def test_beats_that_the_phone_has_missed_are_no_silence_of_the_agent() -> None:
    """What the server sent meanwhile has not been read yet."""
    desk = Desk()
    desk.play(VOICE)
    desk.ticks(6)
    assert desk.handset.silent_ms == 100
    desk.clock.stall(2.0)
    for _ in range(100):  # as the ticker does: all that were missed, at once
        desk.session.tick()
    assert 100 <= desk.handset.silent_ms <= 220
    desk.ticks(5)
    assert desk.handset.silent_ms >= 200
    desk.play(VOICE)
    desk.ticks(1)
    assert desk.handset.silent_ms == 0


def test_both_tracks_stay_aligned_over_two_streams() -> None:
    desk = Desk()
    desk.ticks(5)
    desk.session.end()
    desk.clock.advance(0.4)
    desk.session = desk.next_session()
    desk.play(VOICE)
    desk.handset.microphone.add(Phrase(VOICE, "", lambda: None))
    desk.ticks(1)
    recording = desk.handset.recording
    assert recording.caller == recording.agent
    assert recording.agent.index(VOICE) == 500 * 8


def test_a_server_that_does_not_read_loses_the_callers_frames_but_no_mark() -> None:
    desk = Desk()
    desk.play(VOICE)
    desk.server("mark", mark={"name": "a"})
    sent = desk.ticks(3, congested=True)
    assert [m["event"] for m in sent] == ["mark"]
    assert [n.problem.code for n in desk.journal.of(Noticed)] == [31930]


def test_more_than_ten_minutes_are_warned_of_once() -> None:
    desk = Desk()
    desk.play(bytes(LIMIT_BYTES))
    desk.play(VOICE)
    desk.play(VOICE)
    assert [n.problem.code for n in desk.journal.of(Noticed)] == [31931]


def test_each_warning_comes_once_a_stream_and_again_in_the_next() -> None:
    desk = Desk()
    for _ in range(2):
        for _ in range(3):
            desk.session.receive("nonsense")
            desk.session.receive(b"binary")
        desk.session = desk.next_session()
    codes = [n.problem.code for n in desk.journal.of(Noticed)]
    assert codes == [31951, 31950, 31951, 31950]
    assert desk.handset.messages_dropped == 12


def test_frames_that_the_line_still_holds_are_sent_before_stop() -> None:
    desk = Desk(line=Line(0, 10_000, Random(3)))
    desk.ticks(4)
    sent = [json.loads(text) for text in desk.session.stop()]
    assert [m["event"] for m in sent][-2:] == ["media", "stop"]


def test_every_audio_message_is_handed_on_as_it_came() -> None:
    desk = Desk()
    heard: list[bytes] = []
    desk.handset.on_agent_audio = heard.append
    desk.play(b"\x01" * 7)
    desk.play(b"\x02" * FRAME_BYTES * 2)
    assert heard == [b"\x01" * 7, b"\x02" * FRAME_BYTES * 2]
