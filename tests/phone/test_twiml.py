import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone.problem import NOT_CARRIED_OUT
from phone.twiml import Document, TwimlError, parse, read_document
from phone.verbs import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Number,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
)

LONG_PARAMETER = f"<Parameter name='n' value='{'v' * 499}'/>"


def document(inside: str) -> Document:
    return parse(f"<Response>{inside}</Response>".encode())


def codes(inside: str) -> list[int]:
    return [problem.code for problem in document(inside).problems]


def test_every_verb_is_read_with_its_attributes() -> None:
    read = document(
        """
        <Say voice="Polly.Joanna" language="en-US" loop="2">Hello <break/> <s>there</s></Say>
        <Play loop="0">https://x/a.wav</Play>
        <Play digits="1w#"/>
        <Pause length="3"/>
        <Gather action="/d" numDigits="1" timeout="7" finishOnKey=""><Say>Press.</Say></Gather>
        <Dial action="/a" method="GET" timeout="20" answerOnBridge="true"
          ><Number statusCallback="https://x/s" statusCallbackEvent="ringing completed"
          >+15551234567</Number></Dial>
        <Connect action="/c"><Stream url="wss://x/m" name="n" statusCallback="https://x/st"
          ><Parameter name="a" value="b"/></Stream></Connect>
        <Redirect method="GET">/next</Redirect>
        <Hangup/>
        """
    )
    assert read.problems == ()
    assert read.verbs == (
        Say("Hello there", 2),
        Play("https://x/a.wav", loop=0),
        Play("", "1w#"),
        Pause(3),
        Gather((Say("Press."),), "/d", timeout=7, num_digits=1, finish_on_key=""),
        Dial(
            (
                Number(
                    "+15551234567",
                    "https://x/s",
                    status_callback_events=frozenset({"ringing", "completed"}),
                ),
            ),
            "/a",
            "GET",
            20,
            answer_on_bridge=True,
        ),
        Connect(
            Stream("wss://x/m", "n", status_callback="https://x/st", parameters={"a": "b"}), "/c"
        ),
        Redirect("/next", "GET"),
        Hangup(),
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 12100),
        (b"<Response>", 12100),
        (b"<Response/><Response/>", 12100),
        (b"<Response>&nbsp;</Response>", 12100),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><Response>&b;</Response>', 12100),
        (b"\xff\xfe\x00", 12100),
        (b'<?xml version="1.0" encoding="no-such"?><Response/>', 12100),
        (b"<response/>", 12102),
        (b'<Response xmlns="urn:x"/>', 12102),
    ],
)
def test_what_is_no_document_says_why(body: bytes, code: int) -> None:
    with pytest.raises(TwimlError) as raised:
        parse(body)
    assert raised.value.problem.code == code


@pytest.mark.parametrize(
    "inside",
    [
        "<say>hi</say>",
        "<Say Voice='man'>hi</Say>",
        "<Hangup><Say>hi</Say></Hangup>",
        "text",
        "<Connect/>",
        "<Connect><Stream/></Connect>",
        "<Connect><Stream url='wss://x'/><Stream url='wss://y'/></Connect>",
        "<Connect><Stream url='wss://x' statusCallback='/relative'/></Connect>",
        "<Connect><Stream url='wss://x'><Parameter value='v'/></Stream></Connect>",
        f"<Connect><Stream url='wss://x'>{LONG_PARAMETER}</Stream></Connect>",
        "<Stream url='wss://x'/>",
        "<Play/>",
        "<Dial/>",
        "<Gather><Play>u</Play><Hangup/></Gather>",
        "<Say>hi</Say><Reject/>",
    ],
)
def test_a_schema_problem_is_one_warning(inside: str) -> None:
    assert codes(inside) == [12200]
    assert all(problem.warning for problem in document(inside).problems)


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("<Say/>", 13520),
        ("<Say loop='x'>a</Say>", 13510),
        ("<Pause length='-1'/>", 13910),
        ("<Pause length='١'/>", 13910),
        ("<Redirect method='PUT'>/x</Redirect>", 13710),
        ("<Reject reason='rude'/>", 13810),
        ("<Dial>12 34</Dial>", 13223),
        ("<Dial timeout='0'>+1555</Dial>", 13212),
        ("<Gather finishOnKey='12'/>", 13310),
        ("<Gather numDigits='none'/>", 13314),
        ("<Gather input='smell'/>", 13311),
        ("<Dial><Conference maxParticipants='1'>a</Conference></Dial>", 13235),
        ("<Dial><Conference endConferenceOnExit='yes'>a</Conference></Dial>", 13231),
        ("<Dial><Conference waitMethod='PUT'>a</Conference></Dial>", 13234),
        ("<Dial><Conference/></Dial>", 13230),
        ("<Play digits='9z'/>", 13430),
    ],
)
def test_a_bad_value_has_twilios_own_code(inside: str, code: int) -> None:
    assert codes(inside) == [code]


@pytest.mark.parametrize(
    "inside",
    [
        "<Record/>",
        "<Start><Stream url='wss://x'/></Start>",
        "<Dial><Queue>support</Queue></Dial>",
        "<Connect><ConversationRelay url='wss://x'/></Connect>",
        "<Dial><Number url='/whisper'>+1555</Number></Dial>",
    ],
)
def test_what_the_phone_leaves_out_is_named(inside: str) -> None:
    assert codes(inside) == [NOT_CARRIED_OUT]


def test_a_parameter_that_is_too_long_is_left_out_and_the_others_stay() -> None:
    long = f"<Parameter name='n' value='{'v' * 500}'/><Parameter name='a' value='b'/>"
    (connect,) = document(f"<Connect><Stream url='wss://x'>{long}</Stream></Connect>").verbs
    assert isinstance(connect, Connect)
    assert connect.stream.parameters == {"a": "b"}


def test_the_content_type_decides_what_an_answer_is() -> None:
    hangup = b"<Response><Hangup/></Response>"
    for kind in ("text/xml", "application/xml; charset=utf-8", "TEXT/HTML", "text/plain"):
        assert read_document(kind, hangup, "u").verbs == (Hangup(),)
    assert read_document("text/plain", b"Sorry", "u").verbs == (Say("Sorry"),)
    assert read_document("audio/mpeg", b"\x00", "u").verbs == (Play("u"),)


@pytest.mark.parametrize(("kind", "size", "code"), [(None, 1, 12300), ("text/xml", 65537, 11750)])
def test_a_missing_content_type_and_a_large_body_are_errors(
    kind: str | None, size: int, code: int
) -> None:
    with pytest.raises(TwimlError) as raised:
        read_document(kind, b" " * size, "u")
    assert raised.value.problem.code == code


def test_a_reject_first_is_kept() -> None:
    assert document("<Reject reason='busy'/>").verbs == (Reject("busy"),)


tags = st.sampled_from(
    [
        "Say",
        "Play",
        "Pause",
        "Redirect",
        "Hangup",
        "Reject",
        "Dial",
        "Number",
        "Gather",
        "Connect",
        "Stream",
        "Parameter",
        "Record",
        "x",
    ]
)
attributes = st.dictionaries(
    st.sampled_from(
        [
            "url",
            "action",
            "method",
            "loop",
            "length",
            "timeout",
            "name",
            "value",
            "numDigits",
            "digits",
        ]
    ),
    st.text("0aA-+:/?#é\t", max_size=6),
    max_size=3,
)


def element(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def build(tag: str, named: dict[str, str], inside: list[str]) -> str:
        written = "".join(f' {name}="{value}"' for name, value in named.items())
        return f"<{tag}{written}>{''.join(inside)}</{tag}>"

    return st.builds(build, tags, attributes, st.lists(children, max_size=4))


@given(st.lists(st.recursive(st.text("ab1 ", max_size=4), element, max_leaves=8), max_size=4))
def test_any_well_formed_response_is_read_or_complained_about(pieces: list[str]) -> None:
    read = document("".join(pieces))
    elements = sum(piece.startswith("<") for piece in pieces)
    assert len(read.verbs) <= elements
    assert len(read.verbs) + len(read.problems) >= elements


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_twiml_error(body: bytes) -> None:
    with contextlib.suppress(TwimlError):
        assert all(problem.warning for problem in parse(body).problems)
