import asyncio
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from shared import messages
from shared.audio import FRAME_BYTES
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import BYTES_A_LETTER, STREAM, Audio, TimedVoice
from tests.worker.studio import Studio
from worker.message import Message
from worker.playout import ECHO_SECONDS
from worker.utterance import Spoken


@virtual_time
async def test_a_reply_has_a_mark_behind_its_first_frame_and_others_have_not() -> None:
    studio = await Studio(TimedVoice()).ready()
    other = studio.say("one")
    await settled()
    reply = studio.say("two", reply=True)
    await settled()
    rest = 3 * BYTES_A_LETTER - FRAME_BYTES
    assert studio.wire.pieces == [3 * BYTES_A_LETTER, FRAME_BYTES, rest]
    kinds = [it for it in studio.wire.kinds() if it is not messages.Speaking]
    begun = kinds.index(Audio, 1)
    assert messages.Mark in kinds[1:begun]
    assert kinds[begun : begun + 4] == [Audio, messages.Mark, Audio, messages.Mark]
    await studio.play_out()
    await asyncio.gather(other, reply)


@virtual_time
async def test_each_clause_has_a_mark_behind_it() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("One and two. Three and four. Five and six.")
    await settled()
    kinds = studio.wire.kinds()
    assert kinds.count(messages.Mark) == 4  # a clause each, and the end
    await studio.play_out()
    await saying


@virtual_time
async def test_audio_goes_out_as_it_is_made_and_ahead_of_time() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one two")
    await settled()
    uuid = studio.voice.posted[0].uuid
    for _ in range(3):
        studio.speaker.audio(Message(uuid, b"x" * 800, done=False))
    assert studio.wire.pieces == [800, 800, 800]
    saying.cancel()


@virtual_time
async def test_an_utterance_whose_mark_is_not_echoed_counts_as_heard_after_a_while() -> None:
    studio = await Studio().ready()
    loop = asyncio.get_running_loop()
    began = loop.time()
    spoken = await studio.speaker.say("one two", interruptible=True)
    assert (spoken.text, spoken.interrupted) == ("one two", False)
    assert loop.time() - began < ECHO_SECONDS + 1


@virtual_time
async def test_speech_that_was_taken_back_is_not_taken_for_heard_by_the_clock() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two")
    await studio.letters(2)
    studio.speaker.pause()
    await asyncio.sleep(3 * ECHO_SECONDS)
    assert not saying.done()
    studio.speaker.commit()
    assert (await saying).interrupted


@virtual_time
async def test_a_line_that_the_author_cleared_ends_what_was_said_where_it_was_heard() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(8)
    studio.call.clear()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("one two", True)


@virtual_time
async def test_another_stream_without_the_end_of_the_first_blocks_nobody() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(8)
    studio.call.deliver(STREAM)
    studio.speaker.stream_opened()
    async with asyncio.timeout(60):
        await saying


@virtual_time
async def test_audio_of_others_on_the_line_does_not_move_what_was_heard() -> None:
    studio = await Studio(TimedVoice(held=True)).ready()
    utterance = studio.speaker.begin()
    utterance.feed("One two. ")
    studio.voice.release(done=False)
    studio.call.play(b"\0" * 100 * BYTES_A_LETTER)
    utterance.feed("Three four. ")
    utterance.finish()
    for message in studio.voice.posted[1:]:
        studio.voice.release(message, message.done)
    await studio.letters(9 + 100 + 6)
    studio.speaker.commit()
    assert utterance.so_far().text == "One two. Three"


@virtual_time
async def test_what_was_heard_before_others_had_the_line_is_remembered_meanwhile() -> None:
    studio = await Studio(TimedVoice(held=True)).ready()
    utterance = studio.speaker.begin()
    utterance.feed("One two. Three four. ")
    studio.voice.release(studio.voice.posted[0], done=False)
    await studio.letters(9)
    studio.call.play(b"\0" * 100 * BYTES_A_LETTER)
    studio.voice.release(studio.voice.posted[1], done=False)
    await studio.letters(50)
    studio.speaker.commit()
    assert utterance.so_far().text == "One two."


@virtual_time
async def test_who_waits_for_silence_waits_for_everything() -> None:
    studio = await Studio().ready()
    first, second = studio.say("one"), studio.say("two")
    await settled()
    silent = asyncio.ensure_future(studio.speaker.silent())
    mark = studio.wire.marks.pop(0)
    studio.call.deliver(messages.MarkPlayed(mark))
    await first
    await settled()
    assert not silent.done()
    await studio.play_out()
    await second
    await silent


_DEEDS = st.lists(
    st.one_of(
        st.integers(1, 40),
        st.sampled_from(["say", "firmly", "pause", "resume", "lose", "stream", "echo"]),
    ),
    max_size=25,
)
_TEXT = "alpha bravo charlie "


class _Trial:
    """A studio in which anything may happen."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.saying: list[asyncio.Task[Spoken]] = []

    async def do(self, deed: str | int) -> None:
        """Let it happen, if it can."""
        studio = self.studio
        match deed:
            case int():
                await studio.letters(deed + 0.5)
            case "say" | "firmly":
                self.saying.append(studio.say(_TEXT, interruptible=deed == "say"))
                await settled()
            case "pause":
                studio.speaker.pause()
            case "resume":
                studio.speaker.resume()
            case "echo":
                await studio.play_out()
            case "lose" if studio.call.streaming:
                studio.lose_stream()
            case "stream" if not studio.call.streaming:
                studio.stream()

    async def over(self) -> list[Spoken]:
        """Play everything; return what was said."""
        for deed in ("stream", "resume", *["echo"] * (len(self.saying) + 1)):
            await self.do(deed)
        return [await it for it in self.saying]


@settings(max_examples=60, deadline=None)
@given(_DEEDS)
def test_without_a_commit_every_word_is_played_in_order_whatever_happens(
    deeds: list[str | int],
) -> None:
    @virtual_time
    async def case() -> None:
        trial = _Trial(await Studio(TimedVoice()).ready())
        for deed in deeds:
            await trial.do(deed)
        for spoken in await trial.over():
            assert (spoken.text, spoken.interrupted) == (_TEXT.strip(), False)
        assert _whole_words(trial.studio.wire.played) == (_TEXT * len(trial.saying)).split()

    case()


def _whole_words(played: bytes) -> list[str]:
    """Return the words that were played whole; one that was cut is followed by itself, whole."""
    letters, rest = "", played
    while rest:
        size = len(rest) - len(rest.lstrip(rest[:1]))  # letters never follow themselves
        letters += chr(rest[0]) if size >= BYTES_A_LETTER else ""
        rest = rest[size:]
    return re.findall("alpha|bravo|charlie", letters)
