import pytest

from phone.stream_url import StreamRefusedError, resolve
from phone.verbs import Stream

HOME = "https://you.example/twilio/voice?x=1"


@pytest.mark.parametrize(
    ("url", "document", "absolute"),
    [
        ("wss://a/m", HOME, "wss://a/m"),
        ("/m/t", HOME, "wss://you.example/m/t"),
        ("media", HOME, "wss://you.example/twilio/media"),
        ("/m", "http://127.0.0.1:8000/voice", "ws://127.0.0.1:8000/m"),
        ("ws://localhost:1/m", HOME, "ws://localhost:1/m"),
        ("ws://[::1]:1/m", HOME, "ws://[::1]:1/m"),
    ],
)
def test_a_stream_url_is_absolute_or_relative_to_its_document(
    url: str, document: str, absolute: str
) -> None:
    assert resolve(Stream(url), document, allow_plain=False) == absolute


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (Stream("wss://a/m?token=1"), 31923),
        (Stream("wss://a/m?"), 31923),
        (Stream("wss:///m"), 31923),
        (Stream("wss://a:port/m"), 31923),
        (Stream("wss://[bad/m"), 31923),
        (Stream("https://a/m"), 31922),
        (Stream("ws://a.example/m"), 31922),
        (Stream("wss://a/m", track="both_tracks"), 31941),
    ],
)
def test_what_twilio_refuses_has_its_code(stream: Stream, code: int) -> None:
    with pytest.raises(StreamRefusedError) as raised:
        resolve(stream, HOME, allow_plain=False)
    assert raised.value.problem.code == code


def test_plain_sockets_can_be_allowed_anywhere() -> None:
    assert resolve(Stream("ws://a/m"), HOME, allow_plain=True) == "ws://a/m"
