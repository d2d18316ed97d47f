"""Whole calls against a real server on loopback."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.responses import Response

from phone import Callee, CalleeOutcome, CallEndedError, HangUpStep, Phone, PhoneSettings
from phone.events import (
    AgentBegan,
    AgentSpoke,
    CallbackSent,
    CallerSpoke,
    Ending,
    Event,
    FirstAgentAudio,
    KeyPressed,
    MarkEchoed,
    StreamEnded,
    StreamEnding,
    StreamStarted,
    VerbBegun,
    VerbDone,
    WebhookFailed,
)
from phone.report import Report
from shared.audio import FRAME_BYTES, SILENCE, pcm16_to_ulaw
from tests.harness import eventually
from tests.phone.app import TOKEN, App, Form, Media, serving, stream, twiml

FAST = PhoneSettings(verb_speed=200.0)
TONE = pcm16_to_ulaw(b"\x00\x40\x00\xc0" * 80)
"""20 ms at half of full scale."""


def phone(
    app: App,
    settings: PhoneSettings = FAST,
    path: str = "/voice",
    status_url: str | None = None,
    fallback_url: str | None = None,
) -> Phone:
    return Phone(
        app.url(path),
        auth_token=TOKEN,
        settings=settings,
        status_url=status_url,
        fallback_url=fallback_url,
    )


async def call_through(app: App, settings: PhoneSettings = FAST, path: str = "/voice") -> Report:
    """Place a call and let it end by itself."""
    async with serving(app), phone(app, settings, path).dial() as call:
        return await call.ended()


async def echo(media: Media) -> None:
    await media.started()
    while True:
        payload = (await media.next("media"))["media"]["payload"]
        await media.send({"event": "media", "media": {"payload": payload}})


def codes(report: Report) -> list[int]:
    return [problem.code for problem in report.problems]


async def test_a_call_begins_with_a_signed_webhook_that_carries_the_full_parameter_set() -> None:
    app = App({"/voice": lambda _: twiml("<Hangup/>")})
    report = await call_through(app)
    (form,) = app.forms("/voice")
    assert app.unsigned == []
    assert form["CallSid"] == report.call_sid
    assert form["CallStatus"] == "ringing"
    assert form["FromCity"] == ""
    assert {"AccountSid", "ApiVersion", "Called", "Caller", "Direction", "From", "To"} <= set(form)
    assert "i-twilio-idempotency-token" in app.headers[0]
    assert (report.status, report.how) == ("completed", Ending.DOCUMENT)


async def test_a_get_webhook_signs_its_query_and_leaves_the_fragment_out() -> None:
    app = App({"/voice": lambda _: twiml("<Hangup/>")})
    settings = PhoneSettings(method="GET")
    await call_through(app, settings, path="/voice?tenant=a%20b#rc=2")
    (form,) = app.forms("/voice")
    assert app.unsigned == []
    assert form["tenant"] == "a b"
    assert "CallSid" in form


async def test_the_media_socket_opens_as_twilios_does() -> None:
    inside = '<Parameter name="agent" value="4 &amp; 2"/>'
    app = App({"/voice": lambda _: twiml(stream("/media/x", inside))})
    async with serving(app), phone(app).dial() as call:
        await call.connected(timeout=5)
        await call.say(TONE * 3)
    (media,) = app.sockets
    headers = app.headers[-1]
    assert headers["user-agent"] == "Twilio.TmeWs/1.0"
    assert not {"origin", "sec-websocket-extensions", "sec-websocket-protocol"} & set(headers)
    connected, start, first = media.messages[:3]
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["sequenceNumber"] == "1"
    assert start["start"]["customParameters"] == {"agent": "4 & 2"}
    assert start["start"]["callSid"] == call.sid
    assert start["start"]["mediaFormat"] == {
        "encoding": "audio/x-mulaw",
        "sampleRate": 8000,
        "channels": 1,
    }
    assert first["sequenceNumber"] == "2"
    assert (first["media"]["chunk"], first["media"]["timestamp"]) == ("1", "0")
    assert TONE * 3 in media.audio
    numbers = [int(message["sequenceNumber"]) for message in media.messages[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert media.messages[-1]["event"] == "stop"


async def test_an_echo_comes_back_sample_by_sample_and_both_tracks_share_a_clock() -> None:
    app = App({"/voice": lambda _: twiml(stream())}, media=echo)
    phrase = bytes(range(1, 161)) * 10
    received = bytearray()
    async with serving(app), phone(app).dial() as call:
        call.on_agent_audio = received.extend
        await call.connected(timeout=5)
        await call.say(phrase, "counting")
        # A frame that came late leaves a gap in what was heard, never a wrong sample.
        await eventually(lambda: phrase in call.heard.replace(SILENCE, b""))
        await call.hangup()
        report = await call.ended()
    assert phrase in bytes(received)
    assert phrase in report.caller_audio
    assert len(report.caller_audio) == len(report.agent_audio)
    assert report.agent_audio.index(phrase[:160]) >= report.caller_audio.index(phrase)
    assert report.of(CallerSpoke)[0].label == "counting"
    assert report.of(FirstAgentAudio)[0].at_ms <= report.of(AgentBegan)[0].at_ms + 20


async def test_a_mark_comes_back_after_its_audio_was_played_and_at_once_without_audio() -> None:
    async def greet(media: Media) -> None:
        await media.started()
        await media.mark("nothing before")
        await media.play(TONE * 10)
        await media.mark("greeting")
        await media.next("mark")
        await media.next("mark")
        await media.close()

    app = App({"/voice": lambda _: twiml(stream())}, media=greet)
    report = await call_through(app)
    (media,) = app.sockets
    assert [m["mark"]["name"] for m in media.of("mark")] == ["nothing before", "greeting"]
    first, second = report.of(MarkEchoed)
    assert not first.cleared
    assert not second.cleared
    assert TONE * 10 in report.agent_audio
    (span,) = report.of(AgentSpoke)
    assert span.until_ms - span.from_ms == 200


async def test_clear_cuts_the_audio_and_returns_every_waiting_mark() -> None:
    async def interrupted(media: Media) -> None:
        await media.started()
        for n in range(3):
            await media.play(TONE * 50)
            await media.mark(f"sentence {n}")
        await media.next("dtmf")
        await media.clear()
        for _ in range(3):
            await media.next("mark")
        await media.close()

    app = App({"/voice": lambda _: twiml(stream())}, media=interrupted)
    async with serving(app), phone(app).dial() as call:
        await call.heard_speech(timeout=5)
        await call.press("1")
        report = await call.ended()
    assert [mark.name for mark in report.of(MarkEchoed)] == [f"sentence {n}" for n in range(3)]
    assert all(mark.cleared for mark in report.of(MarkEchoed))
    assert report.agent_audio.count(TONE) < 100
    assert [key.key for key in report.of(KeyPressed)] == ["1"]
    assert app.sockets[0].of("dtmf")[0]["dtmf"] == {"track": "inbound_track", "digit": "1"}


async def test_bad_messages_are_dropped_and_warned_of_once_a_stream() -> None:
    async def bad(media: Media) -> None:
        await media.started()
        for _ in range(2):
            await media.websocket.send_bytes(b"\x00")
            await media.websocket.send_text("{nonsense")
            await media.send({"event": "media", "media": {"payload": "AAAA", "extra": 1}})
            await media.send({"event": "clear", "streamSid": "MZother"})
        await media.mark("still alive")
        await media.next("mark")
        await media.close()

    app = App({"/voice": lambda _: twiml(stream())}, media=bad)
    report = await call_through(app)
    assert codes(report) == [31950, 31951]
    assert report.messages_dropped == 8
    assert report.media_received == 0


async def test_when_the_server_closes_the_document_goes_on_with_the_next_verb() -> None:
    async def goodbye(media: Media) -> None:
        await media.started()
        await media.play(TONE * 100)
        await media.close()

    status = 'statusCallback="{}/stream"'
    app = App(media=goodbye)
    app.webhooks = {
        "/voice": lambda _: twiml(
            stream(attributes=status.format(app.base)), "<Redirect>/next</Redirect>"
        ),
        "/next": lambda _: twiml("<Say>Good bye.</Say>", "<Hangup/>"),
    }
    report = await call_through(app)
    (next_form,) = app.forms("/next")
    assert next_form["CallStatus"] == "in-progress"
    (ended,) = report.of(StreamEnded)
    assert (ended.how, ended.code) == (StreamEnding.SERVER_CLOSED, 1000)
    assert ended.unplayed_ms > 1000
    assert [form["StreamEvent"] for form in app.forms("/stream")] == [
        "stream-started",
        "stream-stopped",
    ]
    verbs = [(verb.verb, verb.detail) for verb in report.of(VerbBegun)]
    assert ("Say", "Good bye.") in verbs
    assert app.sockets[0].of("stop") == []


async def test_an_action_of_connect_replaces_the_rest_of_the_document() -> None:
    async def close(media: Media) -> None:
        await media.started()
        await media.close()

    app = App(
        {
            "/voice": lambda _: twiml(stream(connect=' action="/after"'), "<Say>never</Say>"),
            "/after": lambda _: twiml("<Hangup/>"),
        },
        media=close,
    )
    report = await call_through(app)
    assert len(app.forms("/after")) == 1
    assert "Say" not in [verb.verb for verb in report.of(VerbBegun)]


async def test_an_abnormal_close_code_is_a_stream_error() -> None:
    async def crash(media: Media) -> None:
        await media.started()
        await media.close(1011)

    app = App(media=crash)
    app.webhooks = {
        "/voice": lambda _: twiml(stream(attributes=f'statusCallback="{app.base}/stream"'))
    }
    report = await call_through(app)
    assert codes(report) == [31921]
    assert app.forms("/stream")[-1]["StreamEvent"] == "stream-error"
    assert "31921" in app.forms("/stream")[-1]["StreamError"]


async def test_a_lost_network_reconnects_through_the_next_document() -> None:
    app = App(
        {
            "/voice": lambda _: twiml(stream("/media/1"), "<Redirect>/next</Redirect>"),
            "/next": lambda _: twiml(stream("/media/2")),
        },
        media=echo,
    )
    async with serving(app), phone(app).dial() as call:
        await call.connected(timeout=5)
        await call.say(TONE * 5, "before")
        call.drop()
        await call.connected(stream=2, timeout=5)
        await call.say(TONE * 5, "after")
        await call.hangup()
        report = await call.ended()
    first, second = app.sockets
    assert first.disconnected != 1000
    assert first.of("stop") == []
    assert second.messages[-1]["event"] == "stop"
    assert [end.how for end in report.of(StreamEnded)] == [
        StreamEnding.LOST,
        StreamEnding.CALLER_HUNG_UP,
    ]
    assert codes(report) == [31903]
    one, two = report.of(StreamStarted)
    assert one.stream_sid != two.stream_sid
    gap_ms = two.at_ms - one.at_ms
    assert abs(report.caller_audio.rindex(TONE * 5) / 8 - gap_ms) < 300


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (
            PhoneSettings().hang_up_order,
            ["closed", "/stream", "/status"],
        ),
        (
            (
                HangUpStep.CALL_CALLBACK,
                HangUpStep.STREAM_CALLBACK,
                HangUpStep.STOP,
                HangUpStep.CLOSE,
            ),
            ["/status", "/stream", "closed"],
        ),
        ((HangUpStep.CLOSE, HangUpStep.CALL_CALLBACK), ["closed", "/status"]),
        ((HangUpStep.CALL_CALLBACK,), ["/status", "closed"]),
    ],
)
async def test_a_hang_up_takes_its_steps_in_the_order_of_the_settings(
    order: tuple[HangUpStep, ...], expected: list[str]
) -> None:
    app = App()
    app.webhooks = {
        "/voice": lambda _: twiml(stream(attributes=f'statusCallback="{app.base}/stream"'))
    }
    async with serving(app):
        caller = phone(app, PhoneSettings(hang_up_order=order), status_url=app.url("/status"))
        async with caller.dial() as call:
            await call.connected(timeout=5)
            await call.seen(CallbackSent, timeout=5)
            app.order.clear()
            await call.hangup()
            report = await call.ended()
        await app.sockets[0].over.wait()
    assert app.order == expected
    assert bool(app.sockets[0].of("stop")) == (HangUpStep.STOP in order)
    assert app.forms("/status")[-1]["CallStatus"] == "completed"
    assert report.how is Ending.CALLER


async def test_call_status_callbacks_are_numbered_and_tell_the_duration() -> None:
    app = App({"/voice": lambda _: twiml("<Pause/>", "<Say>Hello</Say>")})
    events = frozenset({"initiated", "ringing", "answered", "completed"})
    async with serving(app):
        settings = PhoneSettings(status_events=events, verb_speed=50)
        async with phone(app, settings, status_url=app.url("/status")).dial() as call:
            await call.ended()
    forms = sorted(app.forms("/status"), key=lambda form: int(form["SequenceNumber"]))
    assert [form["CallStatus"] for form in forms] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert [form["SequenceNumber"] for form in forms] == ["0", "1", "2", "3"]
    assert {"CallDuration", "Duration", "SipResponseCode"} <= set(forms[-1])
    assert forms[-1]["CallbackSource"] == "call-progress-events"


async def test_a_hang_up_during_the_webhook_ends_the_call_unanswered() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def slow() -> Response:
        asked.set()
        await release.wait()
        return Response(twiml(stream()), media_type="text/xml")

    app = App({"/voice": lambda _: slow()})
    async with serving(app), phone(app, status_url=app.url("/status")).dial() as call:
        await asked.wait()
        await call.hangup()
        with pytest.raises(CallEndedError):
            await call.connected()
        release.set()
        report = await call.ended()
    assert (report.status, report.how) == ("no-answer", Ending.CALLER)
    assert app.forms("/status")[0]["CallStatus"] == "no-answer"
    assert app.sockets == []


async def test_a_hang_up_during_say_ends_the_call_at_once() -> None:
    app = App({"/voice": lambda _: twiml('<Say loop="0">for ever</Say>')})
    async with serving(app), phone(app, PhoneSettings()).dial() as call:
        await call.seen(VerbBegun, timeout=5)
        await call.hangup()
        report = await call.ended()
    assert (report.status, report.how) == ("completed", Ending.CALLER)
    assert report.of(VerbDone) == []


async def fail_during_a_call(app: App) -> None:
    async with phone(app).dial() as call:
        await call.connected(timeout=5)
        raise RuntimeError("a test's own error")


async def test_leaving_by_an_exception_cuts_the_call_and_leaves_no_task_behind() -> None:
    app = App({"/voice": lambda _: twiml(stream())})
    async with serving(app):
        before = asyncio.all_tasks()
        with pytest.raises(RuntimeError, match="a test's own error"):
            await fail_during_a_call(app)
        # The server's own tasks for the connection end as soon as it sees that it is gone.
        await app.sockets[0].over.wait()
        mine = [t for t in asyncio.all_tasks() - before if "phone/" in repr(t.get_coro())]
    assert mine == []
    assert app.sockets[0].of("stop") == []


async def test_a_dial_asks_its_action_with_the_outcome() -> None:
    def busy(number: str) -> Callee:
        return Callee(CalleeOutcome.BUSY if number == "+15551112222" else CalleeOutcome.ANSWERED)

    app = App()
    app.webhooks = {
        "/voice": lambda _: twiml(
            '<Dial action="/dialled"><Number statusCallback="'
            + app.url("/child")
            + '">+15551112222</Number></Dial>'
        ),
        "/dialled": lambda form: (
            twiml("<Dial>+15553334444</Dial>")
            if form["DialCallStatus"] == "busy"
            else twiml("<Hangup/>")
        ),
    }
    report = await call_through(app, PhoneSettings(verb_speed=200, callee=busy))
    assert [verb.outcome for verb in report.of(VerbDone)] == ["busy", "completed"]
    (form,) = app.forms("/dialled")
    assert form["DialBridged"] == "false"
    (child,) = app.forms("/child")
    assert child["ParentCallSid"] == report.call_sid
    assert (child["CallStatus"], child["Direction"]) == ("busy", "outbound-dial")


async def test_a_gather_collects_keys_and_asks_its_action() -> None:
    gather = '<Gather action="/digits" numDigits="3"><Say>Three digits.</Say></Gather>'
    app = App(
        {"/voice": lambda _: twiml(gather), "/digits": lambda _: twiml('<Reject reason="busy"/>')}
    )
    async with serving(app), phone(app, PhoneSettings()).dial() as call:
        await call.seen(VerbBegun, timeout=5)
        await call.press("12")
        await call.press("3")
        report = await call.ended()
    assert app.forms("/digits")[0]["Digits"] == "123"
    assert codes(report) == [12200]
    assert report.status == "completed"


async def test_a_rejected_call_is_busy_and_has_no_stream() -> None:
    app = App({"/voice": lambda _: twiml('<Reject reason="busy"/>')})
    report = await call_through(app)
    assert (report.status, report.how, report.streams) == ("busy", Ending.REJECTED, 0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response("<Response>", media_type="text/xml"), 12100),
        (Response("<Other/>", media_type="text/xml"), 12102),
        (Response("<Response/>", media_type="application/json"), 12300),
        (Response("<Response/>" + " " * 65536, media_type="text/xml"), 11750),
        (Response(status_code=500), 11200),
        (Response(status_code=302, headers={"location": "/voice"}), 11215),
    ],
)
async def test_a_document_that_cannot_be_had_ends_the_call_or_goes_to_the_fallback(
    answer: Response, code: int
) -> None:
    app = App({"/voice": lambda _: answer, "/fallback": lambda _: twiml("<Say>Sorry</Say>")})
    report = await call_through(app)
    assert [event.problem.code for event in report.of(WebhookFailed)] == [code]
    assert report.how is Ending.APPLICATION_ERROR
    async with serving(app), phone(app, fallback_url=app.url("/fallback")).dial() as call:
        report = await call.ended()
    (form,) = app.forms("/fallback")
    assert form["ErrorCode"] == str(code)
    assert report.how is Ending.DOCUMENT


async def test_a_stream_that_cannot_open_is_an_error_and_the_document_goes_on() -> None:
    app = App(
        {
            "/voice": lambda _: twiml(
                stream("/media?token=1"),
                stream("ws://203.0.113.1/media"),
                stream("ws://127.0.0.1:1/media"),
                stream("/no-socket-here"),
                "<Say>Sorry</Say>",
            )
        }
    )
    report = await call_through(app)
    assert codes(report) == [31923, 31922, 31902, 31920]
    assert "Say" in [verb.verb for verb in report.of(VerbBegun)]
    assert report.streams == 0


async def test_cookies_last_for_one_call() -> None:
    def first(form: Form) -> Response:
        response = Response(twiml("<Redirect>/next</Redirect>"), media_type="text/xml")
        response.set_cookie("call", form["CallSid"])
        return response

    app = App({"/voice": first, "/next": lambda _: twiml("<Hangup/>")})
    async with serving(app):
        caller = phone(app)
        for _ in range(2):
            async with caller.dial() as call:
                await call.ended()
                assert app.headers[-1]["cookie"] == f"call={call.sid}"
            assert "cookie" not in app.headers[0]
            app.headers.clear()


async def test_no_frames_are_sent_in_silence_when_asked() -> None:
    app = App({"/voice": lambda _: twiml(stream())})
    settings = PhoneSettings(silence_frames=False)
    async with serving(app), phone(app, settings).dial() as call:
        await call.connected(timeout=5)
        await call.wait(100)
        await call.say(TONE * 2)
        await call.hangup()
    media = app.sockets[0].of("media")
    assert [message["media"]["chunk"] for message in media] == ["1", "2"]
    assert int(media[0]["media"]["timestamp"]) >= 60


async def test_loss_and_jitter_keep_timestamps_and_order() -> None:
    app = App({"/voice": lambda _: twiml(stream())})
    settings = PhoneSettings(loss=0.3, jitter_ms=100, seed=7)
    async with serving(app), phone(app, settings).dial() as call:
        await call.connected(timeout=5)
        await call.say(TONE * 30)
        await call.hangup()
    media = app.sockets[0].of("media")
    stamps = [int(message["media"]["timestamp"]) for message in media]
    assert stamps == sorted(set(stamps))
    assert 10 <= len(stamps) <= 29
    chunks = [int(message["media"]["chunk"]) for message in media]
    assert chunks == list(range(1, len(chunks) + 1))


async def test_twenty_calls_at_once_each_hear_their_own_echo() -> None:
    app = App({"/voice": lambda _: twiml(stream())}, media=echo)

    async def one(caller: Phone, number: int) -> None:
        phrase = bytes((n * (number + 3)) % 251 for n in range(FRAME_BYTES * 10))
        received = bytearray()
        async with caller.dial() as call, asyncio.timeout(60):
            call.on_agent_audio = received.extend
            await call.connected()
            await call.say(phrase)
            while phrase not in received:
                await call.wait(20)

    async with serving(app):
        caller = phone(app)
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(one(caller, number))
    assert len(app.sockets) == 20


async def test_waiting_for_what_does_not_come_times_out() -> None:
    app = App({"/voice": lambda _: twiml(stream())})
    async with serving(app), phone(app).dial() as call:
        await call.connected(timeout=5)
        with pytest.raises(TimeoutError, match="agent's speech"):
            await call.heard_speech(timeout=0.05)
        with pytest.raises(ValueError, match="no key"):
            await call.press("x")


async def test_a_phrase_waits_while_no_stream_is_open() -> None:
    async def close_at_once(media: Media) -> None:
        await media.started()
        if len(app.sockets) == 1:
            await media.close()
        await media.all()

    app = App(media=close_at_once)
    app.webhooks = {"/voice": lambda _: twiml(stream("/media/1"), stream("/media/2"))}
    async with serving(app), phone(app).dial() as call:
        await call.connected(stream=1, timeout=5)
        await call.connected(stream=2, timeout=5)
        await call.say(TONE * 5)
    assert TONE * 5 in app.sockets[1].audio


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate and its key in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    path = tmp_path / "cert.pem"
    making = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {path}"
    made = subprocess.run([openssl, *making.split()], capture_output=True, check=True)
    path.write_bytes(path.read_bytes() + made.stdout)
    return path


async def test_over_tls_a_self_signed_certificate_is_refused_unless_insecure(
    certificate: Path,
) -> None:
    app = App({"/voice": lambda _: twiml(stream())}, media=echo)
    async with serving(app, certificate):
        async with phone(app).dial() as call:
            assert codes(await call.ended()) == [11237]
        async with phone(app, PhoneSettings(insecure=True)).dial() as call:
            await call.connected(timeout=5)
            await call.say(TONE)
    assert app.unsigned == []
    assert TONE in app.sockets[0].audio


async def wait_for_the_end(app: App, listener: Callable[[Event], None]) -> None:
    async with phone(app).dial(on_event=listener) as call:
        with pytest.raises(CallEndedError):
            await call.seen(StreamEnded)


async def test_an_error_in_the_owners_listener_comes_out_and_hangs_nothing() -> None:
    def broken(event: Event) -> None:
        if type(event) is StreamStarted:
            raise LookupError

    app = App({"/voice": lambda _: twiml(stream())})
    async with serving(app):
        with pytest.raises(ExceptionGroup) as raised:
            await wait_for_the_end(app, broken)
    assert raised.group_contains(LookupError)
