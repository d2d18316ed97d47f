import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import BYTES_A_LETTER, OVER, SID, STREAM, Audio, Voice, Wire
from worker.call_info import CallInfo
from worker.errors import ProviderError
from worker.message import Message
from worker.speaker import Speaker, Spoken
from worker.voip import VoIP

LETTER_SECONDS = BYTES_A_LETTER / 8000
"""Ten milliseconds."""


class Studio:
    """A speaker with a voice, on a line whose carrier echoes marks when they were played."""

    def __init__(self, **voice: Any) -> None:
        loop = asyncio.get_running_loop()
        self.wire = Wire()
        self.call = VoIP(self.wire, CallInfo(SID), loop.time)
        self.voice = Voice(**voice)
        self.speaker = Speaker(self.call, loop.time)

    async def ready(self, streaming: bool = True) -> "Studio":
        await self.speaker.connect(self.voice)
        if streaming:
            self.call.deliver(STREAM)
        return self

    def say(self, text: str, interruptible: bool = True) -> asyncio.Task[Spoken]:
        return asyncio.ensure_future(self.speaker.say(text, interruptible))

    def echo(self) -> None:
        marks, self.wire.marks = self.wire.marks, []
        for name in marks:
            self.call.deliver(messages.MarkPlayed(name))

    def spoken_letters(self) -> int:
        return len(self.wire.audio) // BYTES_A_LETTER


@virtual_time
async def test_what_is_said_is_returned_when_the_caller_has_heard_it() -> None:
    studio = await Studio().ready()
    saying = studio.say("Good morning")
    await asyncio.sleep(5)
    assert not saying.done()
    studio.echo()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("Good morning", False)
    assert studio.spoken_letters() == len("Good morning")


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_to_say_is_said_at_once(text: str) -> None:
    @virtual_time
    async def case() -> None:
        studio = await Studio().ready()
        assert await studio.say(text) == Spoken("", interrupted=False)
        assert studio.voice.posted == []

    case()


@virtual_time
async def test_utterances_are_spoken_in_the_order_in_which_they_were_said() -> None:
    studio = await Studio(held=True).ready()
    first, second = studio.say("first"), studio.say("second")
    await settled()
    assert [it.data for it in studio.voice.posted] == ["first"]
    studio.voice.release()
    await settled()
    assert [it.data for it in studio.voice.posted] == ["first", "second"]
    studio.voice.release()
    await settled()
    studio.echo()
    assert [(await first).text, (await second).text] == ["first", "second"]


@virtual_time
async def test_the_next_utterance_is_made_while_the_one_before_is_still_heard() -> None:
    studio = await Studio().ready()
    first, second = studio.say("first"), studio.say("second")
    await settled()
    assert studio.spoken_letters() == len("first" + "second")
    studio.echo()
    await asyncio.gather(first, second)


@virtual_time
async def test_an_interruption_cuts_the_text_at_the_last_word_heard() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three four")
    await asyncio.sleep(9 * LETTER_SECONDS)
    assert studio.speaker.interrupt()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("one two", True)
    assert studio.wire.kinds()[-1] is messages.Clear


@virtual_time
async def test_an_interruption_before_the_first_sound_leaves_nothing_heard() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one two")
    await settled()
    assert studio.speaker.interrupt()
    assert await saying == Spoken("", interrupted=True)
    assert studio.voice.aborted == [studio.voice.posted[0].uuid]


@virtual_time
async def test_audio_that_comes_late_for_an_interrupted_utterance_is_dropped() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one two")
    await settled()
    first = studio.voice.posted[0]
    studio.speaker.interrupt()
    studio.voice.aborted.clear()
    studio.voice.release(first)
    await saying
    following = studio.say("next")
    await settled()
    studio.voice.release(first)
    assert studio.spoken_letters() == 0
    studio.voice.release()
    await settled()
    studio.echo()
    assert (await following).text == "next"
    assert studio.spoken_letters() == len("next")


@virtual_time
async def test_an_interruption_in_the_second_utterance_leaves_the_first_whole() -> None:
    studio = await Studio().ready()
    first, second = studio.say("one two"), studio.say("three four")
    await asyncio.sleep((len("one two") + len("three") + 1) * LETTER_SECONDS)
    studio.speaker.interrupt()
    assert (await first).text == "one two"
    spoken = await second
    assert (spoken.text, spoken.interrupted) == ("three", True)


@virtual_time
async def test_an_utterance_heard_to_its_end_was_not_interrupted_by_what_came_after() -> None:
    studio = await Studio().ready()
    first, second = studio.say("one two"), studio.say("three four")
    await asyncio.sleep((len("one two") + 2) * LETTER_SECONDS)
    studio.speaker.interrupt()
    assert not (await first).interrupted
    assert (await second).interrupted


@virtual_time
async def test_what_was_cut_before_it_was_made_whole_is_not_taken_for_heard_whole() -> None:
    studio = await Studio(held=True).ready()
    text = "one two three four five six seven eight"
    saying = studio.say(text)
    await settled()
    studio.speaker.audio(Message(studio.voice.posted[0].uuid, b"x" * 4000, done=False))
    await asyncio.sleep(2)
    studio.speaker.interrupt()
    spoken = await saying
    assert spoken.interrupted
    assert spoken.text == "one two"


@virtual_time
async def test_the_agent_speaks_again_after_an_interruption() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await asyncio.sleep(0.01)
    studio.speaker.interrupt()
    await saying
    again = studio.say("sorry")
    await settled()
    studio.echo()
    assert (await again).text == "sorry"


@virtual_time
async def test_what_may_not_be_interrupted_is_said_to_its_end() -> None:
    studio = await Studio().ready()
    saying = studio.say("this call is recorded", interruptible=False)
    await asyncio.sleep(0.05)
    assert not studio.speaker.interrupt()
    studio.echo()
    assert (await saying).text == "this call is recorded"
    assert messages.Clear not in studio.wire.kinds()


@virtual_time
async def test_an_interruption_of_silence_is_none() -> None:
    studio = await Studio().ready()
    assert not studio.speaker.interrupt()
    saying = studio.say("one")
    await asyncio.sleep(1)
    assert not studio.speaker.interrupt()
    studio.echo()
    assert (await saying).text == "one"


@virtual_time
async def test_two_interruptions_in_a_row_are_one() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await asyncio.sleep(0.09)
    studio.speaker.interrupt()
    studio.speaker.interrupt()
    assert (await saying).text == "one two"
    assert studio.wire.kinds().count(messages.Clear) == 1


@virtual_time
async def test_a_voice_that_fails_while_it_speaks_fails_that_utterance() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one")
    await settled()
    studio.speaker.failed(ProviderError("cartesia", "quota"))
    with pytest.raises(ProviderError, match="cartesia: quota"):
        await saying


@virtual_time
async def test_any_error_of_a_voice_reaches_the_agent_as_a_providers_error() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one")
    await settled()
    studio.speaker.failed(ConnectionResetError("gone"))
    with pytest.raises(ProviderError, match="tts: gone"):
        await saying


@virtual_time
async def test_a_voice_that_failed_between_two_utterances_fails_the_next() -> None:
    studio = await Studio(held=True).ready()
    studio.speaker.failed(ProviderError("cartesia", "the socket closed"))
    async with asyncio.timeout(60):
        with pytest.raises(ProviderError, match="the socket closed"):
            await studio.say("one")


@virtual_time
async def test_an_utterance_that_failed_does_not_block_the_next() -> None:
    studio = await Studio(held=True).ready()
    first, second = studio.say("one"), studio.say("two")
    await settled()
    first.cancel()
    await settled()
    studio.voice.release()
    await settled()
    studio.echo()
    assert (await second).text == "two"


@virtual_time
async def test_speaking_without_a_voice_says_what_is_missing() -> None:
    studio = Studio()
    with pytest.raises(RuntimeError, match="set tts on its class"):
        await studio.say("one")


@virtual_time
async def test_speech_without_a_stream_is_not_heard_and_blocks_nobody() -> None:
    studio = await Studio().ready(streaming=False)
    spoken = await studio.say("is anybody there")
    assert (spoken.text, spoken.interrupted) == ("", True)


@pytest.mark.parametrize("end", [messages.StreamStopped("lost"), OVER])
def test_speech_is_cut_where_the_stream_was_lost(end: messages.Event) -> None:
    @virtual_time
    async def case() -> None:
        studio = await Studio().ready()
        saying = studio.say("one two three")
        await asyncio.sleep(9 * LETTER_SECONDS)
        studio.call.deliver(end)
        spoken = await saying
        assert (spoken.text, spoken.interrupted) == ("one two", True)

    case()


@virtual_time
async def test_the_time_of_the_first_audio_is_told() -> None:
    studio = await Studio(held=True).ready()
    loop = asyncio.get_running_loop()
    saying = studio.say("one")
    await asyncio.sleep(0.3)
    studio.voice.release(done=False)
    at = loop.time()
    await asyncio.sleep(1)
    studio.speaker.audio(Message(studio.voice.posted[0].uuid, b"", done=True))
    await settled()
    studio.echo()
    assert (await saying).first_audio_at == at


@virtual_time
async def test_that_speech_begins_is_told_once_and_before_its_audio() -> None:
    studio = await Studio().ready()
    saying = studio.say("one")
    await settled()
    assert studio.wire.kinds() == [messages.Speaking, Audio, messages.Mark]
    studio.echo()
    await saying


# The prepared greeting -----------------------------------------------------------------------


@virtual_time
async def test_a_greeting_is_made_without_a_stream_and_played_at_once_on_it() -> None:
    studio = await Studio().ready(streaming=False)
    audio = await studio.speaker.prepare("Hello there")
    assert studio.wire.items == []
    studio.call.deliver(STREAM)
    greeting = asyncio.ensure_future(studio.speaker.play_prepared("Hello there", audio, True))
    await asyncio.sleep(0)
    assert studio.spoken_letters() == len("Hello there")
    await settled()
    studio.echo()
    assert (await greeting).text == "Hello there"


@virtual_time
async def test_a_prepared_greeting_is_cut_like_any_speech() -> None:
    studio = await Studio().ready()
    audio = await studio.speaker.prepare("Hello there")
    greeting = asyncio.ensure_future(studio.speaker.play_prepared("Hello there", audio, True))
    await asyncio.sleep(6 * LETTER_SECONDS)
    studio.speaker.interrupt()
    assert (await greeting).text == "Hello"


@virtual_time
async def test_a_greeting_that_cannot_be_made_fails_with_the_providers_error() -> None:
    studio = await Studio(held=True).ready(streaming=False)
    preparing = asyncio.ensure_future(studio.speaker.prepare("Hello"))
    await settled()
    studio.speaker.failed(ProviderError("cartesia", "401"))
    with pytest.raises(ProviderError):
        await preparing


@virtual_time
async def test_closing_twice_closes_the_voice_once() -> None:
    studio = await Studio().ready()
    await studio.speaker.aclose()
    await studio.speaker.aclose()
    assert studio.voice.closed == 1


def test_each_deed_of_a_speaker_is_safe_before_it_is_connected() -> None:
    @virtual_time
    async def case() -> None:
        speaker = Studio().speaker
        deeds: list[Callable[[], object]] = [
            speaker.interrupt,
            lambda: speaker.failed(ValueError()),
            lambda: speaker.audio(Message(uuid4(), b"x")),
        ]
        for deed in deeds:
            deed()
        await speaker.aclose()

    case()
