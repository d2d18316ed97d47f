import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.state import CallState, Plan
from gateway.carriers.twilio.routes import TwilioOptions
from gateway.carriers.twilio.voice_paths import VOICE_PATHS
from tests.gateway.calls.actors import ACCOUNT, FALLBACK, SID
from tests.gateway.carriers.twilio.signing import TOKEN, sign
from tests.gateway.webhook_desk import FORM, MOST_BODY, VOICE, Desk, desk
from tests.virtual_time import virtual_time

WEBHOOKS = [
    *VOICE_PATHS,
    "/twilio/next",
    "/twilio/status",
    "/twilio/stream",
    "/twilio/recording",
    "/twilio/transcription",
    "/twilio/amd",
]


@pytest.fixture
async def front() -> AsyncIterator[Desk]:
    made = desk()
    yield made
    for worker in made.farm.workers:
        worker.exit()
    for call in list(made.calls.views()):
        live = made.calls.get(call.sid)
        if live is not None:
            live.end("done")


def _verbs(document: str) -> list[str]:
    return [verb.tag for verb in ET.fromstring(document)]


# Health --------------------------------------------------------------------------------------


async def test_health_says_that_the_gateway_lives_whatever_the_farm_does(front: Desk) -> None:
    front.farm.ready = False
    answer = await front.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_follows_the_farm_and_the_drain(front: Desk) -> None:
    assert (await front.client.get("/ready")).status_code == 200
    front.farm.ready = False
    answer = await front.client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "no release")
    front.farm.ready, front.calls.draining = True, True
    answer = await front.client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


async def test_metrics_count_calls_in_prometheus_format(front: Desk) -> None:
    await front.signed("/twilio/voice")
    front.calls.draining = True
    await front.signed("/twilio/voice", VOICE | {"CallSid": "CA" + "3" * 32})
    answer = await front.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert "callfarm_calls 1.0" in lines
    assert "callfarm_calls_accepted_total 1.0" in lines
    assert "callfarm_calls_refused_total 1.0" in lines


# Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/twilio", "/twilio/media/x", "/incoming/x", "/%2e%2e/x"])
async def test_a_path_that_is_not_there_is_404_with_a_hint(front: Desk, path: str) -> None:
    answer = await front.client.get(path)
    assert answer.status_code == 404
    assert "/twilio/voice" in answer.text


@pytest.mark.parametrize("path", WEBHOOKS)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_another_method_is_405_and_says_which_are_allowed(
    front: Desk, path: str, method: str
) -> None:
    answer = await front.client.request(method, path)
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("path", WEBHOOKS)
async def test_an_unsigned_webhook_is_400_and_a_badly_signed_one_403(
    front: Desk, path: str
) -> None:
    unsigned = await front.client.post(path, content=b"CallSid=x", headers=FORM)
    assert unsigned.status_code == 400
    wrong = await front.client.post(
        path, content=b"CallSid=x", headers=FORM | {"X-Twilio-Signature": "bm8="}
    )
    assert wrong.status_code == 403
    for answer in (unsigned, wrong):
        assert TOKEN not in answer.text
        assert len(answer.text) > 20
    assert front.farm.workers == []


async def test_the_right_signature_is_not_told_to_who_has_a_wrong_one(front: Desk) -> None:
    answer = await front.client.post(
        "/twilio/voice", content=b"", headers=FORM | {"X-Twilio-Signature": "bm8="}
    )
    assert sign("https://example.com/twilio/voice") not in answer.text


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x", "x" * 500])
async def test_another_content_type_is_415_and_names_the_right_one(front: Desk, kind: str) -> None:
    answer = await front.client.post(
        "/twilio/voice", content=b"x", headers={"Content-Type": kind, "X-Twilio-Signature": "x"}
    )
    assert answer.status_code == 415
    assert "application/x-www-form-urlencoded" in answer.text


@pytest.mark.parametrize("size", [MOST_BODY + 1, MOST_BODY * 50])
async def test_a_body_over_the_limit_is_413_and_names_the_setting(front: Desk, size: int) -> None:
    answer = await front.client.post("/twilio/voice", content=b"x" * size, headers=FORM)
    assert answer.status_code == 413
    assert "MAX_BODY_BYTES" in answer.text


async def test_a_body_of_the_limit_is_read(front: Desk) -> None:
    fields = VOICE | {"X": "x" * (MOST_BODY - 200)}
    assert (await front.signed("/twilio/voice", fields)).status_code == 200


# The voice webhook ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", VOICE_PATHS)
async def test_every_alias_of_the_voice_webhook_connects_a_stream(
    front: Desk, path: str, method: str
) -> None:
    answer = await front.signed(path, method=method)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert _verbs(answer.text) == ["Connect", "Redirect"]
    assert 'url="wss://example.com/twilio/media/' in answer.text


async def test_the_same_call_twice_gets_the_same_document(front: Desk) -> None:
    first = await front.signed("/twilio/voice")
    second = await front.signed("/twilio/voice", method="GET")
    assert first.text == second.text
    assert len(front.farm.workers) == 1


@pytest.mark.parametrize("path", ["/twilio/voice/", "/incoming/"])
async def test_a_webhook_configured_with_a_trailing_slash_is_answered(
    front: Desk, path: str
) -> None:
    answer = await front.signed(path)
    assert answer.status_code == 200
    assert _verbs(answer.text) == ["Connect", "Redirect"]


async def test_no_release_and_no_room_are_said_and_the_fallback_is_dialled(front: Desk) -> None:
    front.farm.ready = False
    answer = await front.signed("/twilio/voice")
    assert _verbs(answer.text) == ["Say", "Dial", "Hangup"]
    assert FALLBACK in answer.text
    front.farm.ready, front.calls.draining = True, True
    assert _verbs((await front.signed("/twilio/voice")).text) == ["Say", "Dial", "Hangup"]


async def test_a_bug_of_ours_is_an_apology_and_never_an_error_page(
    front: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front.farm, "start_process", lambda *_: 1 / 0)
    answer = await front.signed("/twilio/voice")
    assert answer.status_code == 200
    assert _verbs(answer.text) == ["Say", "Dial", "Hangup"]


@pytest.mark.parametrize("sid", [None, "", "CA1", "../../etc/passwd", "CA" + "g" * 32, SID + "0"])
async def test_a_signed_webhook_without_a_proper_call_is_400_and_says_which_field(
    front: Desk, sid: str | None
) -> None:
    fields = dict(VOICE)
    del fields["CallSid"]
    answer = await front.signed(
        "/twilio/voice", fields if sid is None else fields | {"CallSid": sid}
    )
    assert answer.status_code == 400
    assert "CallSid" in answer.text
    assert front.farm.workers == []


@pytest.mark.parametrize(
    "path", [path for path in WEBHOOKS if path not in {*VOICE_PATHS, "/twilio/next"}]
)
async def test_callbacks_about_unknown_calls_are_taken_in_silence(front: Desk, path: str) -> None:
    fields = VOICE | {
        "RecordingSid": "RE" + "1" * 32,
        "TranscriptionSid": "GT" + "1" * 32,
        "StreamSid": "MZ" + "1" * 32,
    }
    answer = await front.signed(path, fields)
    assert (answer.status_code, answer.text) == (204, "")


async def test_a_caller_with_whom_nobody_came_to_talk_is_told_so_and_not_sent_back_to_the_music(
    front: Desk,
) -> None:
    await front.signed("/twilio/voice")
    call = front.calls.get(SID)
    assert call is not None
    assert call.leave(Plan.HOLD, "a human is asked")
    call.flow.machine.move(CallState.HELD)
    call.holding.hand_over("room-1", "+15005550002")
    asked_late = await front.signed("/twilio/next")
    assert _verbs(asked_late.text) == ["Dial"], "the first answer was lost on its way"
    fetched = await front.signed("/twilio/next?alone=1")
    assert _verbs(fetched.text) == ["Say", "Hangup"]
    assert "nobody can take your call" in fetched.text


async def test_a_caller_alone_with_music_whom_nobody_knows_gets_an_agent(front: Desk) -> None:
    answer = await front.signed("/twilio/next?alone=1")
    assert _verbs(answer.text) == ["Connect", "Redirect"]


# Behind a prefix -----------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["/ai/twilio/voice", "/twilio/voice"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_path_prefix_is_served_whether_the_proxy_strips_it_or_not(
    at: str, method: str
) -> None:
    front = desk("/ai")
    answer = await front.signed("/ai/twilio/voice", method=method, at=at)
    assert answer.status_code == 200
    assert 'url="wss://example.com/ai/twilio/media/' in answer.text
    assert "https://example.com/ai/twilio/next" in answer.text
    assert (await front.client.get("/ai/health")).status_code == 200
    assert (await front.client.get("/health")).status_code == 200
    assert (await front.client.get("/aix/health")).status_code == 404
    front.farm.close()


# Hostile bodies ------------------------------------------------------------------------------

_names = st.sampled_from([*VOICE, "Direction", "DialCallStatus", "TranscriptionData", "Digits"])
_fields = st.lists(
    st.tuples(
        _names
        | st.text(max_size=8).filter(lambda name: not any(0xD800 <= ord(c) < 0xE000 for c in name)),
        st.text(max_size=20)
        | st.sampled_from([SID, ACCOUNT, "RE" + "1" * 32, "GT" + "1" * 32, "MZ" + "1" * 32])
        | st.sampled_from(['{"transcript": 1}', '{"transcript":"\\ud800"}', "\x00", "￿", "-1e999"]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(WEBHOOKS), _fields, st.booleans(), st.sampled_from(["GET", "POST"]))
def test_signed_garbage_is_answered_with_twiml_or_silence_or_400_and_never_an_error(
    path: str, garbage: list[tuple[str, str]], known: bool, method: str
) -> None:
    @virtual_time
    async def case() -> None:
        front = desk()
        if known:
            await front.signed("/twilio/voice")
            garbage.insert(0, ("CallSid", SID))
        answer = await front.signed(path, garbage, method)
        assert answer.status_code in {200, 204, 400}
        if answer.status_code == 200:
            assert ET.fromstring(answer.text).tag == "Response"
        front.farm.close()

    case()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(WEBHOOKS), st.binary(max_size=200), st.text(max_size=30))
def test_unsigned_garbage_is_refused_and_never_an_error(
    path: str, body: bytes, signature: str
) -> None:
    @virtual_time
    async def case() -> None:
        front = desk()
        headers = FORM | {"X-Twilio-Signature": signature.encode("utf-8", "replace").hex()}
        answer = await front.client.post(path, content=body, headers=headers)
        assert answer.status_code in {400, 403}
        assert front.farm.workers == []

    case()


async def test_the_replaced_status_path_answers_in_its_own_words(front: Desk) -> None:
    answer = await front.signed("/call-status")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    answer = await front.signed("/call-status", {"CallStatus": "completed"})
    assert (answer.status_code, answer.text) == (400, "Invalid request")
    assert (await front.client.post("/call-status", data=VOICE)).status_code == 400


# Several accounts ----------------------------------------------------------------------------

OTHER = "AC" + "9" * 32


@pytest.mark.parametrize("path", WEBHOOKS)
async def test_an_accounts_webhooks_count_for_its_own_calls_alone(front: Desk, path: str) -> None:
    await front.signed("/twilio/voice")
    forged = VOICE | {"AccountSid": OTHER, "CallStatus": "completed", "StreamSid": "MZ" + "1" * 32}
    assert (await front.signed(path, forged)).status_code == 403
    call = front.calls.get(SID)
    assert call is not None
    call.end("done")
    for worker in front.farm.workers:
        worker.exit()
    assert front.calls.get(SID) is None
    assert (await front.signed(path, forged)).status_code == 403


@pytest.mark.parametrize(("account", "shown"), [(ACCOUNT, "+1500"), (OTHER, "+1777")])
async def test_who_is_dialled_sees_a_number_of_the_calls_own_account(
    account: str, shown: str
) -> None:
    front = desk(options=TwilioOptions(MOST_BODY, FALLBACK, "+1500", ACCOUNT))
    form = VOICE | {"AccountSid": account, "To": "+1777", "Direction": "inbound"}
    await front.signed("/twilio/voice", form)
    call = front.calls.get(SID)
    assert call is not None
    call.leave(Plan.DIAL, "transferred", "+493012345678")
    answer = ET.fromstring((await front.signed("/twilio/next", form)).text)
    dial = answer.find("Dial")
    assert dial is not None
    assert dial.get("callerId") == shown
    call.end("done")
    for worker in front.farm.workers:
        worker.exit()
