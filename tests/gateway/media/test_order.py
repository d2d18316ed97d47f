"""The order of a stream's messages, and that a message out of order changes nothing."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio.stream import Connected, StreamEvent, Unknown, decode
from gateway.media.order import OutOfOrderError, Phase, StreamOrder


def event(kind: str, sid: str = "MZ1", call: str = "CA1", account: str = "AC1") -> StreamEvent:
    message = {
        "event": kind,
        "streamSid": sid,
        "start": {"callSid": call, "accountSid": account},
        "media": {"payload": "/w=="},
        "mark": {"name": "m"},
        "dtmf": {"digit": "1"},
    }
    return decode(msgspec.json.encode(message))


def order_after(events: Iterable[StreamEvent]) -> StreamOrder:
    order = StreamOrder("CA1", "AC1")
    for each in events:
        order.take(each)
    return order


BEFORE = [Connected()]
RUNNING = [Connected(), event("start")]
STOPPED = [*RUNNING, event("stop")]


def test_a_stream_starts_runs_and_stops() -> None:
    order = StreamOrder("CA1", "AC1")
    assert not order.take(Connected())
    for kind in ("start", "media", "mark", "dtmf", "media"):
        assert order.take(event(kind))
        assert order.phase is Phase.RUNNING
    assert order.take(event("stop"))
    assert order.phase is Phase.STOPPED


def test_a_stream_may_start_without_connected() -> None:
    assert StreamOrder("CA1", "AC1").take(event("start"))


@pytest.mark.parametrize("before", [BEFORE, RUNNING, STOPPED])
@pytest.mark.parametrize("ignored", [Connected(), Unknown("novelty")])
def test_connected_and_unknown_events_are_ignored_at_any_time(
    before: list[StreamEvent], ignored: StreamEvent
) -> None:
    order = order_after(before)
    phase = order.phase
    assert not order.take(ignored)
    assert order.phase is phase


@pytest.mark.parametrize(
    ("before", "late"),
    [
        *[(BEFORE, event(kind)) for kind in ("media", "mark", "dtmf", "stop")],
        (BEFORE, event("start", call="CA2")),
        (BEFORE, event("start", account="AC2")),
        (RUNNING, event("start")),
        (STOPPED, event("start")),
        *[(RUNNING, event(kind, sid="MZ2")) for kind in ("media", "mark", "dtmf", "stop")],
    ],
)
def test_a_message_out_of_order_raises_and_nothing_happens(
    before: list[StreamEvent], late: StreamEvent
) -> None:
    order = order_after(before)
    phase = order.phase
    with pytest.raises(OutOfOrderError) as caught:
        order.take(late)
    assert str(caught.value).startswith(type(late).__name__)
    assert order.phase is phase


@pytest.mark.parametrize("kind", ["media", "mark", "dtmf", "stop"])
def test_what_comes_after_stop_is_ignored(kind: str) -> None:
    assert not order_after(STOPPED).take(event(kind, sid="MZ2"))


KINDS = st.sampled_from(["connected", "start", "media", "mark", "dtmf", "stop", "novelty"])


@given(st.lists(st.builds(event, KINDS, st.sampled_from(["MZ1", "MZ2"]))))
def test_in_any_order_only_the_running_streams_messages_are_acted_on(
    events: list[StreamEvent],
) -> None:
    order = StreamOrder("CA1", "AC1")
    acted = []
    for each in events:
        try:
            acted += [type(each).__name__] if order.take(each) else []
        except OutOfOrderError:
            continue
    assert acted.count("Start") <= 1
    assert acted.count("Stop") <= 1
    assert not acted or acted[0] == "Start"
    assert "Stop" not in acted[:-1]
