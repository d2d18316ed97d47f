"""ElevenLabs' voice against a server that speaks its wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from tests.fakes.elevenlabs import KEY, ElevenLabsFake
from tests.fakes.elevenlabs_chunks import Spelling
from tests.fakes.voice_faults import Dies, Errs, Refusal, Silent
from tests.forking import used_after_a_fork
from tests.harness import eventually
from tests.worker.tts.voice_recorder import Recorder, timings_fit
from worker.backoff import Retry
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.stand_ins import ToneTTS
from worker.tts import TTSSession
from worker.tts.elevenlabs import ElevenLabs

QUICK = Retry(first_delay_s=0.01, longest_delay_s=0.02)
VOICE = ElevenLabs("a-voice", retry=QUICK)


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ElevenLabsFake]:
    async with ElevenLabsFake(pace_s=0.001) as server:
        monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
        monkeypatch.setenv("ELEVENLABS_BASE_URL", server.url)
        yield server


@asynccontextmanager
async def talking(voice: ElevenLabs = VOICE) -> AsyncIterator[tuple[TTSSession, Recorder]]:
    recorder = Recorder()
    session = await voice.connect(recorder)
    try:
        yield session, recorder
    finally:
        await session.aclose()


def query(fake: ElevenLabsFake) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(path(fake)).query).items()}


def path(fake: ElevenLabsFake) -> str:
    return fake.handshakes[-1].path


# Speaking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["camel", "snake", "mixed"])
async def test_an_utterance_is_spoken_timed_and_ended(
    fake: ElevenLabsFake, spelling: Spelling
) -> None:
    fake.spelling = spelling
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Good evening, how can I help?"))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Good", "evening,", "how", "can", "I", "help?"]
    assert recorder.timed_words(uuid) == recorder.words(uuid)
    timings_fit(recorder, uuid)


async def test_the_socket_is_asked_for_what_a_phone_needs(fake: ElevenLabsFake) -> None:
    async with talking():
        assert urlsplit(path(fake)).path == "/v1/text-to-speech/a-voice/multi-stream-input"
        assert query(fake) == {
            "model_id": "eleven_flash_v2_5",
            "output_format": "ulaw_8000",
            "auto_mode": "true",
            "inactivity_timeout": "180",
            "sync_alignment": "true",
        }
    async with talking(ElevenLabs("v/1", "eleven_v3", language="de", auto_mode=False)):
        assert path(fake).startswith("/v1/text-to-speech/v%2F1/")
        assert query(fake)["model_id"] == "eleven_v3"
        assert query(fake)["language_code"] == "de"
        assert query(fake)["auto_mode"] == "false"


async def test_options_are_further_parameters_of_the_socket(fake: ElevenLabsFake) -> None:
    options = {"apply_text_normalization": "off", "enable_logging": False, "seed": 7}
    async with talking(ElevenLabs(options=options)) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Hello."))
        await recorder.end_of(uuid)
    given = query(fake)
    assert given["output_format"] == "ulaw_8000"
    assert {name: given[name] for name in options} == {
        "apply_text_normalization": "off",
        "enable_logging": "false",
        "seed": "7",
    }
    with pytest.raises(ValueError, match="output_format"):
        ElevenLabs(options={"output_format": "mp3_44100"})


async def test_settings_go_with_the_first_message_of_each_context_only(
    fake: ElevenLabsFake,
) -> None:
    voice = ElevenLabs(stability=0.5, similarity_boost=0.8, speed=1.1)
    async with talking(voice) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Thanks,", done=False))
        session.post(Message(uuid, " goodbye. "))
        await recorder.end_of(uuid)
    context = fake.requests[0]["context_id"]
    settings = {"stability": 0.5, "similarity_boost": 0.8, "speed": 1.1}
    assert list(fake.requests) == [
        {"text": " ", "context_id": context, "voice_settings": settings},
        {"text": "Thanks, ", "context_id": context, "flush": True},
        {"text": " goodbye. ", "context_id": context, "flush": True},
        {"context_id": context, "close_context": True},
    ]
    assert recorder.words(uuid) == ["Thanks,", "goodbye."]
    timings_fit(recorder, uuid)


async def test_without_settings_the_voices_own_are_left_alone(fake: ElevenLabsFake) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Hello."))
        await recorder.end_of(uuid)
    assert set(fake.requests[0]) == {"text", "context_id"}


async def test_a_clause_is_spoken_at_once_with_auto_mode_or_without(fake: ElevenLabsFake) -> None:
    for auto_mode in (True, False):
        async with talking(ElevenLabs(auto_mode=auto_mode)) as (session, recorder):
            uuid = uuid4()
            session.post(Message(uuid, "One moment. ", done=False))
            await recorder.until(lambda r=recorder, u=uuid: r.words(u) == ["One", "moment."])  # type: ignore[misc]


async def test_words_go_on_over_chunks_of_any_size(fake: ElevenLabsFake) -> None:
    fake.chunk_ms, fake.pace_s = 10, 0
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Bella Vista, good evening. ", done=False))
        session.post(Message(uuid, "How can I help?"))
        await recorder.end_of(uuid)
    assert recorder.timed_words(uuid) == recorder.words(uuid)
    assert len(recorder.words(uuid)) == 8
    timings_fit(recorder, uuid)


@pytest.mark.parametrize("pieces", [[""], ["  ", ""], [" - ", "…"]])
async def test_nothing_to_say_ends_without_the_provider(
    fake: ElevenLabsFake, pieces: list[str]
) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        for at, piece in enumerate(pieces):
            session.post(Message(uuid, piece, done=at == len(pieces) - 1))
        await recorder.end_of(uuid)
    assert not fake.requests


async def test_a_pause_between_pieces_keeps_the_context(fake: ElevenLabsFake) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment please. ", done=False))
        await asyncio.sleep(0.3)
        session.post(Message(uuid, "The table is booked."))
        await recorder.end_of(uuid)
    assert len(recorder.words(uuid)) == 7
    assert len({it["context_id"] for it in fake.requests}) == 1


# Contexts --------------------------------------------------------------------------------------


async def barge_in(session: TTSSession, recorder: Recorder, text: str) -> UUID:
    uuid = uuid4()
    session.post(Message(uuid, text))
    await recorder.until(lambda: uuid in recorder.spoken)
    session.abort(uuid)
    return uuid


async def test_an_aborted_utterance_is_closed_and_its_late_audio_dropped(
    fake: ElevenLabsFake,
) -> None:
    fake.pace_s = 0.01
    async with talking() as (session, recorder):
        gone, kept = uuid4(), uuid4()
        session.post(Message(gone, "This sentence goes on and on.", done=False))
        await recorder.until(lambda: bool(recorder.words(gone)))
        session.abort(gone)
        before = recorder.spoken[gone]
        session.post(Message(gone, " And this is late."))
        session.post(Message(kept, "Yes?"))
        await recorder.end_of(kept)
        await asyncio.sleep(0.1)
    assert recorder.spoken[gone] == before
    assert recorder.finished == [kept]
    context = fake.requests[0]["context_id"]
    assert next(it for it in fake.requests if it.get("close_context"))["context_id"] == context
    assert "late" not in str(fake.requests)


async def test_twenty_barge_ins_never_open_a_sixth_context(fake: ElevenLabsFake) -> None:
    fake.pace_s, fake.final_delay_s = 0.002, 0.03
    async with talking() as (session, recorder):
        for _ in range(20):
            await barge_in(session, recorder, "This is what nobody wants to hear.")
        uuid = uuid4()
        session.post(Message(uuid, "Yes?"))
        await recorder.end_of(uuid)
    assert fake.most_open == 5
    assert len(fake.handshakes) == 1
    assert recorder.words(uuid) == ["Yes?"]


async def test_utterances_beyond_the_fifth_wait_and_keep_their_audio_apart(
    fake: ElevenLabsFake,
) -> None:
    async with talking() as (session, recorder):
        uuids = [uuid4() for _ in range(12)]
        for at, uuid in enumerate(uuids):
            session.post(Message(uuid, f"This is number {at}."))
        for uuid in uuids:
            await recorder.end_of(uuid)
    for at, uuid in enumerate(uuids):
        assert recorder.words(uuid) == ["This", "is", "number", f"{at}."]
    assert fake.most_open == 5


async def test_contexts_that_never_end_cost_the_socket_and_no_word(
    fake: ElevenLabsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.tts.elevenlabs._ROOM_S", 0.1)
    fake.final_delay_s = 60
    async with talking() as (session, recorder):
        for _ in range(5):
            await barge_in(session, recorder, "Never mind.")
        await asyncio.sleep(0.5)  # what was flushed is spoken out
        fake.final_delay_s = 0
        uuid = uuid4()
        session.post(Message(uuid, "Yes, please?"))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Yes,", "please?"]
    assert len(fake.handshakes) == 2


async def test_a_socket_is_kept_while_nothing_is_said(fake: ElevenLabsFake) -> None:
    async with talking(ElevenLabs(inactivity_timeout_s=2)) as (session, recorder):
        await eventually(lambda: len(fake.requests) >= 4)
        uuid = uuid4()
        session.post(Message(uuid, "Still here."))
        await recorder.end_of(uuid)
    assert len(fake.handshakes) == 1
    assert list(fake.requests)[:4] == [{"text": ""}] * 4


# Losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1011, 1000, None])
@pytest.mark.parametrize("after_ms", [0, 130, 500, 1111])
async def test_a_connection_lost_in_mid_sentence_costs_at_most_the_word_it_cut(
    fake: ElevenLabsFake, code: int | None, after_ms: float
) -> None:
    text = "The table is booked for four people at eight."
    fake.next_contexts.append(Dies(after_ms, code))
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, text))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == text.split()
    assert recorder.timed_words(uuid) == text.split()
    timings_fit(recorder, uuid)
    assert len(fake.handshakes) == 2


async def test_silence_where_speech_is_owed_is_answered_by_a_new_socket(
    fake: ElevenLabsFake,
) -> None:
    fake.next_contexts.append(Silent())
    async with talking(ElevenLabs("v", answer_s=0.5, retry=QUICK)) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Anybody there?"))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Anybody", "there?"]
    assert len(fake.handshakes) == 2


@pytest.mark.parametrize("error", ["input_timeout_exceeded", "max_active_conversations"])
async def test_errors_that_pass_with_the_socket_cost_no_word(
    fake: ElevenLabsFake, error: str
) -> None:
    fake.next_contexts.append(Errs(1008, error))
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment."]
    assert len(fake.handshakes) == 2


@pytest.mark.parametrize("error", ["quota_exceeded", "detected_unusual_activity", "who_knows"])
async def test_a_refusal_is_said_once(fake: ElevenLabsFake, error: str) -> None:
    fake.next_contexts.append(Errs(1008, error))
    async with talking() as (session, recorder):
        session.post(Message(uuid4(), "Hello?"))
        failure = await recorder.failure()
        session.post(Message(uuid4(), "Hello?"))
        await asyncio.sleep(0.02)
    assert isinstance(failure, ProviderRefusedError)
    assert error in str(failure)
    assert len(fake.handshakes) == 1


async def test_a_close_by_1008_says_whether_it_passes(fake: ElevenLabsFake) -> None:
    reason = "Have not received a new text input within the timeout of 20.0 seconds"
    fake.next_contexts.extend([Dies(100, 1008, reason), Dies(100, 1008, "policy")])
    async with talking() as (session, recorder):
        session.post(Message(uuid4(), "Hello?"))
        assert isinstance(await recorder.failure(), ProviderRefusedError)
    assert len(fake.handshakes) == 2


# Upgrades --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (Refusal(401, "invalid_api_key"), "check ELEVENLABS_API_KEY"),
        (Refusal(401, "quota_exceeded"), "quota_exceeded"),
        (Refusal(400, "voice_not_found"), "voice_not_found"),
        (Refusal(402, "paid_plan_required"), "no credit"),
        (Refusal(422, "language_code"), "a parameter is wrong.*language_code"),
    ],
)
async def test_a_refused_upgrade_is_raised_at_once(
    fake: ElevenLabsFake, refusal: Refusal, sentence: str
) -> None:
    fake.next_upgrades.extend([refusal] * 9)
    with pytest.raises(ProviderRefusedError, match=sentence) as caught:
        await VOICE.connect(Recorder())
    assert caught.value.status == refusal.status
    assert "check" not in str(caught.value) or "api_key" in refusal.code
    assert len(fake.handshakes) == (2 if refusal.status == 402 else 1)


@pytest.mark.parametrize("code", ["too_many_concurrent_requests", "system_busy"])
async def test_a_busy_upgrade_is_tried_again(fake: ElevenLabsFake, code: str) -> None:
    fake.next_upgrades.extend([Refusal(429, code), Refusal(429, code, "0.01")])
    async with talking():
        assert len(fake.handshakes) == 3


async def test_lasting_lack_of_room_is_given_up(fake: ElevenLabsFake) -> None:
    fake.most_sockets = 0
    with pytest.raises(ProviderLostError, match="too_many_concurrent_requests"):
        await VOICE.connect(Recorder())


async def test_a_voice_that_is_not_paid_for_gives_way_to_the_fallback_voice(
    fake: ElevenLabsFake,
) -> None:
    fake.unpaid_voices = frozenset({"custom"})
    with pytest.raises(ProviderRefusedError, match="no credit"):
        await ElevenLabs("custom", fallback_voice=None).connect(Recorder())
    async with talking(ElevenLabs("custom", retry=QUICK)) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Hello."))
        await recorder.end_of(uuid)
        await fake.drop()
        uuid = uuid4()
        session.post(Message(uuid, "Hello again."))
        await recorder.end_of(uuid)
    voices = [it.path.split("/")[3] for it in fake.handshakes]
    assert voices == ["custom", "custom", *["21m00Tcm4TlvDq8ikWAM"] * 2]


async def test_the_key_is_never_shown(
    fake: ElevenLabsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_el_wrong")
    with pytest.raises(ProviderRefusedError, match="ELEVENLABS_API_KEY") as caught:
        await VOICE.connect(Recorder())
    assert "sk_el_wrong" not in str(caught.value)


# Its life --------------------------------------------------------------------------------------


async def test_after_closing_nothing_comes(fake: ElevenLabsFake) -> None:
    fake.pace_s = 0.02
    recorder = Recorder()
    session = await VOICE.connect(recorder)
    uuid = uuid4()
    session.post(Message(uuid, "This is long. " * 5))
    await recorder.until(lambda: bool(recorder.spoken))
    size = len(recorder.spoken[uuid])
    await session.aclose()
    await session.aclose()
    session.post(Message(uuid4(), "Hello."))
    await asyncio.sleep(0.05)
    assert len(recorder.spoken[uuid]) == size
    assert not recorder.errors


def test_without_a_key_it_is_refused_when_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    with pytest.raises(ProviderRefusedError, match="set ELEVENLABS_API_KEY"):
        VOICE.prepare()


def test_prepared_before_a_fork_it_speaks_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak() -> bool:
        async with ElevenLabsFake() as server:
            monkeypatch.setenv("ELEVENLABS_BASE_URL", server.url)
            async with talking() as (session, recorder):
                uuid = uuid4()
                session.post(Message(uuid, "Hello from a child."))
                await recorder.end_of(uuid)
                return recorder.words(uuid) == ["Hello", "from", "a", "child."]

    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    assert used_after_a_fork(VOICE.prepare, lambda: asyncio.run(speak()))


@pytest.mark.parametrize(
    "wrong",
    [{"voice": ""}, {"stability": 1.5}, {"speed": 2.0}, {"inactivity_timeout_s": 181}],
)
def test_settings_out_of_range_are_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ElevenLabs"):
        ElevenLabs(**wrong)  # type: ignore[arg-type]


def test_a_rehearsal_uses_no_network() -> None:
    assert isinstance(VOICE.stand_in(), ToneTTS)
