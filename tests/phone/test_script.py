import asyncio
import base64
import io
import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from phone import Phone
from phone.command import CallOptions, call_command
from phone.events import AgentSpoke, CallerSpoke, Ending, KeyPressed
from phone.script import (
    AwaitReply,
    AwaitSpeech,
    PressKeys,
    SayAudio,
    SayText,
    Script,
    Wait,
    run_script,
)
from shared.audio import SILENT_FRAME, pcm16_to_ulaw, read_wav, silence, write_stereo_wav
from tests.phone.app import TOKEN, App, Media, serving, stream, twiml

VOICE = pcm16_to_ulaw(b"\x00\x40\x00\xc0" * 80)


class Buzz:
    """A voice that buzzes 20 ms a word."""

    def speak(self, text: str) -> bytes:
        return VOICE * len(text.split()) + silence(40)


async def polite(media: Media) -> None:
    """Greets, and answers each phrase when a little silence follows it."""
    await media.started()
    await media.play(VOICE * 5)
    spoken = quiet = 0
    while True:
        message = await media.next()
        if message["event"] == "dtmf":
            await media.play(VOICE * 3)
        if message["event"] != "media":
            continue
        if base64.b64decode(message["media"]["payload"]) == SILENT_FRAME:
            quiet += 1
            if spoken and quiet == 5:
                spoken = 0
                await media.play(VOICE * 5)
        else:
            spoken, quiet = spoken + 1, 0


REPLY = AwaitReply(timeout_s=5, quiet_ms=250)


async def test_a_script_says_its_phrases_in_turn_with_the_agent_and_hangs_up() -> None:
    app = App({"/voice": lambda _: twiml(stream())}, media=polite)
    script = Script(
        (
            REPLY,
            SayText("one two three"),
            REPLY,
            SayAudio(VOICE * 4, "audio"),
            AwaitSpeech(5),
            Wait(20),
            PressKeys("1"),
            REPLY,
        )
    )
    async with serving(app):
        report = await run_script(Phone(app.url(), auth_token=TOKEN), script, voice=Buzz())
    assert [spoke.label for spoke in report.of(CallerSpoke)] == ["one two three", "audio"]
    assert all(reply.took_ms is not None for reply in report.replies)
    assert [key.key for key in report.of(KeyPressed)] == ["1"]
    assert report.how is Ending.CALLER


async def test_an_answer_to_keys_is_waited_for_and_heard_out() -> None:
    async def slow(media: Media) -> None:
        await media.started()
        await media.play(VOICE * 5)
        await media.next("dtmf")
        await asyncio.sleep(0.4)
        await media.play(VOICE * 5)
        await media.next("stop")

    app = App({"/voice": lambda _: twiml(stream())}, media=slow)
    async with serving(app):
        report = await run_script(
            Phone(app.url(), auth_token=TOKEN), Script((REPLY, PressKeys("1"), REPLY))
        )
    greeting, answer = report.of(AgentSpoke)
    (key,) = report.of(KeyPressed)
    assert greeting.until_ms < key.at_ms < answer.from_ms


async def test_a_reply_that_does_not_come_does_not_stop_the_script() -> None:
    app = App({"/voice": lambda _: twiml(stream())})
    script = Script((AwaitReply(0.05), SayText("hello"), AwaitReply(0.05), SayText("again")))
    async with serving(app):
        report = await run_script(Phone(app.url(), auth_token=TOKEN), script, voice=Buzz())
    assert [reply.took_ms for reply in report.replies] == [None, None]


async def test_a_call_that_ends_early_ends_the_script() -> None:
    async def close(media: Media) -> None:
        await media.started()
        await media.close()

    app = App({"/voice": lambda _: twiml(stream())}, media=close)
    async with serving(app):
        report = await run_script(Phone(app.url(), auth_token=TOKEN), Script((REPLY,)))
    assert report.how is Ending.DOCUMENT


def screen() -> Console:
    return Console(file=io.StringIO(), width=200)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_the_command_shows_both_sides_and_writes_the_recording(tmp_path: Path) -> None:
    app = App({"/voice": lambda _: twiml(stream())}, media=polite)
    wav = tmp_path / "phrase.wav"
    write_stereo_wav(wav, VOICE * 5, VOICE * 5)
    console = screen()
    async with serving(app):
        options = CallOptions(
            url=app.url(),
            auth_token=TOKEN,
            say=("book a table",),
            wav=wav,
            out=tmp_path / "call.wav",
            quiet_ms=250,
        )
        code = await call_command(options, console=console, voice=Buzz())
    assert code == 0
    text = shown(console)
    for piece in ("book a table", "phrase.wav", "ms after the caller", "median", "call.wav"):
        assert piece in text
    assert len(read_wav(tmp_path / "call.wav")) > 0


async def test_a_reader_who_leaves_early_breaks_no_call() -> None:
    code = (
        "import asyncio, sys; from phone.command import CallOptions, call_command;"
        "options = CallOptions(url=sys.argv[1], auth_token=sys.argv[2], quiet_ms=250);"
        "sys.exit(asyncio.run(call_command(options)))"
    )
    app = App({"/voice": lambda _: twiml(stream())}, media=polite)
    reader, writer = os.pipe()
    async with serving(app):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, app.url(), TOKEN),
            cwd=Path(__file__).parents[2],
            stdout=writer,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writer)
        await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        _, complaints = await child.communicate()
    assert (child.returncode, complaints) == (0, b"")


async def test_many_calls_are_summed_up_and_a_bad_one_fails_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = App({"/voice": lambda _: twiml(stream())}, media=polite)
    async with serving(app):
        options = CallOptions(url=app.url(), auth_token=TOKEN, calls=3, json=True, quiet_ms=250)
        assert await call_command(options, console=screen()) == 0
        results = json.loads(capsys.readouterr().out)
        assert [result["ok"] for result in results] == [True] * 3
        assert all(result["greeting_ms"] is not None for result in results)
        wrong = CallOptions(url=app.url(), auth_token="wrong")
        console = screen()
        assert await call_command(wrong, console=console) == 1
    assert "11200" in shown(console)


async def test_no_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="calls"):
        await call_command(CallOptions(url="http://x", auth_token="t", calls=0))


class Mute:
    """A voice that makes no sound."""

    def speak(self, text: str) -> bytes:
        del text
        return b""


async def test_a_phrase_that_nobody_would_hear_is_refused_before_the_call() -> None:
    with pytest.raises(ValueError, match="no sound"):
        await Script((SayText("..."),)).spoken(Mute())


async def test_the_embedded_voice_speaks_the_phrases_of_a_script() -> None:
    script = await Script((SayText("Hello there"), SayText("Hello there"))).spoken()
    first, second = script.steps
    assert isinstance(first, SayText)
    assert first == second
    assert len(first.audio or b"") > 2000
