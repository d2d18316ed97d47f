"""Every way in which a media socket ends, over real connections."""

from collections.abc import Callable

import pytest
from websockets.frames import Frame, Opcode

from gateway.carriers.twilio.stream import MAX_AUDIO
from gateway.media.limits import Limits
from tests.gateway.media.recorder import Heard
from tests.gateway.media.running_server import Caller, Farm, Loop, running_farm

End = Callable[[Caller, Farm], None]


def they_stop(caller: Caller, farm: Farm) -> None:
    caller.say("stop", stop={})


def they_close(caller: Caller, farm: Farm) -> None:
    caller.close(1000, "done")


def they_vanish(caller: Caller, farm: Farm) -> None:
    caller.vanish()


def they_hang_up(caller: Caller, farm: Farm) -> None:
    caller.hang_up()


def we_close(caller: Caller, farm: Farm) -> None:
    assert farm.calls["1"].next()[0] == "started"
    farm.calls["1"].close(1000, "goodbye")


def they_answer(caller: Caller, farm: Farm) -> None:
    assert caller.until_end() == 1000


def nobody_does_anything(caller: Caller, farm: Farm) -> None:
    """The socket must end all the same."""


@pytest.mark.parametrize(
    ("ends", "last"),
    [
        ([they_stop, they_close], [("stopped",), ("closed", 1000, "done")]),
        ([they_stop, they_hang_up], [("stopped",), ("closed", 1006, "connection lost")]),
        ([they_stop, they_vanish], [("closed", 1006)]),
        ([they_stop, nobody_does_anything], [("stopped",), ("closed", 1000, "")]),
        ([they_stop, they_answer], [("stopped",), ("closed", 1000, "")]),
        ([they_close, nobody_does_anything], [("closed", 1000, "done")]),
        ([they_close, they_vanish], [("closed",)]),
        ([they_hang_up], [("closed", 1006, "connection lost")]),
        ([they_vanish], [("closed", 1006)]),
        ([we_close, they_answer], [("closed", 1000, "goodbye")]),
        ([we_close, nobody_does_anything], [("closed", 1000, "goodbye")]),
        ([we_close, they_close], [("closed", 1000, "goodbye")]),
        ([we_close, they_vanish], [("closed", 1000, "goodbye")]),
        ([we_close, they_stop, they_close], [("closed", 1000, "goodbye")]),
        ([they_stop, they_stop, they_close], [("stopped",), ("closed", 1000, "done")]),
    ],
    ids=lambda value: " then ".join(end.__name__ for end in value) if callable(value[0]) else "",
)
def test_however_it_ends_closed_is_heard_once_and_last(
    farm: Farm, ends: list[End], last: list[Heard]
) -> None:
    with farm.call() as caller:
        caller.start()
        for end in ends:
            end(caller, farm)
        heard = farm.calls["1"].until_closed()
        assert farm.connections() == 0
    assert [event[0] for event in heard].count("closed") == 1
    assert heard[-1][0] == "closed"
    tail = heard[-len(last) :]
    assert [event[: len(want)] for event, want in zip(tail, last, strict=True)] == last


def test_after_stop_nothing_is_heard_or_played(farm: Farm) -> None:
    with farm.call() as caller:
        caller.start()
        caller.say("stop", stop={})
        caller.media(b"late")
        caller.say("mark", mark={"name": "late"})
        call = farm.calls["1"]
        assert [call.next()[0] for _ in range(2)] == ["started", "stopped"]
        call.play(b"late")
        call.close()
        assert isinstance(close := caller._next(), Frame)
        assert close.opcode is Opcode.CLOSE
        caller.flush()
        assert [event[0] for event in call.until_closed()] == ["started", "stopped", "closed"]


def test_a_call_that_never_starts_is_closed_with_1008(farm: Farm) -> None:
    farm.start_timeout = 0.02
    with farm.call() as caller:
        caller.say("connected")
        assert caller.until_end() == 1008
        assert [event[:2] for event in farm.calls["1"].until_closed()] == [("closed", 1008)]


@pytest.mark.parametrize("leave", [they_close, they_hang_up, they_vanish])
def test_a_call_lost_before_it_starts_is_told_all_the_same(farm: Farm, leave: End) -> None:
    with farm.call() as caller:
        leave(caller, farm)
        (closed,) = farm.calls["1"].until_closed()
        assert closed[:2] == ("closed", 1000 if leave is they_close else 1006)


def test_a_peer_that_answers_no_ping_is_given_up() -> None:
    with running_farm(limits=Limits(ping_seconds=0.02)) as farm, farm.call() as caller:
        caller.start()
        assert farm.calls["1"].until_closed()[-1][:2] == ("closed", 1006)


def test_a_peer_that_does_not_read_is_given_up_within_bounds() -> None:
    limits = Limits(unread_bytes=200_000)
    with running_farm(limits=limits) as farm, farm.call() as caller:
        caller.start()
        call = farm.calls["1"]
        assert call.next()[0] == "started"
        for _ in range(400):
            call.play(bytes(MAX_AUDIO))
        closed = call.until_closed()[-1]
        assert closed[:2] == ("closed", 1011)
        assert "read" in str(closed[2])
        assert farm.connections() == 0


def test_a_peer_that_reads_late_still_gets_ten_minutes_of_audio(farm: Farm) -> None:
    audio = bytes(60_000)
    with farm.call() as caller:
        caller.start()
        call = farm.calls["1"]
        assert call.next()[0] == "started"
        for _ in range(80):
            call.play(audio)
        for _ in range(80):
            assert caller.hear()["event"] == "media"


@pytest.mark.parametrize("at", ["started", "audio", "mark", "dtmf", "stopped", "closed"])
def test_a_listener_that_raises_ends_its_call_alone(farm: Farm, at: str) -> None:
    with farm.call("other") as other:
        other.start()
        assert farm.calls["other"].next()[0] == "started"
        farm.fails_at = at
        with farm.call("faulty") as faulty:
            faulty.start()
            faulty.media(b"x")
            faulty.say("mark", mark={"name": "m"})
            faulty.say("dtmf", dtmf={"digit": "1"})
            faulty.say("stop", stop={})
            code = faulty.until_end()
            heard = farm.calls["faulty"].until_closed()
        assert code == (1000 if at == "closed" else 1011)
        assert [event[0] for event in heard[-2:]] == ["stopped" if at == "closed" else at, "closed"]
        assert heard[-1][1] == code
        other.media(b"still here")
        assert farm.calls["other"].next() == ("audio", b"still here")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_server_that_shuts_down_closes_with_1001(loop: Loop) -> None:
    with running_farm(loop) as farm, farm.call() as caller:
        caller.start()
        assert farm.calls["1"].next()[0] == "started"
        farm.shut_down()
        assert caller.until_end() == 1001
        assert farm.calls["1"].until_closed()[-1][:2] == ("closed", 1001)
