"""What Twilio's webhooks mean for transfers, whatever stands in them."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.answers import Answer, Brief, Excuse, IncomingCall, Meet
from gateway.carriers.twilio.leg import BRIEFING_PATH, HOLD_PATH, ROOM_PATH, TwilioLeg
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.transfer_routes import TransferRoutes
from phone.twiml import parse
from phone.verbs import Dial, Gather, Hangup, Play, Say

ORIGIN = Origin.parse("https://you.example/ai")
CALL, ACCOUNT = "CA" + "1" * 32, "AC" + "2" * 32
WHO = (("CallSid", CALL), ("AccountSid", ACCOUNT))


class Desk:
    """Writes down what it is told; ``answer`` is what humans hear."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.answer: Answer = Meet("room-1")

    def answered(self, marker: str, human: IncomingCall) -> Answer | None:
        self.told.append((marker, human.sid))
        return self.answer if marker else None

    def replied(self, marker: str, attempt: int, digits: str, speech: str) -> Answer:
        self.told.append((marker, attempt, digits, speech))
        return self.answer

    def in_room(self, room: str, call_sid: str, *, came: bool) -> None:
        self.told.append((room, call_sid, came))


async def asked(routes: TransferRoutes, path: str, *parameters: tuple[str, str]) -> bytes:
    """Return the body of the answer."""
    given: Parameters = parameters
    answer = await routes.handlers()[path](given, ORIGIN)
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


async def test_a_caller_on_hold_hears_our_loop_or_the_operators() -> None:
    body = await asked(TransferRoutes(Desk()), HOLD_PATH, *WHO)
    ours = "https://you.example/ai/twilio/hold-music.wav"
    assert parse(body).verbs == (Play(ours, loop=0),)
    body = await asked(TransferRoutes(Desk(), "https://elsewhere.example/a.mp3"), HOLD_PATH)
    assert parse(body).verbs == (Play("https://elsewhere.example/a.mp3", loop=0),)


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
