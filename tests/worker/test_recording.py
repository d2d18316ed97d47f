"""What is said before a call is recorded, and when it is."""

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import ALL, Live, clerk
from tests.worker.playbook import OVER, STREAM, After, Begins, Ears, Says, Voice
from tests.worker.scripted_llm import Model
from tests.worker.scripted_speech import Speech, talker
from worker.agent import Agent
from worker.errors import ProviderLostError
from worker.recording import Recording, fault

CONSENT = "This call is recorded."
LETTER_S = 0.01


def asked(play: Live) -> list[messages.Request]:
    kinds = (messages.Record, messages.StartRecording, messages.StartTranscription)
    return [it for it in play.wire.items if isinstance(it, kinds)]


def said(play: Live) -> list[str]:
    return [it.text for it in play.told(messages.Said)]


async def end(play: Live) -> None:
    for request in asked(play):
        play.event(messages.Reply(request.request))
    await play.finished()


@virtual_time
async def test_an_agent_that_wants_no_recording_asks_for_none() -> None:
    play = await (Live(clerk(greeting="Hello.")) >> STREAM >> After(ALL))
    assert asked(play) == []
    await end(play)


@virtual_time
async def test_recording_begins_once_the_caller_has_heard_of_it_and_the_greeting_follows() -> None:
    play = await (Live(clerk(greeting="Hello there.", recording=Recording())) >> STREAM)
    await (play >> After(LETTER_S * len(CONSENT) - 0.02))
    assert asked(play) == [messages.Record(1, on=False)]
    await (play >> After(0.04))
    assert asked(play) == [messages.Record(1, on=False), messages.Record(2, on=True)]
    await (play >> After(ALL))
    assert said(play) == [CONSENT, "Hello there."]
    await end(play)


@virtual_time
async def test_nobody_interrupts_it() -> None:
    play = await (Live(clerk(greeting="Hello.", recording=Recording())) >> STREAM >> After(0.05))
    await (play >> Begins() >> Says("no wait a moment please") >> After(ALL))
    assert CONSENT in said(play)
    assert len(asked(play)) == 2
    await end(play)


@virtual_time
async def test_without_a_phrase_recording_begins_with_the_stream() -> None:
    play = Live(clerk(greeting="Hello.", recording=Recording(consent="")))
    await settled()
    assert asked(play) == [messages.Record(1, on=True)]
    await (play >> STREAM >> After(ALL))
    assert asked(play) == [messages.Record(1, on=True)]
    assert said(play) == ["Hello."]
    await end(play)


@virtual_time
async def test_the_carriers_recording_and_transcription_begin_at_the_same_moment() -> None:
    wanted = Recording(own=False, carrier=True, transcription=True)
    play = await (Live(clerk(recording=wanted)) >> STREAM)
    assert asked(play) == []
    await (play >> After(1))
    assert [type(it) for it in asked(play)] == [
        messages.StartRecording,
        messages.StartTranscription,
    ]
    await end(play)


@virtual_time
async def test_a_caller_who_hangs_up_before_is_not_recorded() -> None:
    play = await (Live(clerk(recording=Recording())) >> STREAM >> After(0.1) >> OVER)
    await (play >> After(ALL))
    assert asked(play) == [messages.Record(1, on=False)]
    await play.finished()


@virtual_time
async def test_a_stream_that_is_lost_meanwhile_hears_it_to_its_end_on_the_next() -> None:
    play = await (Live(clerk(recording=Recording())) >> STREAM >> After(0.1))
    await (play >> messages.StreamStopped("lost") >> After(1))
    assert len(asked(play)) == 1
    await (play >> STREAM >> After(1))
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_an_agent_without_a_voice_is_not_recorded_and_the_operator_is_told() -> None:
    agent = type("Mute", (Agent,), {"recording": Recording()})
    play = await (Live(agent) >> STREAM >> After(ALL))
    assert asked(play) == [messages.Record(1, on=False)]
    (line,) = play.told(messages.Log)
    assert line.level == "error"
    assert "consent=''" in line.fields["why"]
    await end(play)


@virtual_time
async def test_a_recording_that_cannot_be_had_is_the_operators_trouble() -> None:
    play = await (Live(clerk(greeting="Hello.", recording=Recording())) >> STREAM >> After(1))
    play.event(messages.Failure(1, "recording", "the disk is full"))
    play.event(messages.Failure(2, "recording", "the disk is full"))
    await (play >> After(ALL))
    assert [it.fields["why"] for it in play.told(messages.Log)] == [
        "the disk is full (recording)"
    ] * 2
    assert said(play) == [CONSENT, "Hello."]
    await play.finished()


# A speech-to-speech model ------------------------------------------------------------------------


@virtual_time
async def test_a_model_greets_with_the_phrase_and_is_recorded_after_that() -> None:
    model = Speech()
    play = Live(talker(model, greeting="Hello.", recording=Recording()))
    await settled()
    (opening,) = model.openings
    assert (opening.greeting, opening.greeting_interruptible) == (f"{CONSENT} Hello.", False)
    await (play >> STREAM)
    model.says(opening.greeting)
    await (play >> After(0.1))
    assert len(asked(play)) == 1
    await (play >> After(1))
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_a_model_that_has_greeted_while_the_phone_rang_is_recorded_after_that() -> None:
    model = Speech()
    play = Live(talker(model, recording=Recording()))
    await settled()
    model.says(model.openings[0].greeting)
    await (play >> STREAM >> After(0.1))
    assert len(asked(play)) == 1
    await (play >> After(1))
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_a_model_that_is_lost_before_it_greets_leaves_the_phrase_to_the_next_one() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second], recording=Recording())) >> STREAM >> After(0.1))
    first.fails(ProviderLostError("ultravox", "away"))
    await settled()
    second.says(second.openings[0].greeting)
    await (play >> After(0.2))
    assert len(asked(play)) == 1
    await (play >> After(1))
    assert said(play) == [CONSENT]
    assert second.asked == []
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_a_cascade_that_takes_over_before_the_model_greets_says_the_phrase_once() -> None:
    model = Speech()
    agent = clerk(Model(), speech=model, greeting="Hello.", recording=Recording())
    play = await (Live(agent) >> STREAM >> After(0.1))
    model.fails(ProviderLostError("ultravox", "away"))
    await (play >> After(2))
    assert said(play) == [CONSENT, "Hello."]
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_a_model_that_takes_over_in_the_middle_of_it_is_asked_to_say_it() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second], recording=Recording())) >> STREAM)
    first.says(CONSENT, whole=False)
    await (play >> After(0.1))
    first.fails(ProviderLostError("ultravox", "away"))
    await (play >> After(ALL))
    assert CONSENT in second.asked
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_a_model_that_does_not_greet_is_asked_to_say_it() -> None:
    model = Speech()
    play = await (Live(talker(model, recording=Recording())) >> STREAM >> After(20))
    assert model.asked[0] == CONSENT
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


@virtual_time
async def test_a_cascade_that_takes_over_from_a_model_says_it() -> None:
    agent = talker(
        Speech(errors=[ProviderLostError("ultravox", "away")]),
        stt=Ears(),
        tts=Voice(),
        llm=_Silent(),
        greeting="Hello.",
        recording=Recording(),
    )
    play = await (Live(agent) >> STREAM >> After(ALL))
    assert said(play)[:2] == [CONSENT, "Hello."]
    assert asked(play)[1:] == [messages.Record(2, on=True)]
    await end(play)


class _Silent:
    """A model that is never asked."""

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self) -> "_Silent":
        return self

    def stand_in(self) -> "_Silent":
        return self

    async def aclose(self) -> None:
        """Nothing is to be closed."""


@pytest.mark.parametrize("text", ["", "Good morning."])
@virtual_time
async def test_the_phrase_is_said_once_whatever_else_is_greeted_anew(text: str) -> None:
    play = Live(clerk(greeting=text, recording=Recording()))
    await settled()
    play.session.conversation.crew.greet_anew()
    play.session.conversation.manners.prepare_greeting()
    await (play >> STREAM >> After(ALL))
    assert said(play) == [CONSENT, *([text] if text else [])]
    await end(play)


def test_a_release_whose_agent_cannot_say_the_phrase_is_refused() -> None:
    mute = type("Mute", (Agent,), {"recording": Recording()})
    assert fault(mute) == (
        "Mute.recording has a consent phrase, and nobody can say it: set Mute.tts, or consent=''"
    )
    for able in (
        clerk(recording=Recording()),
        talker(Speech(), recording=Recording()),
        type("Quiet", (Agent,), {"recording": Recording(consent="")}),
        Agent,
    ):
        assert fault(able) == ""
