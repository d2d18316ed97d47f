import json
import ssl
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.answers import IncomingCall, PlacedFor
from gateway.outbox.audience import Subscribers, listening_of
from gateway.outbox.courier import Courier
from gateway.outbox.dialling import Lines
from gateway.outbox.first_message import MOST_LETTERS, AskedFirstMessages, message_of
from shared import messages
from tests.fakes.n8n import Answer, N8nFake
from tests.gateway.calls.actors import SID, incoming


async def asked(
    url: str | None, call: IncomingCall | None = None, seconds: float = 2.0, secret: str = ""
) -> str | None:
    """Return what the process is told, ``None`` if nobody was asked."""
    courier = Courier(Lines(ssl.create_default_context()))
    keys = (secret,) if secret else ()
    subscribers = Subscribers([], None, own_secrets=keys)
    asking = AskedFirstMessages(courier, subscribers, lambda *_: None, url, seconds)
    question = asking.ask(call or incoming())
    if question is None:
        return None
    told: list[messages.Event] = []
    await question.tell(told.append)
    await courier.aclose()
    assert isinstance(told[0], messages.FirstMessage)
    assert len(told) == 1
    return told[0].text


def at(n8n: N8nFake) -> str:
    return f"{n8n.url}/webhook/calls"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"firstMessage": "Hello Eva."}', "Hello Eva."),
        (b'{"first_message": "Hello Eva."}', "Hello Eva."),
        (b'[{"firstMessage": "Hello Eva."}]', "Hello Eva."),
        (b'"Hello Eva."', "Hello Eva."),
        (b"Hello Eva.\n", "Hello Eva."),
        ("\ufeffGrüß Gott.".encode(), "Grüß Gott."),
        (b'{"firstMessage": "a\\n b\\u0000c"}', "a b c"),
        (b'{"message":"Workflow was started"}', ""),
        (b'{"firstMessage": 7}', ""),
        (b'{"firstMessage": ', ""),
        (b"[]", ""),
        (b"<html>nginx</html>", ""),
        (b"", ""),
        (b"   ", ""),
    ],
)
async def test_what_a_service_answers_is_said_if_it_can_be(body: bytes, text: str) -> None:
    async with N8nFake() as n8n:
        n8n.otherwise = Answer(body=body)
        assert await asked(at(n8n)) == text


async def test_the_question_is_voxflows_and_says_more() -> None:
    async with N8nFake(secrets=("key",), voxflow_secret="key") as n8n:
        n8n.otherwise = Answer(body=b"Hello.")
        assert await asked(at(n8n), secret="key") == "Hello."
        assert n8n.received[0].json == {
            "route": "1",
            "number": "+1",
            "data": "empty",
            "to": "+2",
            "call_sid": SID,
            "direction": "inbound",
            "company": None,
        }


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(404), Answer(500), Answer(302), Answer(cut=True), Answer(garbage=True)),
        Answer(delay_s=3),
    ],
    ids=str,
)
async def test_when_it_fails_the_agent_says_its_own_and_it_is_asked_once(answer: Answer) -> None:
    async with N8nFake() as n8n:
        n8n.otherwise = answer
        assert await asked(at(n8n), seconds=0.3) == ""
        assert len(n8n.received) == 1


async def test_nobody_there_is_no_delay() -> None:
    assert await asked("http://127.0.0.1:1/") == ""
    assert await asked(None) is None


async def test_a_call_that_was_placed_has_its_message_already() -> None:
    placed = PlacedFor("d1", "", "", {"first_message": "Hello\nEva."}, 60.0)
    call = replace(incoming(), direction="outbound-api", placed=placed)
    async with N8nFake() as n8n:
        assert await asked(at(n8n), call) == "Hello Eva."
        assert not n8n.received


async def test_a_companys_service_is_asked_and_never_one_inside() -> None:
    async with N8nFake() as n8n:
        subscribers = Subscribers([])
        theirs = listening_of(7, {"first_message_url": at(n8n)}, ())
        subscribers._listening = {7: theirs}
        courier = Courier(Lines(ssl.create_default_context()))
        asking = AskedFirstMessages(courier, subscribers, lambda *_: 7, at(n8n), 2.0)
        question = asking.ask(incoming())
        assert question is not None
        told: list[messages.Event] = []
        await question.tell(told.append)
        assert told == [messages.FirstMessage("")]
        assert not n8n.received
        await courier.aclose()


@given(st.binary(max_size=400))
def test_a_hostile_answer_is_one_line_or_nothing(body: bytes) -> None:
    text = message_of(body)
    assert text.isprintable()
    assert len(text) <= MOST_LETTERS
    assert text == text.strip()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda it: st.lists(it) | st.dictionaries(st.text(), it),
    )
)
def test_any_json_is_one_line_or_nothing(value: object) -> None:
    assert message_of(json.dumps(value).encode()).isprintable()
