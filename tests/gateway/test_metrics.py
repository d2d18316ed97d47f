from typing import Any, cast

from gateway.calls.registry import Calls
from gateway.farm.farm import Farm
from gateway.farm.release import ReleaseView
from gateway.metrics import Metrics
from tests.gateway.calls.actors import FakeFarm, incoming, office
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
async def test_what_agents_measure_is_added_up_over_all_calls() -> None:
    calls, farm = office()
    calls.measurements.take("tokens", 3.0)
    calls.measurements.take("tokens", 4.0)
    lines = _metrics(calls, farm)
    assert 'callfarm_agent_count{name="tokens"} 2.0' in lines
    assert 'callfarm_agent_sum{name="tokens"} 7.0' in lines
