"""An ElevenLabs agent against a server that speaks its wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.audio import ms_of_bytes
from tests.fakes.elevenlabs_agents import KEY, ElevenLabsAgentsFake
from tests.fakes.elevenlabs_agents_manners import Breaks, Phase
from tests.fakes.elevenlabs_agents_request import ALL_OVERRIDES
from tests.fakes.elevenlabs_agents_voice import Spelling
from tests.fakes.openai_chat import Wants
from tests.fakes.voice_faults import Refusal
from tests.forking import used_after_a_fork
from tests.worker.speech.elevenlabs_listener import Listener, speak
from worker.backoff import Retry, in_haste
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import Brief, Call, Returned, Said
from worker.speech import (
    AgentCut,
    CallerStarted,
    CallerStopped,
    LeftByModel,
    Opening,
    SpeechSession,
    elevenlabs_utterances,
)
from worker.speech.elevenlabs_agent import ElevenLabsAgent
from worker.stand_ins import EchoSpeech

QUICK = Retry(tries=2, first_delay_s=0.01, longest_delay_s=0.02)
MODEL = ElevenLabsAgent("agent_1", retry=QUICK)
BRIEF = Brief("You book tables.", ())
GREETING = "Bella Vista, good evening."
METADATA = {"call_sid": "CA1", "from": "+15550001", "to": "+15550002", "system__time": "now"}


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ElevenLabsAgentsFake]:
    async with ElevenLabsAgentsFake() as server:
        monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
        monkeypatch.setenv("ELEVENLABS_BASE_URL", server.url)
        monkeypatch.delenv("ELEVENLABS_AGENT_ID", raising=False)
        server.script.letter_ms = 10
        monkeypatch.setattr(elevenlabs_utterances, "LAST_LETTER_S", 0.05)
        monkeypatch.setattr(elevenlabs_utterances, "QUIET_S", 0.15)
        yield server


@asynccontextmanager
async def talking(
    opening: Opening | None = None, model: ElevenLabsAgent = MODEL
) -> AsyncIterator[tuple[SpeechSession, Listener]]:
    listener = Listener()
    session = await model.connect(opening or Opening(BRIEF), listener)
    listener.session = session
    try:
        yield session, listener
    finally:
        await session.aclose()


def begun_with(fake: ElevenLabsAgentsFake, *path: str) -> Any:
    found: Any = fake.sessions[-1].initiation
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


# Beginning -------------------------------------------------------------------------------------


async def test_it_greets_with_the_agents_greeting_timed_and_ended(
    fake: ElevenLabsAgentsFake,
) -> None:
    async with talking(Opening(BRIEF, GREETING)) as (_, listener):
        key = await listener.utterance(GREETING)
    assert listener.spoken(key) == GREETING.split()
    assert [timing.text for timing in listener.timings(key)] == GREETING.split()
    assert listener.timings(key)[-1].end_ms <= ms_of_bytes(len(listener.audio_of[key]))
    assert listener.names == [fake.sessions[0].conversation_id]
    assert not listener.errors


async def test_instructions_and_who_calls_are_told_at_the_beginning(
    fake: ElevenLabsAgentsFake,
) -> None:
    model = ElevenLabsAgent(
        "agent_1",
        llm="gpt-5",
        language="de",
        voice_id="a-voice",
        stability=0.5,
        speed=1.1,
        similarity_boost=0.8,
        dynamic_variables={"house": "Bella Vista"},
        user_id="u1",
        extra={"conversation_config_override": {"asr": {"keywords": ["Acme"]}}},
    )
    async with talking(Opening(BRIEF, GREETING, metadata=METADATA), model):
        pass
    assert fake.sessions[0].initiation == {
        "type": "conversation_initiation_client_data",
        "conversation_config_override": {
            "agent": {
                "prompt": {"prompt": "You book tables.", "llm": "gpt-5"},
                "first_message": GREETING,
                "language": "de",
            },
            "tts": {
                "voice_id": "a-voice",
                "stability": 0.5,
                "speed": 1.1,
                "similarity_boost": 0.8,
            },
            "asr": {"keywords": ["Acme"]},
        },
        "dynamic_variables": {
            "call_sid": "CA1",
            "from": "+15550001",
            "to": "+15550002",
            "house": "Bella Vista",
        },
        "user_id": "u1",
    }


async def test_without_a_greeting_the_dashboards_is_said(fake: ElevenLabsAgentsFake) -> None:
    fake.setup.first_message = "Hello from {{house}}."
    model = ElevenLabsAgent("agent_1", override_prompt=False, dynamic_variables={"house": "us"})
    async with talking(model=model) as (_, listener):
        await listener.utterance("Hello from us.")
    assert begun_with(fake, "conversation_config_override") is None


async def test_an_agent_that_waits_says_nothing_first(fake: ElevenLabsAgentsFake) -> None:
    fake.setup.first_message = "Hello."
    async with talking(model=ElevenLabsAgent("agent_1", waits=True)) as (session, listener):
        speak(session, "anybody there")
        await listener.utterance("Pardon?")
    assert listener.said == ["Pardon?"]


async def test_the_address_is_signed_with_the_key_and_the_socket_gets_none(
    fake: ElevenLabsAgentsFake,
) -> None:
    async with talking(model=ElevenLabsAgent("agent_1", query={"branch_id": "b1"})):
        pass
    (signing,), (handshake,) = fake.signings, fake.handshakes
    assert signing.headers["xi-api-key"] == KEY
    assert parse_qs(urlsplit(signing.path).query) == {
        "agent_id": ["agent_1"],
        "branch_id": ["b1"],
        "include_conversation_id": ["true"],
    }
    assert "xi-api-key" not in handshake.headers


async def test_a_public_agent_needs_neither_key_nor_signature(
    fake: ElevenLabsAgentsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.setup.public = True
    monkeypatch.delenv("ELEVENLABS_API_KEY")
    model = ElevenLabsAgent("agent_1", public=True)
    model.prepare()
    async with talking(Opening(BRIEF, GREETING), model) as (_, listener):
        await listener.utterance(GREETING)
    assert not fake.signings
    monkeypatch.delenv("ELEVENLABS_BASE_URL")
    model.prepare()


async def test_the_agents_id_may_be_in_the_environment(
    fake: ElevenLabsAgentsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProviderRefusedError, match=r"ELEVENLABS_AGENT_ID.*agent_id="):
        ElevenLabsAgent().prepare()
    monkeypatch.setenv("ELEVENLABS_AGENT_ID", "agent_1")
    ElevenLabsAgent().prepare()
    async with talking(model=ElevenLabsAgent()):
        assert len(fake.sessions) == 1


# A conversation --------------------------------------------------------------------------------


async def test_it_hears_and_answers(fake: ElevenLabsAgentsFake) -> None:
    fake.script.replies = {"how late is it": "Half past nine."}
    async with talking() as (session, listener):
        speak(session, "how late is it")
        key = await listener.utterance("Half past nine.")
    assert listener.heard == ["how late is it"]
    assert listener.spoken(key) == ["Half", "past", "nine."]
    kinds = [type(event) for event in listener.events]
    assert kinds.index(CallerStarted) < kinds.index(CallerStopped)


@pytest.mark.parametrize(
    ("numbers", "text_first", "spelling"),
    [
        ("each", False, "snake"),
        ("each", True, "snakes"),
        ("response", False, "camel"),
        ("response", True, "camels"),
        ("each", True, None),
    ],
)
async def test_utterances_are_told_apart_however_events_are_numbered_and_spelled(
    fake: ElevenLabsAgentsFake,
    numbers: Literal["each", "response"],
    text_first: bool,
    spelling: Spelling | None,
) -> None:
    manners = fake.manners
    manners.numbers, manners.text_first, manners.spelling = numbers, text_first, spelling
    fake.script.replies = {"one": "The first.", "two": "The second."}
    async with talking(Opening(BRIEF, "Hi.")) as (session, listener):
        keys = [await listener.utterance("Hi.")]
        for line, reply in (("one", "The first."), ("two", "The second.")):
            speak(session, line)
            keys.append(await listener.utterance(reply))
    assert [listener.spoken(key) for key in keys] == [
        ["Hi."],
        ["The", "first."],
        ["The", "second."],
    ]
    assert listener.done == keys == list(listener.audio_of)
    timed = [[timing.text for timing in listener.timings(key)] for key in keys]
    assert timed == ([listener.spoken(key) for key in keys] if spelling else [[], [], []])


@pytest.mark.parametrize("audio_format", ["pcm_8000", "pcm_16000", "pcm_22050", "pcm_48000"])
async def test_linear_formats_are_converted_both_ways(
    fake: ElevenLabsAgentsFake, audio_format: str
) -> None:
    fake.setup.input_format = audio_format
    fake.setup.output_format = "pcm_8000" if audio_format == "pcm_8000" else "ulaw_8000"
    async with talking(Opening(BRIEF, GREETING)) as (session, listener):
        key = await listener.utterance(GREETING)
        assert listener.spoken(key) == GREETING.split()
        speak(session, "hello")
        await listener.until(lambda: listener.of(CallerStopped))
    assert all(20 <= round(ms) <= 250 for ms in fake.sessions[0].chunks_ms)


@pytest.mark.parametrize("rate", [16_000, 44_100])
async def test_speech_in_another_rate_lasts_as_long(fake: ElevenLabsAgentsFake, rate: int) -> None:
    fake.setup.output_format = f"pcm_{rate}"
    async with talking(Opening(BRIEF, GREETING)) as (_, listener):
        key = await listener.utterance(GREETING)
    wanted = ms_of_bytes(len(fake.script.voice(GREETING)))
    assert abs(ms_of_bytes(len(listener.audio_of[key])) - wanted) < 5


async def test_another_format_is_refused_with_what_to_set(fake: ElevenLabsAgentsFake) -> None:
    fake.setup.input_format = "opus_48000"
    with pytest.raises(ProviderRefusedError, match=r"opus_48000.*ulaw_8000"):
        await MODEL.connect(Opening(BRIEF), Listener())
    assert len(fake.sessions) == 1


async def test_a_long_gap_in_the_callers_audio_is_filled_with_silence(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.manners.transport_timeout_s = 1.0
    async with talking() as (_, listener):
        await asyncio.sleep(1.4)
        assert not listener.errors
    (session,) = fake.sessions
    assert 400 <= sum(session.chunks_ms) <= 1600


async def test_a_gap_ends_a_turn(fake: ElevenLabsAgentsFake) -> None:
    async with talking() as (session, listener):
        speak(session, "hello there", quiet_ms=0)
        await listener.until(lambda: listener.heard)
    assert listener.heard == ["hello there"]


async def test_pings_are_answered_even_while_a_tool_runs(fake: ElevenLabsAgentsFake) -> None:
    fake.manners.ping_s = 0.02
    fake.setup.tools = {"book": 5.0}
    fake.script.replies = {"book": [Wants("book")]}
    async with talking() as (session, listener):
        speak(session, "book")
        await listener.until(lambda: listener.wanted)
        await asyncio.sleep(0.1)
        pongs = [it for it in fake.sessions[0].received if it["type"] == "pong"]
        assert len(pongs) >= 4
        assert len(fake.sessions[0].unanswered) <= 1


async def test_words_that_come_after_the_answer_are_told(fake: ElevenLabsAgentsFake) -> None:
    fake.manners.late_transcript_s = 0.1
    async with talking() as (session, listener):
        speak(session, "hello")
        await listener.until(lambda: listener.heard)
        await listener.utterance("Pardon?")
    assert listener.heard == ["hello"]


# Interruptions ---------------------------------------------------------------------------------

LONG = "I am going to tell you a very long story about many tables and chairs."


@pytest.mark.parametrize("corrects_first", [True, False])
async def test_an_interruption_cuts_and_corrects_what_was_being_said(
    fake: ElevenLabsAgentsFake, corrects_first: bool
) -> None:
    fake.manners.corrects_first, fake.manners.stale_audio = corrects_first, True
    async with talking(Opening(BRIEF, LONG)) as (session, listener):
        await listener.until(lambda: listener.said)
        key = next(iter(listener.audio_of))
        size = len(listener.audio_of[key])
        speak(session, "stop it")
        await listener.utterance("Pardon?")
        assert [it.utterance for it in listener.corrected] == [key]
        kinds = [type(event) for event in listener.events]
        assert kinds.index(AgentCut) < kinds.index(type(listener.corrected[0]))
        assert len(listener.audio_of[key]) >= size
        assert "stale" not in [word for it in listener.audio_of for word in listener.spoken(it)]
    (served,) = fake.sessions
    assert listener.corrected[0].text == served.mouth.cut[0]
    assert not [it for it in served.received if it["type"] == "user_activity"]


async def test_what_the_call_cuts_itself_is_not_heard_on_and_the_model_is_told(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.manners.pace_s = 0.02
    async with talking(Opening(BRIEF, LONG)) as (session, listener):
        await listener.until(lambda: listener.said)
        key = next(iter(listener.audio_of))
        await listener.until(lambda: len(listener.timings(key)) >= 4)
        session.cut(key, listener.timings(key)[2].end_ms)
        size = len(listener.audio_of[key])
        (served,) = fake.sessions
        await listener.until(lambda: served.contexts)
        await asyncio.sleep(0.1)
        assert len(listener.audio_of[key]) == size
        assert '"I am going"' in next(iter(served.contexts.values()))
        assert served.received[-2] == {"type": "user_activity"}
        session.tell("go on")
        new = await listener.utterance("Pardon?")
    assert new != key
    assert listener.spoken(new) == ["Pardon?"]


async def test_a_tool_that_is_wanted_after_an_interruption_is_told(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.manners.tool_after_cut = "book"
    async with talking(Opening(BRIEF, LONG)) as (session, listener):
        await listener.until(lambda: listener.said)
        speak(session, "stop it")
        await listener.until(lambda: listener.wanted)
        await listener.utterance("Pardon?")


# Tools, orders, instructions ------------------------------------------------------------------


async def test_a_tool_is_called_and_its_answer_spoken_of(fake: ElevenLabsAgentsFake) -> None:
    fake.setup.tools = {"book": 5.0}
    fake.script.replies = {
        "a table": ["One moment.", Wants("book", {"people": 2})],
        "table 7": "You have table seven.",
    }
    async with talking() as (session, listener):
        speak(session, "a table")
        await listener.until(lambda: listener.wanted)
        (call,) = listener.wanted[0].calls
        assert (call.name, call.arguments) == ("book", '{"people": 2}')
        session.answered(call.id, "table 7", failed=False, brief=Brief("You say goodbye.", ()))
        await listener.utterance("You have table seven.")
    assert fake.script.returned == [("book", "table 7")]
    (served,) = fake.sessions
    assert served.contexts["stage"].endswith("\n\nYou say goodbye.")
    kinds = [it["type"] for it in served.received if it["type"] != "pong"]
    assert kinds == ["contextual_update", "client_tool_result"]
    assert listener.said == ["One moment.", "You have table seven."]


async def test_a_tool_that_failed_is_told_as_an_error(fake: ElevenLabsAgentsFake) -> None:
    fake.setup.tools = {"book": 5.0}
    fake.script.replies = {"a table": [Wants("book")], "error: full": "We are full."}
    async with talking() as (session, listener):
        speak(session, "a table")
        await listener.until(lambda: listener.wanted)
        session.answered(listener.wanted[0].calls[0].id, "full", failed=True, brief=None)
        await listener.utterance("We are full.")


async def test_a_tool_that_takes_too_long_for_the_dashboard_keeps_nobody(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.setup.tools = {"book": 0.05}
    fake.script.replies = {"a table": [Wants("book")], "error: timed out": "It takes long."}
    async with talking() as (session, listener):
        speak(session, "a table")
        await listener.utterance("It takes long.")
        session.answered(listener.wanted[0].calls[0].id, "late", failed=False, brief=None)
        speak(session, "hello")
        await listener.utterance("Pardon?")


async def test_it_can_be_asked_to_say_something_and_told_something(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.script.replies = {"The caller has pressed 1.": "Thank you."}
    async with talking() as (session, listener):
        session.say("Please  wait\nhere.", interruptible=False)
        await listener.utterance("Please wait here.")
        session.tell("The caller has pressed 1.")
        await listener.utterance("Thank you.")
        session.brief(Brief("Be short.", ()))
        await listener.until(lambda: fake.sessions[0].contexts)
    assert "Be short." in fake.sessions[0].contexts["stage"]
    assert listener.heard == []


async def test_a_call_that_is_taken_over_goes_on_and_does_not_greet(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.setup.first_message = "Hello."
    fake.script.replies = {"at nine": "Nine it is."}
    items = (
        Said("assistant", GREETING, (Call("c1", "free", "{}"),)),
        Returned("c1", "free at nine"),
        Said("user", "at nine"),
    )
    async with talking(Opening(BRIEF, GREETING, items=items)) as (_, listener):
        await listener.utterance("Nine it is.")
    assert listener.said == ["Nine it is."]
    prompt = begun_with(fake, "conversation_config_override", "agent", "prompt", "prompt")
    assert prompt.startswith("You book tables.\n\nThis call is under way")
    assert prompt.endswith(f"You: {GREETING}\nYou used free with {{}}\nResult: free at nine")


async def test_what_was_said_is_told_where_the_prompt_is_the_dashboards(
    fake: ElevenLabsAgentsFake,
) -> None:
    model = ElevenLabsAgent("agent_1", override_prompt=False)
    items = (Said("user", "two of us"), Said("assistant", "At what time?"))
    async with talking(Opening(BRIEF, GREETING, items=items), model) as (_, listener):
        await listener.until(lambda: fake.sessions[0].contexts)
    (told,) = fake.sessions[0].contexts.values()
    assert told.endswith("Caller: two of us\nYou: At what time?")
    assert listener.said == []


async def test_the_caller_is_heard_at_once_even_in_much_audio(fake: ElevenLabsAgentsFake) -> None:
    async with talking() as (session, listener):
        session.post(b"\xff" * 3999)
        session.post(b"\xff" * 80_001)
        await listener.until(lambda: sum(fake.sessions[0].chunks_ms) > 4500)
    assert sum(fake.sessions[0].chunks_ms) <= 5300
    assert max(fake.sessions[0].chunks_ms) == 250


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (Refusal(401, "invalid_api_key"), "check ELEVENLABS_API_KEY"),
        (
            Refusal(404, "document_not_found"),
            "no such agent: check agent_id or ELEVENLABS_AGENT_ID",
        ),
        (Refusal(422, "branch_id"), "a parameter is wrong.*branch_id"),
    ],
)
async def test_an_address_that_is_not_signed_is_refused_at_once(
    fake: ElevenLabsAgentsFake, refusal: Refusal, sentence: str
) -> None:
    fake.next_signings.extend([refusal] * 9)
    with pytest.raises(ProviderRefusedError, match=sentence) as caught:
        await MODEL.connect(Opening(BRIEF), Listener())
    assert caught.value.status == refusal.status
    assert KEY not in str(caught.value)
    assert len(fake.signings) == 1


async def test_trouble_before_the_conversation_is_tried_again_with_another_address(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.next_signings.append(Refusal(429, "too_many_concurrent_requests", "0.01"))
    fake.next_upgrades.append(Refusal(503, "busy"))
    async with talking():
        assert len(fake.signings) == 3
        assert len(fake.handshakes) == 2


async def test_lasting_trouble_is_given_up_sooner_if_somebody_else_is_left(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.next_signings.extend([Refusal(500, "trouble")] * 9)
    with pytest.raises(ProviderLostError, match="500"):
        await MODEL.connect(Opening(BRIEF), Listener())
    assert len(fake.signings) == 3
    fake.signings.clear()
    with in_haste(True), pytest.raises(ProviderLostError, match="500"):
        await MODEL.connect(Opening(BRIEF), Listener())
    assert len(fake.signings) == 2


async def test_an_override_that_is_not_allowed_says_which_and_what_to_do(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.setup.overrides = ALL_OVERRIDES - {"agent.prompt.prompt"}
    with pytest.raises(
        ProviderRefusedError, match=r"override_error.*agent\.prompt\.prompt.*security settings"
    ) as caught:
        await MODEL.connect(Opening(BRIEF), Listener())
    assert caught.value.status == 1008
    assert len(fake.sessions) == 1


async def test_a_dynamic_variable_that_is_missing_is_named(fake: ElevenLabsAgentsFake) -> None:
    fake.setup.first_message = "Hello {{name}}."
    with pytest.raises(ProviderRefusedError, match=r"name.*give it in dynamic_variables"):
        await MODEL.connect(Opening(BRIEF), Listener())


async def test_an_agent_that_is_no_public_one_is_not_found_without_a_signature(
    fake: ElevenLabsAgentsFake,
) -> None:
    with pytest.raises(ProviderRefusedError, match="requires authentication"):
        await ElevenLabsAgent("agent_1", public=True).connect(Opening(BRIEF), Listener())
    assert len(fake.handshakes) == 1


async def test_a_server_that_says_nothing_is_given_up(fake: ElevenLabsAgentsFake) -> None:
    fake.manners.silent = True
    model = ElevenLabsAgent("agent_1", retry=Retry(tries=1, open_s=0.5))
    with pytest.raises(ProviderLostError, match=r"did not answer within 0\.5 s"):
        await model.connect(Opening(BRIEF), Listener())
    assert len(fake.handshakes) == 2


async def test_an_address_without_tls_is_followed_for_a_test_server_only(
    fake: ElevenLabsAgentsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.credentials import Credentials
    from worker.speech.elevenlabs_entry import _signed

    answer = {"signed_url": "ws://elsewhere/x"}
    assert _signed(answer, Credentials("k", "http://127.0.0.1"))
    unsigned: list[object] = [answer, {"signed_url": "https://x"}, {"signed_url": 1}, [], None]
    for wrong in unsigned:
        with pytest.raises(ProviderLostError, match="signed no address"):
            _signed(wrong, Credentials("k", "https://api.elevenlabs.io"))


# The end ---------------------------------------------------------------------------------------


async def test_the_agent_leaves_by_itself_after_its_last_words(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.script.replies = {"bye": ["Goodbye.", Wants("end_call")]}
    async with talking() as (session, listener):
        speak(session, "bye")
        await listener.until(lambda: listener.of(LeftByModel))
        await asyncio.sleep(0.05)
    assert listener.events[-1] == LeftByModel("Call ended by the agent")
    assert len(listener.done) == 1
    assert listener.spoken(listener.done[0]) == ["Goodbye."]
    assert not listener.errors
    assert len(fake.handshakes) == 1


def _phases(session: SpeechSession, phase: Phase) -> None:
    if phase in ("caller", "thinking", "speech", "tool"):
        speak(session, "book" if phase == "tool" else "hello")


@pytest.mark.parametrize("phase", ["greeting", "caller", "thinking", "speech", "tool"])
@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        (1002, "llm_timeout", ProviderLostError),
        (1011, "", ProviderLostError),
        (1008, "mcp_tool_error", ProviderRefusedError),
        (None, "", ProviderLostError),
    ],
)
async def test_a_conversation_that_breaks_is_told_once_and_not_begun_again(
    fake: ElevenLabsAgentsFake,
    phase: Phase,
    code: int | None,
    kind: str,
    error: type[Exception],
) -> None:
    fake.manners.breaks = Breaks(phase, code, kind)
    fake.setup.tools = {"book": 5.0}
    fake.script.replies = {"book": [Wants("book")]}
    async with talking(Opening(BRIEF, LONG if phase == "greeting" else "")) as (session, listener):
        _phases(session, phase)
        await listener.until(lambda: listener.errors)
        speak(session, "anybody there")
        session.say("Hello?")
        session.answered("nobody", "x", failed=False, brief=None)
        await asyncio.sleep(0.05)
    (failure,) = listener.errors
    assert isinstance(failure, error)
    assert kind in str(failure)
    assert len(fake.handshakes) == 1
    assert not listener.of(LeftByModel)
    assert set(listener.done) == set(listener.audio_of)


@pytest.mark.parametrize("code", [1002, 1011, None, 1000])
async def test_a_socket_that_breaks_before_the_conversation_is_tried_again(
    fake: ElevenLabsAgentsFake, code: int | None
) -> None:
    fake.manners.breaks = Breaks("begin", code)
    with pytest.raises(ProviderLostError):
        await MODEL.connect(Opening(BRIEF), Listener())
    assert len(fake.handshakes) == 3


async def test_a_used_up_quota_is_not_tried_again(fake: ElevenLabsAgentsFake) -> None:
    fake.manners.breaks = Breaks("begin", 1002, reason="This request exceeds your quota.")
    with pytest.raises(ProviderRefusedError, match="quota"):
        await MODEL.connect(Opening(BRIEF), Listener())
    assert len(fake.handshakes) == 1


async def test_what_nobody_knows_and_what_is_no_event_is_passed_over(
    fake: ElevenLabsAgentsFake,
) -> None:
    fake.manners.noise = (
        "no JSON",
        "[]",
        '{"type": "agent_response_complete"}',
        '{"type": "audio", "audio_event": {"audio_base_64": 5, "event_id": "x"}}',
        '{"type": "audio"}',
        '{"type": "interruption_of_tomorrow", "interruption_event": null}',
        "[" * 20_000,
    )
    async with talking(Opening(BRIEF, GREETING)) as (session, listener):
        key = await listener.utterance(GREETING)
        speak(session, "hello")
        await listener.utterance("Pardon?")
    assert listener.spoken(key) == GREETING.split()
    assert not listener.errors


async def test_after_closing_nothing_comes(fake: ElevenLabsAgentsFake) -> None:
    fake.manners.pace_s = 0.02
    listener = Listener()
    session = await MODEL.connect(Opening(BRIEF, LONG), listener)
    await listener.until(lambda: listener.audio_of)
    await session.aclose()
    await session.aclose()
    known = len(listener.events), sum(map(len, listener.audio_of.values()))
    session.post(b"\xff" * 800)
    session.tell("Hello?")
    await asyncio.sleep(0.1)
    assert known == (len(listener.events), sum(map(len, listener.audio_of.values())))
    assert not listener.errors
    assert fake.sessions[0].close_code == 1000


async def test_a_listener_that_fails_begins_no_other_conversation(
    fake: ElevenLabsAgentsFake,
) -> None:
    class Broken(Listener):
        def audio(self, utterance: str, audio: bytes) -> None:
            raise RuntimeError("a bug of ours")

    listener = Broken()
    session = await MODEL.connect(Opening(BRIEF, GREETING), listener)
    await listener.until(lambda: listener.errors)
    await session.aclose()
    assert "RuntimeError" in str(listener.errors[0])
    assert "bug" not in str(listener.errors[0])
    assert len(fake.handshakes) == 1


# Settings --------------------------------------------------------------------------------------


def test_without_a_key_it_is_refused_when_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    with pytest.raises(ProviderRefusedError, match="set ELEVENLABS_API_KEY"):
        MODEL.prepare()


@pytest.mark.parametrize(
    "wrong",
    [
        {"stability": 1.5},
        {"similarity_boost": -1.0},
        {"speed": 2.0},
        {"dynamic_variables": {"system__x": 1}},
    ],
)
def test_settings_out_of_range_are_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ElevenLabs"):
        ElevenLabsAgent(**wrong)  # type: ignore[arg-type]


def test_a_rehearsal_uses_no_network() -> None:
    assert isinstance(MODEL.stand_in(), EchoSpeech)


def test_prepared_before_a_fork_it_talks_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> bool:
        async with ElevenLabsAgentsFake() as server:
            monkeypatch.setenv("ELEVENLABS_BASE_URL", server.url)
            async with talking(Opening(BRIEF, GREETING)) as (_, listener):
                return listener.spoken(await listener.utterance(GREETING)) == GREETING.split()

    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    assert used_after_a_fork(MODEL.prepare, lambda: asyncio.run(talk()))
