from typing import Any, cast

from gateway.calls.registry import Calls
from gateway.calls.turns import Trouble
from gateway.farm.farm import Farm
from gateway.farm.release import ReleaseView
from gateway.metrics import Metrics
from shared import messages
from tests.gateway.calls.actors import SID, FakeFarm, incoming, office
from tests.virtual_time import virtual_time


def _metrics(calls: Calls, farm: FakeFarm) -> list[str]:
    return Metrics(calls, cast("Farm", farm)).text().decode().splitlines()


@virtual_time
async def test_figures_are_those_of_the_moment_in_which_they_are_asked_for() -> None:
    calls, farm = office()
    assert "callfarm_calls 0.0" in _metrics(calls, farm)
    calls.incoming(incoming())
    lines = _metrics(calls, farm)
    assert {"callfarm_calls 1.0", "callfarm_streams 0.0", "callfarm_ready 1.0"} <= set(lines)
    farm.ready = False
    assert "callfarm_ready 0.0" in _metrics(calls, farm)
    farm.close()


@virtual_time
async def test_every_release_is_shown_with_its_state_and_its_calls() -> None:
    calls, farm = office()
    facts: dict[str, Any] = dict.fromkeys(ReleaseView.__dataclass_fields__)
    view = ReleaseView(**facts | {"id": "r1", "state": "live", "calls": 3})
    farm.views = lambda: [view]  # type: ignore[method-assign]
    assert 'callfarm_release_calls{release="r1",state="live"} 3.0' in _metrics(calls, farm)


@virtual_time
async def test_several_gateways_fit_one_process() -> None:
    first, second = office(), office()
    assert _metrics(*first) == _metrics(*second)


@virtual_time
async def test_reply_times_and_own_times_are_histograms_in_seconds() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    call = calls.get(SID)
    assert call is not None
    times = {"caller_stopped": 100.0, "stt_final": 300.0, "first_sent": 304.0, "first_heard": 940.0}
    call.frame(messages.encode(messages.TurnTimed(0, times)))
    lines = _metrics(calls, farm)
    assert 'callfarm_reply_seconds_bucket{le="0.8"} 0.0' in lines
    assert 'callfarm_reply_seconds_bucket{le="1"} 1.0' in lines
    assert "callfarm_reply_seconds_sum 0.84" in lines
    assert 'callfarm_own_seconds_bucket{le="0.005"} 1.0' in lines
    assert "callfarm_own_seconds_count 1.0" in lines
    farm.close()


@virtual_time
async def test_providers_given_up_are_counted_with_who_took_over() -> None:
    calls, farm = office()
    calls.measurements.trouble(Trouble("cartesia", "is away", "elevenlabs", 1.0))
    calls.measurements.trouble(Trouble("deepgram", "is away", None, 1.0))
    lines = _metrics(calls, farm)
    name = "callfarm_provider_troubles_total"
    assert name + '{fallback="elevenlabs",provider="cartesia"} 1.0' in lines
    assert name + '{fallback="",provider="deepgram"} 1.0' in lines


@virtual_time
async def test_what_agents_measure_is_added_up_over_all_calls() -> None:
    calls, farm = office()
    calls.measurements.take("tokens", 3.0)
    calls.measurements.take("tokens", 4.0)
    lines = _metrics(calls, farm)
    assert 'callfarm_agent_count{name="tokens"} 2.0' in lines
    assert 'callfarm_agent_sum{name="tokens"} 7.0' in lines
