"""Every answer is parsed back, as Twilio would."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.phrases import USUAL, Phrases

STREAM = "wss://example.com/twilio/media/TOKEN"
NEXT = "https://example.com/twilio/next?x=1&y=2"


def verbs(document: str) -> list[tuple[str, dict[str, str], str | None]]:
    root = ET.fromstring(document)
    assert root.tag == "Response"
    return [(verb.tag, dict(verb.attrib), verb.text) for verb in root]


def test_a_stream_is_connected_and_then_the_next_answer_asked_for_with_retries() -> None:
    document = twiml.connect_stream(STREAM, NEXT, status_url="https://example.com/twilio/stream")
    assert document.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    assert verbs(document) == [
        ("Connect", {}, None),
        ("Redirect", {"method": "POST"}, f"{NEXT}#rc=5&rp=ct,rt,5xx&rt=4000"),
    ]
    stream = ET.fromstring(document).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {
        "url": STREAM,
        "statusCallback": "https://example.com/twilio/stream",
    }


def test_a_services_socket_is_connected_as_it_is_and_by_name() -> None:
    url = "wss://voice.example/calls/1?token=a&b=<c>"
    document = twiml.connect_elsewhere(
        url, NEXT, name="ultravox", status_url="https://example.com/twilio/stream"
    )
    assert [name for name, _, _ in verbs(document)] == ["Connect", "Redirect"]
    stream = ET.fromstring(document).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {
        "url": url,
        "name": "ultravox",
        "statusCallback": "https://example.com/twilio/stream",
    }


@pytest.mark.parametrize("url", ["https://x", "wss://x y", "", "wss://x#y", "wss://x\x00"])
def test_what_is_no_socket_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(twiml.TwimlError) as caught:
        twiml.connect_elsewhere(url, NEXT)
    assert not url or url not in str(caught.value)


def test_a_call_that_could_not_be_connected_is_told_so() -> None:
    spoken = verbs(twiml.unconnected())[0][2]
    assert spoken is not None
    assert spoken.startswith("Sorry, there was an error connecting your call.")
    assert [name for name, _, _ in verbs(twiml.unconnected("+15005550001"))] == [
        "Say",
        "Dial",
        "Hangup",
    ]


def test_parameters_come_through_escaped() -> None:
    given_ = {"from": "+4930", "name": 'A & B <"x">', "blank": ""}
    document = twiml.connect_stream(STREAM, NEXT, parameters=given_)
    found = ET.fromstring(document).findall("Connect/Stream/Parameter")
    assert {it.attrib["name"]: it.attrib["value"] for it in found} == given_


def test_digits_are_played_before_the_stream_is_connected_again() -> None:
    document = twiml.connect_stream(STREAM, NEXT, digits="1w2#")
    assert [name for name, _, _ in verbs(document)] == ["Play", "Connect", "Redirect"]
    assert verbs(document)[0][1] == {"digits": "1w2#"}


def test_a_human_is_dialled_and_the_result_reported_to_the_next_answer() -> None:
    document = twiml.dial("+493012345678", NEXT, caller_id="+15551234567", timeout_s=25)
    assert verbs(document) == [
        (
            "Dial",
            {
                "action": f"{NEXT}#{twiml.RETRIES}",
                "method": "POST",
                "callerId": "+15551234567",
                "timeout": "25",
            },
            None,
        )
    ]
    assert ET.fromstring(document).findtext("Dial/Number") == "+493012345678"


def test_a_dial_can_be_announced_and_keeps_the_callers_number() -> None:
    say, dial = verbs(twiml.dial("+493012345678", NEXT, message="One moment."))
    assert say == ("Say", {}, "One moment.")
    assert "callerId" not in dial[1]


def test_no_room_is_said_and_the_fallback_number_dialled() -> None:
    document = twiml.busy("+493012345678")
    say, dial, hang_up = verbs(document)
    assert say[2] == f"{USUAL.busy} {USUAL.connecting}"
    assert dial[:2] == ("Dial", {"timeout": "30"})
    assert ET.fromstring(document).findtext("Dial/Number") == "+493012345678"
    assert hang_up[0] == "Hangup"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (twiml.busy(), USUAL.busy),
        (twiml.failure(), USUAL.failed),
        (twiml.unanswered(), USUAL.unanswered),
    ],
)
def test_without_a_fallback_number_it_is_said_to_call_later(document: str, said: str) -> None:
    assert verbs(document) == [
        ("Say", {}, f"{said} {USUAL.later}"),
        ("Hangup", {}, None),
    ]


def test_an_apology_is_spoken_in_its_language() -> None:
    document = twiml.apology("Tut uns leid.", language="de-DE")
    assert verbs(document)[0] == ("Say", {"language": "de-DE"}, "Tut uns leid.")


def test_hanging_up_is_one_verb() -> None:
    assert verbs(twiml.hang_up()) == [("Hangup", {}, None)]


@pytest.mark.parametrize(
    "url", ["https://example.com/m", "wss://example.com/m?x=1", "wss://example.com/m#x", "wss://"]
)
def test_a_stream_url_that_twilio_would_not_open_is_refused(url: str) -> None:
    with pytest.raises(twiml.TwimlError, match="no stream URL"):
        twiml.connect_stream(url, NEXT)


@pytest.mark.parametrize("digits", ["", "12 3", "+49", "E", "1" * 129])
def test_digits_that_cannot_be_played_are_refused(digits: str) -> None:
    with pytest.raises(twiml.TwimlError, match="cannot be dialled"):
        twiml.connect_stream(STREAM, NEXT, digits=digits)


@pytest.mark.parametrize("timeout_s", [4, 601])
def test_a_ring_time_twilio_does_not_take_is_refused(timeout_s: int) -> None:
    with pytest.raises(twiml.TwimlError, match="between 5 and 600"):
        twiml.dial("+493012345678", NEXT, timeout_s=timeout_s)


def test_a_parameter_of_500_characters_is_refused_and_one_less_is_not() -> None:
    twiml.connect_stream(STREAM, NEXT, parameters={"n": "v" * 498})
    with pytest.raises(twiml.TwimlTooLongError) as caught:
        twiml.connect_stream(STREAM, NEXT, parameters={"n": "v" * 499})
    assert (caught.value.size, caught.value.limit) == (500, 499)


def test_a_document_over_64_kb_is_refused() -> None:
    parameters = {f"p{number}": "v" * 480 for number in range(130)}
    with pytest.raises(twiml.TwimlTooLongError) as caught:
        twiml.connect_stream(STREAM, NEXT, parameters=parameters)
    assert caught.value.limit == 64_000


def test_an_inline_document_over_4000_characters_is_refused() -> None:
    assert twiml.inline(twiml.hang_up()) == twiml.hang_up()
    with pytest.raises(twiml.TwimlTooLongError):
        twiml.inline(twiml.apology("x" * 3_999))


@pytest.mark.parametrize("message", ["", " \n", "\x00"])
def test_nothing_to_say_is_refused(message: str) -> None:
    with pytest.raises(twiml.TwimlError, match="nothing to say"):
        twiml.apology(message)


def test_more_than_twilio_speaks_is_refused() -> None:
    with pytest.raises(twiml.TwimlTooLongError):
        twiml.apology("x" * 4_097)


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_a_caller_is_called_the_answer_stays_xml(name: str, value: str) -> None:
    document = twiml.connect_stream(STREAM, NEXT, parameters={name: value})
    parameter = ET.fromstring(document.encode()).find("Connect/Stream/Parameter")
    assert parameter is not None
    assert parameter.attrib["value"] in (value, twiml._NOT_XML.sub("", value))


def test_an_operators_own_words_are_said_in_their_language() -> None:
    german = Phrases(busy="Alles belegt.", later="Bis bald.", language="de-DE")
    assert verbs(twiml.busy(phrases=german)) == [
        ("Say", {"language": "de-DE"}, "Alles belegt. Bis bald."),
        ("Hangup", {}, None),
    ]
    unsaid = verbs(twiml.failure("+15005550001", german))[0]
    assert unsaid[1:] == ({"language": "de-DE"}, f"{USUAL.failed} {USUAL.connecting}")
