import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest

from shared import messages
from shared.speech.clauses import Clauses
from shared.turn_stages import Stage
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import BYTES_A_LETTER, OVER, Audio, TimedVoice, Voice
from tests.worker.studio import LETTER_SECONDS, Studio
from worker.errors import ProviderError
from worker.message import Message
from worker.tts import Timing
from worker.utterance import EAGER_LETTERS, Spoken


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
async def test_utterances_are_heard_in_the_order_in_which_they_were_said() -> None:
    studio = await Studio(TimedVoice(held=True)).ready()
    first, second = studio.say("first"), studio.say("second")
    await settled()
    one, two = studio.voice.posted
    studio.voice.release(two)
    assert studio.spoken_letters() == 0
    studio.voice.release(one)
    await studio.play_out()
    assert [(await first).text, (await second).text] == ["first", "second"]
    assert studio.wire.played[: 5 * BYTES_A_LETTER : BYTES_A_LETTER] == b"first"


@virtual_time
async def test_the_next_utterance_is_made_while_the_one_before_is_still_heard() -> None:
    studio = await Studio().ready()
    first, second = studio.say("first"), studio.say("second")
    await settled()
    assert studio.spoken_letters() == len("first" + "second")
    studio.echo()
    await asyncio.gather(first, second)


@virtual_time
async def test_text_is_made_clause_by_clause_as_it_comes() -> None:
    studio = await Studio(held=True).ready()
    utterance = studio.speaker.begin()
    utterance.feed("Good evening. How ")
    assert [it.data for it in studio.voice.posted] == ["Good evening. "]
    utterance.feed("are you?")
    utterance.finish()
    assert [(it.data, it.done) for it in studio.voice.posted] == [
        ("Good evening. ", False),
        ("How are you?", True),
    ]
    studio.speaker.drop(utterance)


# Barge-in --------------------------------------------------------------------------------------


@virtual_time
async def test_an_interruption_cuts_the_text_at_the_last_word_heard() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three four")
    await studio.letters(9)
    studio.speaker.commit()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("one two", True)
    assert studio.wire.kinds()[-1] is messages.Clear


@virtual_time
async def test_an_interruption_before_the_first_sound_leaves_nothing_heard() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one two")
    await settled()
    studio.speaker.commit()
    assert await saying == Spoken("", interrupted=True)
    assert studio.voice.aborted == [studio.voice.posted[0].uuid]
    assert messages.Clear not in studio.wire.kinds()


@virtual_time
async def test_audio_that_comes_late_for_an_interrupted_utterance_is_dropped() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one two")
    await settled()
    first = studio.voice.posted[0]
    studio.speaker.commit()
    studio.voice.aborted.clear()
    studio.voice.release(first)
    await saying
    following = studio.say("next")
    await settled()
    studio.voice.release(first)
    assert studio.spoken_letters() == 0
    studio.voice.release()
    await studio.play_out()
    assert (await following).text == "next"
    assert studio.spoken_letters() == len("next")


@virtual_time
async def test_text_that_comes_late_for_an_interrupted_utterance_is_not_made() -> None:
    studio = await Studio(held=True).ready()
    utterance = studio.speaker.begin()
    utterance.feed("Good evening. ")
    studio.speaker.commit()
    utterance.feed("How are you? ")
    utterance.finish()
    assert len(studio.voice.posted) == 1


@virtual_time
async def test_an_interruption_in_the_second_utterance_leaves_the_first_whole() -> None:
    studio = await Studio().ready()
    first, second = studio.say("one two"), studio.say("three four")
    await studio.letters(len("one two") + len("three") + 1)
    studio.speaker.commit()
    assert (await first).text == "one two"
    spoken = await second
    assert (spoken.text, spoken.interrupted) == ("three", True)


@virtual_time
async def test_an_utterance_heard_to_its_end_was_not_interrupted_by_what_came_after() -> None:
    studio = await Studio().ready()
    first, second = studio.say("one two"), studio.say("three four")
    await studio.letters(len("one two") + 2)
    studio.speaker.commit()
    assert not (await first).interrupted
    assert (await second).interrupted


@virtual_time
async def test_speech_that_waits_behind_an_interrupted_one_is_given_up_with_it() -> None:
    studio = await Studio().ready()
    first, second = studio.say("one two three"), studio.say("four five")
    await studio.letters(4)
    studio.speaker.commit()
    assert (await first).text == "one"
    assert await second == Spoken("", True, (await second).first_audio_at)
    await asyncio.sleep(5)
    assert studio.wire.played == b"\x55" * 4 * BYTES_A_LETTER


@virtual_time
async def test_what_was_cut_before_it_was_made_whole_is_not_taken_for_heard_whole() -> None:
    studio = await Studio(held=True).ready()
    text = "one two three four five six seven eight"
    saying = studio.say(text)
    await settled()
    studio.speaker.audio(Message(studio.voice.posted[0].uuid, b"x" * 4000, done=False))
    await asyncio.sleep(2)
    studio.speaker.commit()
    spoken = await saying
    assert spoken.interrupted
    assert spoken.text == "one two"


@virtual_time
async def test_an_answer_cut_between_two_clauses_was_interrupted() -> None:
    studio = await Studio(TimedVoice()).ready()
    utterance = studio.speaker.begin()
    utterance.feed("Good evening. ")
    await asyncio.sleep(1)
    studio.speaker.commit()
    assert utterance.so_far().text == "Good evening."
    assert utterance.so_far().interrupted


@virtual_time
async def test_the_agent_speaks_again_after_an_interruption() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await asyncio.sleep(0.01)
    studio.speaker.commit()
    await saying
    again = studio.say("sorry")
    await studio.play_out()
    assert (await again).text == "sorry"


@virtual_time
async def test_what_may_not_be_interrupted_is_said_to_its_end() -> None:
    studio = await Studio().ready()
    saying = studio.say("this call is recorded", interruptible=False)
    await studio.letters(5)
    studio.speaker.pause()
    assert not studio.speaker.paused
    studio.speaker.commit()
    await studio.play_out()
    assert (await saying).text == "this call is recorded"
    assert messages.Clear not in studio.wire.kinds()


@virtual_time
async def test_an_interruption_of_silence_is_none() -> None:
    studio = await Studio().ready()
    studio.speaker.pause()
    studio.speaker.commit()
    assert not studio.speaker.paused
    assert studio.stages == []
    assert studio.wire.items == []


@virtual_time
async def test_an_interruption_after_the_last_word_cuts_nothing() -> None:
    studio = await Studio().ready()
    saying = studio.say("one")
    await asyncio.sleep(1)
    studio.speaker.commit()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("one", False)
    assert messages.Clear not in studio.wire.kinds()


@virtual_time
async def test_two_interruptions_in_a_row_are_one() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await studio.letters(9)
    studio.speaker.commit()
    studio.speaker.commit()
    assert (await saying).text == "one two"
    assert studio.wire.kinds().count(messages.Clear) == 1


# Pause and resume ------------------------------------------------------------------------------


@virtual_time
async def test_a_pause_clears_the_line_at_once_and_ends_nothing() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await studio.letters(5)
    studio.speaker.pause()
    assert studio.wire.kinds()[-1] is messages.Clear
    assert studio.speaker.paused
    assert studio.speaker.audible
    await asyncio.sleep(30)
    assert not saying.done()
    assert studio.stages == [Stage.PAUSED, Stage.CLEARED]
    saying.cancel()


@virtual_time
async def test_after_a_pause_it_goes_on_at_the_word_that_was_cut() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(6)
    studio.speaker.pause()
    await asyncio.sleep(1)
    studio.speaker.resume()
    await studio.play_out()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("one two three", False)
    assert studio.wire.played[::BYTES_A_LETTER] == b"one tw" + b"two three"
    assert Stage.RESUMED in studio.stages


@virtual_time
async def test_while_it_is_paused_voice_and_text_run_on() -> None:
    studio = await Studio(TimedVoice(held=True)).ready()
    utterance = studio.speaker.begin()
    utterance.feed("One two. ")
    studio.voice.release(done=False)
    await studio.letters(2)
    studio.speaker.pause()
    utterance.feed("Three. ")
    utterance.finish()
    for message in studio.voice.posted[1:]:
        studio.voice.release(message, message.done)
    sent = studio.spoken_letters()
    await asyncio.sleep(1)
    assert studio.spoken_letters() == sent
    studio.speaker.resume()
    await studio.play_out()
    assert utterance.so_far() == Spoken("One two. Three.", False, utterance.first_audio_at)


@virtual_time
async def test_what_is_given_up_in_a_pause_is_remembered_as_far_as_it_was_heard() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(6)
    studio.speaker.pause()
    await asyncio.sleep(1)
    studio.speaker.commit()
    assert (await saying).text == "one"
    assert studio.wire.kinds().count(messages.Clear) == 1


@virtual_time
async def test_what_was_on_its_way_through_the_phone_network_at_a_pause_is_heard_all_the_same() -> (
    None
):
    studio = await Studio(TimedVoice(), network_ms=60.0).ready()
    saying = studio.say("one two three")
    await studio.letters(9)
    studio.speaker.pause()
    await asyncio.sleep(0.5)
    studio.speaker.commit()
    assert (await saying).text == "one two"


@virtual_time
async def test_speech_that_is_given_up_at_once_is_remembered_as_far_as_it_had_arrived() -> None:
    studio = await Studio(TimedVoice(), network_ms=60.0).ready()
    saying = studio.say("one two three")
    await studio.letters(9)
    studio.speaker.commit()
    assert (await saying).text == "one"


@virtual_time
async def test_what_was_played_before_the_stream_was_lost_is_not_played_again() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(20)
    studio.lose_stream()
    studio.stream()
    studio.speaker.pause()
    studio.speaker.resume()
    await studio.play_out()
    assert (await saying).text == "one two three"
    assert studio.wire.played[::BYTES_A_LETTER] == b"one two three"


@virtual_time
async def test_echoes_of_marks_that_were_cleared_prove_nothing() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await studio.letters(5)
    marks = list(studio.wire.marks)
    studio.speaker.pause()
    for name in marks:  # the carrier echoes what it has cleared
        studio.call.deliver(messages.MarkPlayed(name))
    await settled()
    assert not saying.done()
    studio.speaker.resume()
    await studio.letters(3)
    assert not saying.done()
    await studio.play_out()
    assert (await saying).text == "one two three"


@virtual_time
async def test_two_pauses_are_one_and_two_resumes_too() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(5)
    studio.speaker.pause()
    studio.speaker.pause()
    studio.speaker.resume()
    studio.speaker.resume()
    await studio.play_out()
    await saying
    assert studio.wire.kinds().count(messages.Clear) == 1
    assert studio.wire.played[::BYTES_A_LETTER] == b"one t" + b"two three"


@virtual_time
async def test_how_much_is_left_is_known_only_while_something_is_said() -> None:
    studio = await Studio(TimedVoice()).ready()
    assert studio.speaker.left_ms is None
    saying = studio.say("one two three")
    await studio.letters(3)
    assert studio.speaker.left_ms == pytest.approx(100)
    studio.speaker.pause()
    assert studio.speaker.left_ms == pytest.approx(100)
    studio.speaker.commit()
    await saying
    assert studio.speaker.left_ms is None


# Who is protected ------------------------------------------------------------------------------


@virtual_time
async def test_what_waits_before_protected_speech_may_still_be_interrupted() -> None:
    studio = await Studio(TimedVoice()).ready()
    first = studio.say("one two three")
    second = studio.say("recorded", interruptible=False)
    await studio.letters(5)
    assert not studio.is_protected()
    studio.speaker.pause()
    assert studio.speaker.paused
    studio.speaker.commit()
    assert (await first).text == "one"
    assert studio.is_protected()
    await studio.play_out()
    assert (await second).text == "recorded"
    assert studio.wire.played[::BYTES_A_LETTER] == b"one t" + b"recorded"


@virtual_time
async def test_what_waits_behind_protected_speech_can_be_given_up() -> None:
    studio = await Studio(TimedVoice()).ready()
    first = studio.say("this is recorded", interruptible=False)
    second = studio.say("now four")
    await studio.letters(6)
    assert studio.speaker.protected
    studio.speaker.commit()
    await studio.play_out()
    assert (await first).text == "this is recorded"
    assert (await second).text == ""
    assert studio.wire.played[::BYTES_A_LETTER] == b"this i" + b"is recorded"


@virtual_time
async def test_speech_becomes_protected_when_its_turn_has_come() -> None:
    studio = await Studio().ready()
    first = studio.say("one")
    second = studio.say("two", interruptible=False)
    await settled()
    mark = studio.wire.marks.pop(0)
    studio.call.deliver(messages.MarkPlayed(mark))
    await first
    assert studio.speaker.protected
    await studio.play_out()
    await second


@virtual_time
async def test_last_words_are_protected_even_out_of_a_pause() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("see you soon")
    await studio.letters(2)
    studio.speaker.pause()
    studio.speaker.protect()
    assert not studio.speaker.paused
    silent = asyncio.ensure_future(studio.speaker.silent())
    studio.speaker.commit()
    await studio.play_out()
    await silent
    assert (await saying).text == "see you soon"


# Where text comes from -------------------------------------------------------------------------


class Source:
    """A stream of text, and whether it was closed."""

    def __init__(self, *pieces: str, wait: float = 0.0, then: Exception | None = None) -> None:
        self.pieces, self.wait, self.then, self.closed = pieces, wait, then, 0

    async def stream(self) -> AsyncIterator[str]:
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.wait)
                yield piece
            if self.then is not None:
                raise self.then
        finally:
            self.closed += 1


@virtual_time
async def test_a_stream_of_text_is_spoken_as_it_comes() -> None:
    studio = await Studio(TimedVoice()).ready()
    source = Source("Good even", "ing. How are", " you?", wait=1.0)
    saying = asyncio.ensure_future(studio.speaker.say(source.stream(), interruptible=True))
    await asyncio.sleep(2.1)
    assert studio.wire.played[::BYTES_A_LETTER] == b"Good eveni"
    await asyncio.sleep(2)
    await studio.play_out()
    assert (await saying).text == "Good evening. How are you?"
    assert source.closed == 1


@virtual_time
async def test_a_stream_whose_speech_is_cut_is_closed_at_once() -> None:
    studio = await Studio(TimedVoice()).ready()
    source = Source(*["One two three. "] * 20, wait=0.5)
    saying = asyncio.ensure_future(studio.speaker.say(source.stream(), interruptible=True))
    await asyncio.sleep(1.2)
    studio.speaker.commit()
    await settled()
    assert source.closed == 1
    spoken = await saying
    assert spoken.interrupted
    assert spoken.text == "One two three. One two three."


@virtual_time
async def test_a_stream_that_raises_raises_out_of_what_it_says() -> None:
    studio = await Studio().ready()
    source = Source("One two three. ", wait=0.1, then=ValueError("the author's"))
    with pytest.raises(ValueError, match="the author's"):
        await studio.speaker.say(source.stream(), interruptible=True)
    assert not studio.speaker.audible
    assert source.closed == 1


@virtual_time
async def test_who_stops_waiting_for_a_stream_closes_it_and_stops_the_speech() -> None:
    studio = await Studio().ready()
    source = Source(*["One two three. "] * 20, wait=0.05)
    saying = asyncio.ensure_future(studio.speaker.say(source.stream(), interruptible=True))
    await asyncio.sleep(0.2)
    saying.cancel()
    await asyncio.wait([saying])
    assert source.closed == 1
    assert not studio.speaker.audible
    assert studio.wire.kinds()[-1] is messages.Clear


@virtual_time
async def test_speech_that_is_dropped_leaves_what_is_before_and_behind_it() -> None:
    studio = await Studio(TimedVoice()).ready()
    first, second, third = studio.say("one two "), studio.say("never "), studio.say("three")
    await studio.letters(2)
    second.cancel()
    await studio.play_out()
    assert [(await first).text, (await third).text] == ["one two", "three"]
    assert studio.wire.played[::BYTES_A_LETTER] == b"on" + b"one two " + b"three"


# Failing ---------------------------------------------------------------------------------------


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
async def test_a_voice_that_fails_while_it_is_paused_leaves_no_pause_behind() -> None:
    studio = await Studio(held=True).ready()
    saying = studio.say("one two three")
    await settled()
    studio.voice.release(done=False)
    await studio.letters(3)
    studio.speaker.pause()
    changes = studio.changes
    studio.speaker.failed(ProviderError("cartesia", "quota"))
    assert not studio.speaker.paused
    assert not studio.speaker.audible
    assert studio.changes > changes
    with pytest.raises(ProviderError):
        await saying


@virtual_time
async def test_what_was_made_before_the_voice_failed_is_still_heard() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await settled()
    studio.speaker.failed(ProviderError("cartesia", "quota"))
    await studio.play_out()
    assert (await saying).text == "one two three"


@virtual_time
async def test_an_utterance_that_failed_does_not_block_the_next() -> None:
    studio = await Studio(held=True).ready()
    first, second = studio.say("one"), studio.say("two")
    await settled()
    first.cancel()
    await settled()
    studio.voice.release()
    await studio.play_out()
    assert (await second).text == "two"


@virtual_time
async def test_speaking_without_a_voice_says_what_is_missing() -> None:
    studio = Studio()
    with pytest.raises(RuntimeError, match="set tts on its class"):
        await studio.say("one")
    assert not studio.speaker.audible


# The line --------------------------------------------------------------------------------------


@virtual_time
async def test_speech_without_a_stream_waits_for_one() -> None:
    studio = await Studio().ready(streaming=False)
    saying = studio.say("is anybody there")
    await asyncio.sleep(3)
    assert studio.wire.items == []
    studio.stream()
    await studio.play_out()
    assert (await saying).text == "is anybody there"


@virtual_time
async def test_speech_without_a_stream_ends_with_the_call() -> None:
    studio = await Studio().ready(streaming=False)
    saying = studio.say("is anybody there")
    await settled()
    studio.speaker.give_up()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("", True)


@virtual_time
async def test_on_another_stream_speech_goes_on_at_the_word_where_the_first_was_lost() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(6)
    studio.lose_stream()
    await asyncio.sleep(3)
    assert not saying.done()
    studio.stream()
    await studio.play_out()
    assert (await saying).text == "one two three"
    assert studio.wire.played[::BYTES_A_LETTER] == b"one tw" + b"two three"


@virtual_time
async def test_a_stream_that_is_lost_in_a_pause_leaves_the_pause_and_nothing_is_lost() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(6)
    studio.speaker.pause()
    studio.lose_stream()
    studio.stream()
    await asyncio.sleep(1)
    assert studio.speaker.paused
    studio.speaker.resume()
    await studio.play_out()
    assert (await saying).text == "one two three"
    assert studio.wire.played[::BYTES_A_LETTER] == b"one tw" + b"two three"


@virtual_time
async def test_a_pause_that_ends_without_a_stream_goes_on_with_the_next() -> None:
    studio = await Studio(TimedVoice()).ready()
    saying = studio.say("one two three")
    await studio.letters(6)
    studio.speaker.pause()
    studio.lose_stream()
    studio.speaker.resume()
    await asyncio.sleep(1)
    studio.stream()
    await studio.play_out()
    assert (await saying).text == "one two three"
    assert studio.wire.played[::BYTES_A_LETTER] == b"one tw" + b"two three"


@virtual_time
async def test_speech_is_cut_where_the_call_ended() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two three")
    await studio.letters(9)
    studio.call.deliver(OVER)
    studio.speaker.give_up()
    spoken = await saying
    assert (spoken.text, spoken.interrupted) == ("one two", True)


@virtual_time
async def test_when_the_call_is_over_nothing_more_is_said() -> None:
    studio = await Studio().ready()
    studio.call.deliver(OVER)
    assert await studio.say("one") == Spoken("", interrupted=False)
    assert studio.voice.posted == []


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
    await studio.play_out()
    assert (await saying).first_audio_at == at


@virtual_time
async def test_that_speech_begins_is_told_once_and_before_its_audio() -> None:
    studio = await Studio().ready()
    saying = studio.say("one")
    await settled()
    assert studio.wire.kinds() == [messages.Speaking, Audio, messages.Mark]
    studio.echo()
    await saying


@virtual_time
async def test_a_reply_is_timed_from_its_first_clause_to_its_first_frame_heard() -> None:
    studio = await Studio().ready()
    saying = studio.say("one two", reply=True)
    await settled()
    assert studio.stages == [Stage.FIRST_CLAUSE, Stage.FIRST_AUDIO, Stage.FIRST_SENT]
    await studio.play_out()
    await saying
    assert Stage.FIRST_HEARD in studio.stages


# Made before it is said ------------------------------------------------------------------------


@virtual_time
async def test_a_greeting_is_made_without_a_stream_and_played_at_once_on_it() -> None:
    studio = await Studio().ready(streaming=False)
    greeting = studio.speaker.begin()
    greeting.feed("Hello there")
    greeting.finish()
    await settled()
    assert studio.wire.items == []
    studio.stream()
    assert studio.spoken_letters() == len("Hello there")
    await studio.play_out()
    assert (await greeting.heard()).text == "Hello there"


@virtual_time
async def test_what_is_held_is_made_and_not_said_before_it_is_released() -> None:
    studio = await Studio().ready()
    held = studio.speaker.begin(held=True)
    held.feed("Hello there")
    held.finish()
    await asyncio.sleep(1)
    assert (len(studio.voice.posted), studio.spoken_letters()) == (1, 0)
    assert not studio.speaker.audible
    studio.speaker.release(held)
    studio.speaker.release(held)
    assert studio.spoken_letters() == len("Hello there")
    await studio.play_out()
    assert (await held.heard()).text == "Hello there"


@virtual_time
async def test_a_commit_leaves_what_is_held() -> None:
    studio = await Studio().ready()
    held = studio.speaker.begin(held=True)
    held.feed("next")
    held.finish()
    saying = studio.say("one two")
    await studio.letters(2)
    studio.speaker.commit()
    await saying
    studio.speaker.release(held)
    await studio.play_out()
    assert (await held.heard()).text == "next"


@virtual_time
async def test_what_was_prepared_in_vain_is_forgotten() -> None:
    studio = await Studio(held=True).ready()
    held = studio.speaker.begin(held=True)
    held.feed("Hello. there")
    studio.speaker.drop(held)
    studio.speaker.release(held)
    assert studio.voice.aborted == [held.speech.uuid]
    await settled()
    assert studio.spoken_letters() == 0


@virtual_time
async def test_a_greeting_that_cannot_be_made_fails_with_the_providers_error() -> None:
    studio = await Studio(held=True).ready(streaming=False)
    greeting = studio.speaker.begin()
    greeting.feed("Hello")
    greeting.finish()
    studio.speaker.failed(ProviderError("cartesia", "401"))
    with pytest.raises(ProviderError):
        await greeting.heard()


# Another voice ---------------------------------------------------------------------------------


@virtual_time
async def test_another_voice_speaks_the_next_utterance_and_the_old_one_is_closed() -> None:
    studio = await Studio().ready()
    first, other = studio.say("one two"), Voice()
    await settled()
    await studio.speaker.swap(other)
    second = studio.say("three")
    await studio.play_out()
    assert [(await first).text, (await second).text] == ["one two", "three"]
    assert (studio.voice.closed, [it.data for it in other.posted]) == (1, ["three"])


@virtual_time
async def test_of_what_the_old_voice_was_making_only_what_it_made_is_said() -> None:
    studio = await Studio(TimedVoice(held=True)).ready()
    utterance = studio.speaker.begin()
    utterance.feed("One two. Three four. ")
    studio.voice.release(studio.voice.posted[0], done=False)
    await studio.speaker.swap(Voice())
    utterance.feed("Five six. ")
    utterance.finish()
    await studio.play_out()
    spoken = await utterance.heard()
    assert (spoken.text, spoken.interrupted) == ("One two.", True)


@virtual_time
async def test_what_the_old_voice_says_after_it_was_replaced_is_nobodys_business() -> None:
    studio = await Studio(held=True).ready()
    old = studio.voice.listener
    assert old is not None
    await studio.speaker.swap(Voice())
    saying = studio.say("one")
    await settled()
    old.failed(ProviderError("cartesia", "too late"))
    uuid = uuid4()
    old.timed(uuid, [Timing("one", 0, 1)])
    old.audio(Message(uuid, b"x"))
    await studio.play_out()
    assert (await saying).text == "one"


@virtual_time
async def test_a_voice_that_cannot_be_had_leaves_the_one_before() -> None:
    studio = await Studio().ready()
    with pytest.raises(ProviderError, match="no such voice"):
        await studio.speaker.swap(Voice(error=ProviderError("elevenlabs", "no such voice")))
    saying = studio.say("one")
    await studio.play_out()
    assert (await saying).text == "one"
    assert studio.voice.closed == 0


@virtual_time
async def test_another_voice_speaks_after_one_was_lost() -> None:
    studio = await Studio().ready()
    studio.speaker.failed(ProviderError("cartesia", "quota"))
    await studio.speaker.swap(Voice())
    saying = studio.say("one")
    await studio.play_out()
    assert (await saying).text == "one"


# The end ---------------------------------------------------------------------------------------


@virtual_time
async def test_closing_twice_closes_the_voice_once() -> None:
    studio = await Studio().ready()
    await studio.speaker.aclose()
    await studio.speaker.aclose()
    assert studio.voice.closed == 1


@virtual_time
async def test_closing_ends_everything_that_is_said_or_held_in_a_pause() -> None:
    studio = await Studio(TimedVoice()).ready()
    first, second = studio.say("one two three"), studio.say("four")
    await studio.letters(6)
    studio.speaker.pause()
    await studio.speaker.aclose()
    assert [(await first).text, (await second).text] == ["one", ""]
    assert not studio.speaker.paused


def test_each_deed_of_a_speaker_is_safe_before_it_is_connected() -> None:
    @virtual_time
    async def case() -> None:
        speaker = Studio().speaker
        deeds: list[Callable[[], object]] = [
            speaker.pause,
            speaker.resume,
            speaker.commit,
            speaker.protect,
            speaker.stream_opened,
            speaker.stream_closed,
            lambda: speaker.timed(uuid4(), [Timing("x", 0, 1)]),
            lambda: speaker.audio(Message(uuid4(), b"x")),
            lambda: speaker.failed(ValueError()),
        ]
        for deed in deeds:
            deed()
        await speaker.silent()
        await speaker.aclose()

    case()


@pytest.mark.parametrize("by", ["word", "clause"])
@pytest.mark.parametrize("paused", [False, True])
def test_what_is_remembered_is_what_was_played_wherever_it_is_cut(by: str, paused: bool) -> None:
    text = "Good evening, Sir. We have a table for 4 at eight, and one at half-past nine."

    @virtual_time
    async def case() -> None:
        for letters in range(1, len(text) + 3):
            studio = await Studio(TimedVoice(by=by)).ready()  # type: ignore[arg-type]
            saying = studio.say(text)
            await studio.letters(letters + 0.3)
            if paused:
                studio.speaker.pause()
                await asyncio.sleep(0.7)
            studio.speaker.commit()
            spoken = await saying
            played = len(studio.wire.played) // BYTES_A_LETTER
            ends = _clause_ends(text) if by == "clause" else _word_ends(text)
            assert len(spoken.text) == max((end for end in ends if end <= played), default=0)
            assert text.startswith(spoken.text)
            assert spoken.interrupted == (spoken.text != text)

    case()


def _clause_ends(text: str) -> list[int]:
    clauses = Clauses(verbatim=True, eager=EAGER_LETTERS)
    pieces = [*clauses.feed(text), *clauses.flush()]
    return [len("".join(pieces[:n]).rstrip()) for n in range(1, len(pieces) + 1)]


def _word_ends(text: str) -> list[int]:
    return [n for n in range(1, len(text) + 1) if (text[n : n + 1] or " ") == " "]


def test_the_letters_of_a_voice_last_as_long_as_the_tests_take_them_to() -> None:
    assert LETTER_SECONDS == 0.01
