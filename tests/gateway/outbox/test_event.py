import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbox.event import (
    MOST_BODY,
    Endpoint,
    Event,
    EventError,
    Shape,
    body_of,
    check_own,
    delivery_id,
    event_id,
)
from gateway.outbox.signature import signature, voxflow_signature

CALL = {"sid": "CA1", "number": "+15550001111"}


def _lines(count: int, letters: int) -> list[dict[str, object]]:
    return [{"role": "caller", "text": f"{n} " + "x" * letters} for n in range(count)]


def test_a_body_says_what_happened_to_which_call() -> None:
    event = Event("booking", CALL, {"people": 2}, at=1000.5)
    assert json.loads(body_of(event, "ev_1", Shape.CALLFARM) or b"") == {
        "id": "ev_1",
        "event": "booking",
        "at": 1000.5,
        "call": CALL,
        "data": {"people": 2},
    }


def test_the_same_key_is_the_same_event_and_no_key_is_another_each_time() -> None:
    ended = Event("call.ended", CALL, {}, key="CA1\nended")
    assert event_id(ended, "a") == event_id(ended, "b")
    assert event_id(Event("booking", CALL, {}), "a") != event_id(Event("booking", CALL, {}), "b")
    one, other = Endpoint("https://a/", None), Endpoint("https://b/", None)
    assert delivery_id("ev_1", one) != delivery_id("ev_1", other)
    assert delivery_id("ev_1", one) == delivery_id("ev_1", Endpoint("https://a/", None, ("k",)))
    assert delivery_id("ev_1", one) != delivery_id("ev_1", Endpoint("https://a/", 7))


def test_what_is_longest_is_cut_and_the_end_of_the_talk_stays() -> None:
    data = {"outcome": "completed", "turns": [{"x": "y" * MOST_BODY}], "transcript": _lines(50, 10)}
    body = body_of(Event("call.ended", CALL, data), "ev", Shape.CALLFARM) or b""
    told = json.loads(body)
    assert len(body) <= MOST_BODY
    assert told["cut"] is True
    assert "turns" not in told["data"]
    assert len(told["data"]["transcript"]) == 50

    data = {"outcome": "completed", "transcript": _lines(2000, 4000)}
    body = body_of(Event("call.ended", CALL, data), "ev", Shape.CALLFARM) or b""
    told = json.loads(body)
    assert len(body) <= MOST_BODY
    assert told["data"]["outcome"] == "completed"
    assert told["data"]["transcript"][-1]["text"].startswith("1999 ")


def test_voxflows_flows_get_what_they_got() -> None:
    lines = [{"role": "caller", "text": "Hi"}, {"role": "agent", "text": "Hello"}]
    ended = Event("call.ended", CALL, {"transcript": lines})
    assert json.loads(body_of(ended, "ev", Shape.VOXFLOW) or b"") == {
        "route": "2",
        "number": "+15550001111",
        "data": "Caller: Hi\nAgent: Hello",
    }
    booking = json.loads(
        body_of(Event("booking", CALL, {"name": "Eva"}), "ev", Shape.VOXFLOW) or b""
    )
    assert (booking["route"], json.loads(booking["data"])) == ("3", {"name": "Eva"})
    assert body_of(Event("call.started", CALL, {}), "ev", Shape.VOXFLOW) is None


def test_voxflows_flows_get_a_transcript_once() -> None:
    early = Event("call.ended", CALL, {"transcript": [], "transcript_follows": True})
    late = Event("call.transcript", CALL, {"transcript": [{"role": "user", "text": "Hi."}]})
    assert body_of(early, "ev", Shape.VOXFLOW) is None
    assert json.loads(body_of(late, "ev", Shape.VOXFLOW) or b"")["data"] == "User: Hi."


@pytest.mark.parametrize("name", ["", "1", "call.ended", "a b", "x" * 49, "ä", "a\n", "-x"])
def test_an_agents_event_has_a_name_of_one_word(name: str) -> None:
    with pytest.raises(EventError):
        check_own(name, b"{}")


def test_an_agents_event_is_of_bounded_size() -> None:
    check_own("booking", b"x" * 1000)
    with pytest.raises(EventError):
        check_own("booking", b"x" * 70_000)


def test_an_endpoint_is_told_of_what_it_named() -> None:
    some = Endpoint("https://a/", None, events=frozenset({"call.ended", "campaign.*"}))
    told = [n for n in ("call.ended", "call.started", "campaign.done", "booking") if some.wants(n)]
    assert told == ["call.ended", "campaign.done"]
    assert Endpoint("https://a/", None).wants("anything")
    assert Endpoint("https://a/", None, events=frozenset({"*"})).wants("anything")


@given(st.binary(max_size=200), st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_every_secret_signs_time_and_body(body: bytes, secrets: list[str]) -> None:
    stamp, *signs = signature(body, secrets, 1000).split(",")
    assert stamp == "t=1000"
    for secret, sign in zip(secrets, signs, strict=True):
        wanted = hmac.new(secret.encode(), b"1000." + body, hashlib.sha256).hexdigest()
        assert sign == f"v1={wanted}"


def test_voxflows_signature_is_over_the_body_alone() -> None:
    wanted = hmac.new(b"key", b"{}", hashlib.sha256).hexdigest()
    assert voxflow_signature(b"{}", "key") == f"sha256={wanted}"
