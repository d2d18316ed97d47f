"""Questions, conferences and other instructions, on real legs against a real server."""

import asyncio

import pytest

from phone import Phone, PhoneSettings, Rooms
from phone.call import Call
from phone.events import CallbackSent, Met, Noticed, Parted, StreamEnded, StreamEnding, VerbBegun
from phone.twiml import TwimlError
from tests.phone.app import TOKEN, App, Form, listen, serving, stream, twiml

ROOM_EVENTS = 'statusCallbackEvent="start end join leave"'


def phone(app: App, path: str = "/voice", rooms: Rooms | None = None) -> Phone:
    settings = PhoneSettings(verb_speed=200.0, rooms=rooms or Rooms())
    return Phone(app.url(path), auth_token=TOKEN, settings=settings)


def verbs(call: Call) -> list[str]:
    return [event.verb for event in call.events if isinstance(event, VerbBegun)]


# Questions -----------------------------------------------------------------------------------

QUESTION = '<Gather input="{}" numDigits="1" action="/answer"{}><Say>Yes or no?</Say></Gather>'


@pytest.mark.parametrize(
    ("takes", "reply", "form"),
    [
        ("dtmf speech", "yes please", {"SpeechResult": "yes please"}),
        ("speech", "no", {"SpeechResult": "no"}),
        ("dtmf speech", "#1", {"Digits": "1"}),
    ],
)
async def test_a_gather_takes_words_or_keys_and_tells_which(
    takes: str, reply: str, form: Form
) -> None:
    app = App({"/voice": lambda _: twiml(QUESTION.format(takes, "")), "/answer": lambda _: twiml()})
    async with serving(app), phone(app).dial() as call:
        await call.asked()
        if reply.startswith("#"):
            await call.press(reply[1:])
        else:
            call.reply(reply)
        await call.ended()
    (told,) = app.forms("/answer")
    assert form.items() <= told.items()
    assert ("SpeechResult" in told) is ("Confidence" in told) is ("SpeechResult" in form)
    assert app.unsigned == []


async def test_a_gather_that_takes_words_only_hears_no_keys_and_none_may_be_said_to_others() -> (
    None
):
    question = QUESTION.format("speech", ' timeout="60"')
    app = App({"/voice": lambda _: twiml(question), "/answer": lambda _: twiml()})
    async with serving(app), phone(app).dial() as call:
        await call.asked()
        await call.press("1")
        call.reply("no")
        await call.ended()
        assert "SpeechResult" in app.forms("/answer")[0]
    app = App({"/voice": lambda _: twiml(QUESTION.format("dtmf", ' timeout="600"'))})
    async with serving(app), phone(app).dial() as call:
        await call.asked()
        with pytest.raises(RuntimeError, match="await asked"):
            call.reply("yes")


# Conferences ---------------------------------------------------------------------------------


def meeting(inside: str = "") -> App:
    """Return a server where callers wait with music, and `/human` joins them."""
    wait = 'startConferenceOnEnter="false" waitUrl="/wait"'
    caller = f'<Conference endConferenceOnExit="true" {wait} {inside} >room</Conference>'
    human = '<Conference endConferenceOnExit="true" waitUrl="">room</Conference>'
    return App(
        {
            "/voice": lambda _: twiml(f'<Dial action="/next">{caller}</Dial>'),
            "/human": lambda _: twiml(f"<Dial>{human}</Dial>", "<Say>It was nice.</Say>"),
            "/wait": lambda _: twiml("<Say>La la la.</Say>", "<Redirect>/wait</Redirect>"),
            "/next": lambda _: twiml("<Say>Bye.</Say>"),
            "/room": lambda _: "",
        }
    )


async def test_two_legs_meet_in_a_room_and_part_when_one_hangs_up() -> None:
    app, rooms = meeting(), Rooms()
    async with serving(app):
        inside = f'statusCallback="{app.url("/room")}" {ROOM_EVENTS}'
        app.webhooks["/voice"] = meeting(inside).webhooks["/voice"]
        async with phone(app, rooms=rooms).dial() as caller:
            await caller.seen(VerbBegun, 4)
            assert verbs(caller)[:3] == ["Conference", "Say", "Say"], "music, again and again"
            async with phone(app, "/human", rooms).dial() as human:
                met = await caller.seen(Met)
                await human.seen(Met)
                assert met.room == "room"
                await human.hangup()
            report = await caller.ended()
        assert report.status == "completed"
        (form,) = app.forms("/next")
        assert form["DialCallStatus"] == "answered"
        assert verbs(caller)[-1] == "Say"
        assert "Say" not in verbs(human), "nothing follows a hang-up"
    told = [form["StatusCallbackEvent"] for form in app.forms("/room")]
    assert sorted(told) == sorted(
        ["conference-start", "conference-end", *2 * ["participant-join", "participant-leave"]]
    )
    sent = [e.what for e in (*caller.events, *human.events) if isinstance(e, CallbackSent)]
    assert len([what for what in sent if what.startswith("room: ")]) == 6
    assert app.unsigned == []


async def test_a_document_without_action_goes_on_when_the_room_is_over() -> None:
    app, rooms = meeting(), Rooms()
    async with (
        serving(app),
        phone(app, rooms=rooms).dial() as caller,
        phone(app, "/human", rooms).dial() as human,
    ):
        await human.seen(Met)
        await caller.hangup()
        await human.ended()
    assert verbs(human)[-1] == "Say"


async def test_hanging_up_while_waiting_leaves_the_room() -> None:
    app, rooms = meeting(), Rooms()
    async with serving(app), phone(app, rooms=rooms).dial() as caller:
        await caller.seen(VerbBegun)
        await caller.hangup()
        await caller.ended()
        assert [type(e) for e in caller.events if isinstance(e, Met | Parted)] == [Parted]
    assert rooms.names == []


async def test_one_more_than_a_room_holds_is_sent_on() -> None:
    app, rooms = meeting('maxParticipants="2"'), Rooms()
    async with (
        serving(app),
        phone(app, rooms=rooms).dial() as one,
        phone(app, "/human", rooms).dial() as two,
    ):
        await one.seen(Met)
        async with phone(app, rooms=rooms).dial() as three:
            await three.ended()
            assert 16020 in [e.problem.code for e in three.events if isinstance(e, Noticed)]
        assert app.forms("/next")[0]["DialCallStatus"] == "failed"
        await two.hangup()


# Other instructions ----------------------------------------------------------------------------


async def test_a_stream_that_is_redirected_gets_its_stop_and_the_call_goes_on() -> None:
    app = App(
        {"/voice": lambda _: twiml(stream(), "<Say>never</Say>"), "/next": lambda _: twiml()},
        media=listen,
    )
    async with serving(app), phone(app).dial() as call:
        await call.connected()
        call.redirect("<Response><Say>Instead.</Say></Response>")
        await call.ended()
        (over,) = [event for event in call.events if isinstance(event, StreamEnded)]
        assert over.how is StreamEnding.REDIRECTED
        (media,) = app.sockets
        await media.over.wait()
        assert media.messages[-1]["event"] == "stop"
        said = [e.detail for e in call.events if isinstance(e, VerbBegun) and e.verb == "Say"]
        assert said == ["Instead."]


async def test_who_waits_in_a_room_can_be_fetched_by_another_url() -> None:
    app, rooms = meeting(), Rooms()
    async with serving(app), phone(app, rooms=rooms).dial() as caller:
        await caller.seen(VerbBegun)
        caller.redirect(url=app.url("/next"))
        await caller.ended()
        assert rooms.names == []
    assert "DialCallStatus" not in app.forms("/next")[0]


async def test_a_hang_up_counts_more_than_instructions_that_come_at_once() -> None:
    app = App({"/voice": lambda _: twiml('<Pause length="60000"/>')})
    async with serving(app), phone(app).dial() as call:
        await call.seen(VerbBegun)
        call.redirect("<Response><Say>Instead.</Say></Response>")
        await call.hangup()
        report = await call.ended()
        assert "Say" not in verbs(call)
        call.redirect("<Response/>")
        assert report.status == "no-answer"
        with pytest.raises(TwimlError):
            call.redirect("<Response>")


async def test_instructions_may_follow_each_other() -> None:
    app = App({"/voice": lambda _: twiml('<Say loop="0">on and on</Say>')})
    async with serving(app), phone(app).dial() as call:
        for turn in range(3):
            await call.seen(VerbBegun)
            call.redirect(f'<Response><Say loop="0">turn {turn}</Say></Response>')
            await asyncio.sleep(0.02)
        said = [e.detail for e in call.events if isinstance(e, VerbBegun) and e.verb == "Say"]
        assert said == ["on and on", "turn 0", "turn 1", "turn 2"]
