"""What is recorded of a caller who is joined straight to a service."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared import messages
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.fakes.ultravox_faults import Refusal
from tests.worker.test_direct import ringing
from worker import direct
from worker.agent import Agent
from worker.recording import Recording
from worker.speech.ultravox import Ultravox
from worker.tools import tool


class Kept(Agent):
    speech = Ultravox(mode="direct", language_hint="de")
    greeting = "Guten Tag."
    recording = Recording(carrier=True, consent="Das wird aufgezeichnet.")


class Quiet(Agent):
    speech = Ultravox(mode="direct")
    greeting = "Hello."
    recording = Recording(own=False, transcription=True, consent="")


class Desk(Agent):
    speech = Ultravox(mode="direct")

    @tool
    async def quiet(self) -> str:
        """Hand over."""
        await self.hand_over(Quiet)
        return "handed over"

    @tool
    async def kept(self) -> str:
        """Hand over."""
        await self.hand_over(Kept)
        return "handed over"


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UltravoxFake]:
    async with UltravoxFake() as fake:
        monkeypatch.setenv("ULTRAVOX_API_KEY", KEY)
        monkeypatch.setenv("ULTRAVOX_BASE_URL", fake.url)
        yield fake


def greeted(fake: UltravoxFake) -> str:
    text: str = fake.last.body["firstSpeakerSettings"]["agent"]["text"]
    return text


async def test_the_carrier_says_the_phrase_and_records_and_then_the_process_leaves(
    fake: UltravoxFake,
) -> None:
    async with ringing(Kept) as process:
        join = await process.said(messages.Join)
        assert (join.say, join.language, join.stays) == ("Das wird aufgezeichnet.", "de", False)
        assert greeted(fake) == "Guten Tag."
        start = await process.said(messages.StartRecording)
        await asyncio.sleep(0.1)
        assert not process.running.done()
        process.say(messages.Reply(start.request))
        await process.running
        kinds = {type(it) for it in process.listen()}
        assert not kinds & {messages.Record, messages.StartTranscription}


async def test_without_a_phrase_nothing_is_said_before(fake: UltravoxFake) -> None:
    async with ringing(Quiet) as process:
        join = await process.said(messages.Join)
        assert (join.say, join.language) == ("", "")
        start = await process.said(messages.StartTranscription)
        process.say(messages.Reply(start.request))
        await process.running


async def test_a_recording_that_the_carrier_refuses_is_the_operators_trouble(
    fake: UltravoxFake,
) -> None:
    async with ringing(Kept) as process:
        start = await process.said(messages.StartRecording)
        process.say(messages.Failure(start.request, "carrier", "no credentials"))
        line = await process.said(messages.Log)
        assert (line.level, line.fields["why"]) == ("error", "no credentials (carrier)")
        await process.running


async def test_a_caller_who_leaves_before_is_no_failure(fake: UltravoxFake) -> None:
    async with ringing(Kept) as process:
        await process.said(messages.StartRecording)
    assert process.running.exception() is None


async def test_a_call_that_is_served_here_after_all_has_our_own_recording(
    fake: UltravoxFake,
) -> None:
    class Twofold(Agent):
        speech = (Ultravox(mode="direct"), Ultravox())
        recording = Recording(carrier=True)

    fake.next_creations.append(Refusal(402))
    async with ringing(Twofold) as process:
        await process.said(messages.Relay)
        record = await process.said(messages.Record)
        assert not record.on  # the phrase is said here, and the gateway listens until then
        assert not any(isinstance(it, messages.StartRecording) for it in process.listen())
        process.say(messages.Reply(record.request))


async def test_another_agent_has_its_own_recorded_if_it_needs_no_phrase(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        await process.returned(1, "quiet")
        start = await process.said(messages.StartTranscription)
        process.say(messages.Reply(start.request))


async def test_a_phrase_that_nobody_can_know_was_heard_keeps_another_agent_from_it(
    fake: UltravoxFake,
) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        await process.returned(1, "kept")
        line = await process.said(messages.Log, lambda it: it.level == "error")
        assert line.fields["why"].endswith("the agent that answers must have the phrase")
        assert not any(isinstance(it, messages.StartRecording) for it in process.listen())


def test_what_cannot_be_had_is_refused_and_what_is_half_is_told() -> None:
    def agent(recording: Recording | None, mode: str = "direct") -> type[Agent]:
        speech = Ultravox(mode=mode)  # type: ignore[arg-type]
        return type("Desk", (Agent,), {"speech": speech, "recording": recording})

    assert direct.fault(agent(Recording())) == (
        "Desk.recording wants our own recording, and the audio of a direct call does not come "
        "here: set carrier=True, or own=False, or mode='relay'"
    )
    for able in (
        agent(None),
        agent(Recording(), "relay"),
        agent(Recording(carrier=True)),
        agent(Recording(own=False, transcription=True)),
    ):
        assert direct.fault(able) == ""
    assert direct.notes([agent(Recording(carrier=True)), agent(Recording(own=False))]) == [
        "Desk: the carrier's recording is the only one while its speech is direct"
    ]
