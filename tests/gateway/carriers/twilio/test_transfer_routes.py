"""What Twilio's webhooks mean for transfers, whatever stands in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.answers import Answer, Brief, Excuse, IncomingCall, Meet
from gateway.carriers.control import CallControl, CallGoneError, CarrierError
from gateway.carriers.twilio.leg import BRIEFING_PATH, HOLD_PATH, ROOM_PATH, TwilioLeg
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.transfer_routes import TransferRoutes
from phone.twiml import parse
from phone.verbs import Dial, Gather, Hangup, Play, Redirect, Say

ORIGIN = Origin.parse("https://you.example/ai")
CALL, ACCOUNT = "CA" + "1" * 32, "AC" + "2" * 32
WHO = (("CallSid", CALL), ("AccountSid", ACCOUNT))


class Desk:
    """Writes down what it is told; ``answer`` is what humans hear."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.answer: Answer = Meet("room-1")
        self.rooms = {"room-1"}

    def answered(self, marker: str, human: IncomingCall) -> Answer | None:
        self.told.append((marker, human.sid))
        return self.answer if marker else None

    def replied(self, marker: str, attempt: int, digits: str, speech: str) -> Answer:
        self.told.append((marker, attempt, digits, speech))
        return self.answer

    def in_room(self, room: str, call_sid: str, *, came: bool) -> None:
        self.told.append((room, call_sid, came))

    def is_open(self, room: str) -> bool:
        return room in self.rooms


class Control(TwilioRest):
    """Writes down which document which call was sent to; ``error`` is raised by it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.error: CarrierError | None = None

    async def redirect(self, call_sid: str, document: str) -> None:
        self.sent.append((call_sid, document))
        if self.error is not None:
            raise self.error


CONTROL = Control()


async def desk_control(account_sid: str) -> CallControl | None:
    return CONTROL if account_sid == ACCOUNT else None


async def asked(routes: TransferRoutes, path: str, *parameters: tuple[str, str]) -> bytes:
    """Return the body of the answer."""
    given: Parameters = parameters
    answer = await routes.handlers(desk_control)[path](given, ORIGIN)
    return bytes(answer.body)


async def test_the_answer_to_a_question_comes_with_whose_it_is_and_which() -> None:
    desk = Desk()
    routes = TransferRoutes(desk)
    query = (("dial", "k1"), ("n", "2"))
    await asked(routes, BRIEFING_PATH, *WHO, *query, ("Digits", "1"))
    await asked(routes, BRIEFING_PATH, *WHO, *query, ("SpeechResult", "Yes"), ("Confidence", "1"))
    await asked(routes, BRIEFING_PATH, *WHO)
    await asked(routes, BRIEFING_PATH, *WHO, ("n", "²"))
    assert desk.told == [("k1", 2, "1", ""), ("k1", 2, "", "Yes"), ("", 0, "", ""), ("", 0, "", "")]


async def test_the_human_is_sent_where_the_desk_says() -> None:
    desk = Desk()
    routes = TransferRoutes(desk)
    dial, hangup = parse(await asked(routes, BRIEFING_PATH, *WHO)).verbs
    assert isinstance(dial, Dial)
    assert dial.conference is not None
    assert (dial.conference.name, hangup) == ("room-1", Hangup())
    desk.answer = Excuse("Goodbye.", "en-US")
    assert parse(await asked(routes, BRIEFING_PATH, *WHO)).verbs == (Say("Goodbye."), Hangup())
    desk.answer = Brief("k1", 3, "Yes or no?", "en-US", ("yes",))
    gather = parse(await asked(routes, BRIEFING_PATH, *WHO)).verbs[0]
    assert isinstance(gather, Gather)
    url = "https://you.example/ai/twilio/briefing?dial=k1&n=3#rc=5&rp=ct,rt,5xx&rt=4000"
    assert gather.action == url


WAITS = (("AccountSid", ACCOUNT), ("call", CALL), ("room", "room-1"))


async def test_a_caller_on_hold_hears_our_loop_or_the_operators() -> None:
    CONTROL.sent.clear()
    play, again = parse(await asked(TransferRoutes(Desk()), HOLD_PATH, *WAITS)).verbs
    assert play == Play("https://you.example/ai/twilio/hold-music.wav", loop=2)
    url = "https://you.example/ai" + HOLD_PATH + f"?AccountSid={ACCOUNT}&call={CALL}&room=room-1"
    assert again == Redirect(f"{url}#rc=5&rp=ct,rt,5xx&rt=4000", "GET")
    theirs = "https://elsewhere.example/a.mp3"
    play, _ = parse(await asked(TransferRoutes(Desk(), theirs), HOLD_PATH, *WAITS)).verbs
    assert play == Play(theirs)
    assert CONTROL.sent == []


@pytest.mark.parametrize("error", [None, CallGoneError("redirect", CALL, 21220)])
async def test_a_caller_who_waits_for_nobody_is_fetched_back(error: CarrierError | None) -> None:
    desk = Desk()
    desk.rooms.clear()
    CONTROL.sent.clear()
    CONTROL.error = error
    body = await asked(TransferRoutes(desk), HOLD_PATH, *WAITS)
    assert isinstance(parse(body).verbs[0], Play), "music until it is done"
    ((sid, document),) = CONTROL.sent
    url = "https://you.example/ai/twilio/next?alone=1#rc=5&rp=ct,rt,5xx&rt=4000"
    assert (sid, parse(document.encode()).verbs) == (CALL, (Redirect(url),))
    CONTROL.error = None
    # Without REST nobody can be fetched; they hear music all the same.
    theirs = (("AccountSid", "AC" + "7" * 32), *WAITS[1:])
    assert parse(await asked(TransferRoutes(desk), HOLD_PATH, *theirs)).verbs
    assert len(CONTROL.sent) == 1


async def test_who_comes_and_who_goes_is_told_and_nothing_else_of_a_room() -> None:
    desk = Desk()
    routes = TransferRoutes(desk)
    for event in ("conference-start", "participant-join", "participant-mute", "participant-leave"):
        name, room = ("StatusCallbackEvent", event), ("FriendlyName", "room-1")
        await asked(routes, ROOM_PATH, name, room, ("CallSid", CALL))
    await asked(routes, ROOM_PATH, ("StatusCallbackEvent", "conference-end"))
    assert desk.told == [("room-1", CALL, True), ("room-1", CALL, False)]


def test_a_call_without_a_marker_is_for_no_transfer() -> None:
    leg = TwilioLeg(CALL, ORIGIN, None, None)
    human = IncomingCall(CALL, ACCOUNT, "+1", "+2", "outbound-api", {"dial": "k1"}, leg)
    routes = TransferRoutes(Desk())
    assert routes.answered(human) == Meet("room-1")
    human.parameters.clear()
    assert routes.answered(human) is None


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=50)), max_size=10))
async def test_whatever_comes_is_a_document(fields: list[tuple[str, str]]) -> None:
    body = await asked(TransferRoutes(Desk()), BRIEFING_PATH, *WHO, *fields)
    assert parse(body).verbs
