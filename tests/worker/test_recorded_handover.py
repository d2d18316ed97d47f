"""What becomes of a call's recording when another agent takes the call over."""

import asyncio
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import ALL, Live, clerk
from tests.worker.playbook import STREAM, After
from tests.worker.scripted_speech import Speech, talker
from worker.agent import Agent
from worker.recording import Recording

CONSENT = "This call is recorded."
OTHER = "It is transcribed, too."
LETTER_S = 0.01


class Recorded(Live):
    """Requests about recordings are granted at once."""

    def asked(self) -> list[messages.Request]:
        """Return them, and grant those that wait."""
        kinds = (messages.Record, messages.StartRecording, messages.StartTranscription)
        found: list[messages.Request] = []
        found += [it for it in self.wire.items if isinstance(it, kinds)]
        for request in found:
            self.event(messages.Reply(request.request))
        return found

    async def goes_on(self, seconds: float = ALL) -> list[messages.Request]:
        """Let time pass; return what was asked for."""
        for _ in range(20):
            self.asked()
            await (self >> After(seconds / 20))
        return self.asked()


async def _greets(self: Agent) -> None:
    await self.say("Billing here.")


def billing(recording: Recording | None, **attributes: Any) -> type[Agent]:
    return clerk(recording=recording, on_taken_over=_greets, **attributes)


async def handed(play: Recorded, other: type[Agent]) -> None:
    agent = play.session.conversation.agent
    play.session._spawn(agent.hand_over(other))
    await settled()


@virtual_time
async def test_a_colleagues_phrase_is_said_before_its_words_and_recording_begins_after_it() -> None:
    play = Recorded(clerk(greeting="Hello."))
    await (play >> STREAM)
    assert await play.goes_on() == []
    await handed(play, billing(Recording(carrier=True)))
    await (play >> After(LETTER_S * len(CONSENT) - 0.02))
    (listens,) = play.asked()
    assert isinstance(listens, messages.Record)
    assert not listens.on
    asked = await play.goes_on()
    assert asked[1:] == [messages.Record(2, on=True), messages.StartRecording(3)]
    assert play.said("agent") == ["Hello.", CONSENT, "Billing here."]
    await play.finished()


@virtual_time
async def test_a_colleague_that_wants_none_stops_none() -> None:
    play = Recorded(clerk(greeting="Hello.", recording=Recording()))
    await (play >> STREAM)
    before = await play.goes_on()
    await handed(play, billing(None))
    assert await play.goes_on() == before
    await play.finished()


@virtual_time
async def test_what_was_about_to_begin_does_not_if_a_colleague_that_wants_none_has_the_call() -> (
    None
):
    play = Recorded(clerk(greeting="Hello.", recording=Recording(carrier=True)))
    await (play >> STREAM)
    await (play >> After(LETTER_S * len(CONSENT) / 2))
    play.asked()
    await handed(play, billing(None))
    asked = await play.goes_on()
    assert [it for it in asked if not isinstance(it, messages.Record) or it.on] == []
    await play.finished()


@virtual_time
async def test_a_colleague_with_the_same_words_begins_what_it_wants_once_they_were_heard() -> None:
    play = Recorded(clerk(greeting="Hello.", recording=Recording(carrier=True)))
    await (play >> STREAM)
    await (play >> After(LETTER_S * len(CONSENT) / 2))
    play.asked()
    await handed(play, billing(Recording(transcription=True)))
    asked = await play.goes_on()
    begun = [type(it) for it in asked if not isinstance(it, messages.Record) or it.on]
    assert begun == [messages.Record, messages.StartTranscription]
    assert play.said("agent").count(CONSENT) == 1
    await play.finished()


@virtual_time
async def test_a_phrase_that_was_heard_is_not_said_again_and_what_runs_is_not_begun_again() -> None:
    play = Recorded(clerk(greeting="Hello.", recording=Recording(carrier=True)))
    await (play >> STREAM)
    before = await play.goes_on()
    await handed(play, billing(Recording(carrier=True, transcription=True)))
    asked = await play.goes_on()
    # Our own is asked for in any case: it goes on if the agent before had paused it.
    assert [type(it) for it in asked[len(before) :]] == [
        messages.Record,
        messages.StartTranscription,
    ]
    assert play.said("agent") == [CONSENT, "Hello.", "Billing here."]
    await play.finished()


@virtual_time
async def test_another_phrase_is_said_and_what_is_recorded_already_goes_on_meanwhile() -> None:
    play = Recorded(clerk(greeting="Hello.", recording=Recording()))
    await (play >> STREAM)
    before = await play.goes_on()
    await handed(play, billing(Recording(transcription=True, consent=OTHER)))
    asked = await play.goes_on()
    assert messages.Record(asked[-2].request, on=False) not in asked[len(before) :]
    assert [type(it) for it in asked[len(before) :]] == [
        messages.Record,
        messages.StartTranscription,
    ]
    assert play.said("agent") == [CONSENT, "Hello.", OTHER, "Billing here."]
    await play.finished()


@virtual_time
async def test_without_a_phrase_a_colleagues_recording_begins_at_once() -> None:
    play = Recorded(clerk(greeting="Hello."))
    await (play >> STREAM)
    await play.goes_on()
    await handed(play, billing(Recording(consent="")))
    assert play.asked() == [messages.Record(1, on=True)]
    await play.goes_on()
    await play.finished()


@virtual_time
async def test_a_call_that_is_handed_over_twice_hears_each_phrase_once() -> None:
    play = Recorded(clerk())
    await (play >> STREAM)
    await play.goes_on()
    for _ in range(2):
        await handed(play, billing(Recording()))
    asked = await play.goes_on()
    assert play.said("agent").count(CONSENT) == 1
    states = [it.on for it in asked if isinstance(it, messages.Record)]
    assert states == sorted(states)  # listened to before, never after it has begun
    assert states[-1]
    await play.finished()


@virtual_time
async def test_a_speech_model_is_asked_to_say_a_colleagues_phrase() -> None:
    model = Speech()
    play = Recorded(talker(model, greeting="Hello."))
    await (play >> STREAM)
    model.says("Hello.")
    await play.goes_on()
    await handed(play, talker(model, recording=Recording()))
    asked = await play.goes_on()
    assert model.asked == [CONSENT]
    assert asked == [messages.Record(1, on=False), messages.Record(2, on=True)]
    await play.finished()


@virtual_time
async def test_a_call_handed_over_while_it_rings_greets_with_the_colleagues_phrase() -> None:
    class Rings:
        async def on_ringing(self) -> None:
            await self.hand_over(other)  # type: ignore[attr-defined]

    other = clerk(greeting="Billing here.", recording=Recording(consent=OTHER))
    play = Recorded(clerk(None, Rings, greeting="Hello.", recording=Recording()))
    await play.goes_on(0.1)
    await (play >> STREAM)
    asked = await play.goes_on()
    assert play.said("agent") == [OTHER, "Billing here."]
    assert asked[-1] == messages.Record(asked[-1].request, on=True)
    assert sum(isinstance(it, messages.Record) and it.on for it in asked) == 1
    await play.finished()


@virtual_time
async def test_the_gateway_is_told_what_is_on_its_way_when_a_recording_begins_in_speech() -> None:
    play = Recorded(clerk(greeting="Hello there, and good morning."))
    await (play >> STREAM >> After(0.1))
    recording = asyncio.ensure_future(play.call.record())
    await settled()
    (request,) = play.asked()
    assert isinstance(request, messages.Record)
    assert request.ahead_ms == pytest.approx(200, abs=1)
    await recording
    again = asyncio.ensure_future(play.call.record(False))
    await settled()
    assert play.asked()[1:] == [messages.Record(2, on=False)]
    await again
    await play.goes_on()
    await play.finished()
