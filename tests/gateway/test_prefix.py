import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.prefix import PrefixMiddleware


async def _seen(prefix: str, path: str, kind: str = "http") -> Scope:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope = {"type": kind, "path": path, "raw_path": path.encode()}
    await PrefixMiddleware(app, prefix)(scope, receive, send)
    assert scope["path"] == path
    return scopes[0]


@pytest.mark.parametrize(
    ("prefix", "path", "routed"),
    [
        ("/ai", "/ai/twilio/voice", "/twilio/voice"),
        ("/ai", "/twilio/voice", "/twilio/voice"),
        ("/ai", "/aix/twilio/voice", "/aix/twilio/voice"),
        ("/ai", "/ai", "/ai"),
        ("/ai", "/ai/ai/x", "/ai/x"),
        ("/a/b", "/a/b/x", "/x"),
        ("", "/twilio/voice", "/twilio/voice"),
    ],
)
async def test_the_prefix_is_taken_off_where_it_is_there(
    prefix: str, path: str, routed: str
) -> None:
    assert (await _seen(prefix, path))["path"] == routed


async def test_the_raw_path_stays_as_it_was_signed() -> None:
    assert (await _seen("/ai", "/ai/x"))["raw_path"] == b"/ai/x"


async def test_what_is_no_http_is_left_alone() -> None:
    assert (await _seen("/ai", "/ai/x", "lifespan"))["path"] == "/ai/x"
