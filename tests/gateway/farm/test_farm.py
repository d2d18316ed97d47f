"""Which release gets the next call, which stay warm, and what a failed deploy leaves alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.farm import farm as module
from gateway.farm.farm import DeployError, Farm, FarmOptions, NotReadyError
from gateway.farm.process import CallProcess, ExitReport
from gateway.farm.states import ReleaseState
from gateway.farm.template import TemplateError
from shared import control, messages
from shared.bootstrap import ReleaseSpec
from tests.harness import eventually


class FakeTemplate:
    """A template that is ready as soon as ``gate`` is open, unless it is to fail."""

    made: list["FakeTemplate"]
    gate: asyncio.Event
    fails: bool
    loading: int
    most_loading: int
    direct: Any

    def __init__(
        self, spec: ReleaseSpec, lifeline: object, on_death: Callable[["FakeTemplate"], None]
    ) -> None:
        self.spec, self._on_death = spec, on_death
        self.pid = 0
        self.alive = False
        self.ready: control.Ready | None = None
        self.forked: list[CallProcess] = []
        self.gone = asyncio.Event()
        self.on_stage: Callable[[str], object] = lambda stage: None
        FakeTemplate.made.append(self)

    async def start(self, limit: float) -> control.Ready:
        FakeTemplate.loading += 1
        FakeTemplate.most_loading = max(FakeTemplate.most_loading, FakeTemplate.loading)
        try:
            await FakeTemplate.gate.wait()
        finally:
            FakeTemplate.loading -= 1
        if FakeTemplate.fails:
            raise TemplateError("it raises", "Traceback")
        self.on_stage("rehearsing")
        self.alive = True
        told = FakeTemplate.direct
        self.ready = control.Ready(messages.VERSION, ["echo:Echo"], 1.0, 1.0, 1, ["a note"], *told)
        return self.ready

    def fork(self, process: CallProcess, memory_limit: int) -> None:
        self.forked.append(process)

    def close(self) -> None:
        self.die()

    def die(self) -> None:
        if not self.gone.is_set():
            self.alive = False
            self.gone.set()
            self._on_death(self)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Template", FakeTemplate)
    FakeTemplate.made, FakeTemplate.gate, FakeTemplate.fails = [], asyncio.Event(), False
    FakeTemplate.loading = FakeTemplate.most_loading = 0
    FakeTemplate.direct = ()
    FakeTemplate.gate.set()


class Ground:
    """A farm on an agents folder."""

    def __init__(self, folder: Path) -> None:
        self.agents, self.data = folder / "agents", folder / "var"
        self.agents.mkdir()
        self.farm = Farm(FarmOptions(self.agents, self.data))

    async def deploy(self, version: int) -> str:
        (self.agents / "echo.py").write_text(f"VERSION = {version}\n")
        return (await self.farm.deploy()).id

    def call(self) -> CallProcess:
        process, _ = self.farm.start_process("CA1", lambda frame: None, lambda report: None)
        return process

    def states(self) -> dict[str, str]:
        return {view.id: view.state for view in self.farm.views()}

    def snapshots(self) -> set[str]:
        return {path.name for path in (self.data / "releases").iterdir() if path.is_dir()}


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    ready = Ground(tmp_path)
    yield ready
    for process in ready.farm.processes():
        process.ended(ExitReport())
    await ready.farm.close()


@pytest.mark.parametrize(
    ("told", "direct"),
    [
        ((), {"+1": False, "+2": False}),
        ((True,), {"+1": True, "+2": True}),
        ((True, ["+1"]), {"+1": False, "+2": True}),
        ((False, ["+1"]), {"+1": True, "+2": False}),
    ],
)
async def test_the_farm_knows_which_numbers_are_joined_straight_to_a_service(
    ground: Ground, told: Any, direct: dict[str, bool]
) -> None:
    assert not ground.farm.is_direct("+1")
    FakeTemplate.direct = told
    await ground.deploy(1)
    assert {number: ground.farm.is_direct(number) for number in direct} == direct


async def test_before_the_first_deploy_no_call_gets_a_process(ground: Ground) -> None:
    assert not ground.farm.ready
    with pytest.raises(NotReadyError, match="callfarm deploy"):
        ground.call()


async def test_a_deploy_decides_who_gets_the_next_call(ground: Ground) -> None:
    first = await ground.deploy(1)
    one = ground.call()
    second = await ground.deploy(2)
    two = ground.call()
    assert ground.states() == {first: "draining", second: "live"}
    assert [template.forked for template in FakeTemplate.made] == [[one], [two]]
    current = ground.farm.current
    assert current is not None
    assert (current.id, current.notes) == (second, ("a note",))


async def test_a_failed_deploy_changes_nothing_for_any_caller(ground: Ground) -> None:
    first = await ground.deploy(1)
    FakeTemplate.fails = True
    with pytest.raises(DeployError) as caught:
        await ground.deploy(2)
    assert (caught.value.reason, caught.value.report) == ("it raises", "Traceback")
    assert ground.farm.current is not None
    assert ground.farm.current.id == first
    assert ground.farm.ready
    failed = next(view for view in ground.farm.views() if not view.current)
    assert (failed.state, failed.error) == ("failed", "it raises\nTraceback")
    FakeTemplate.fails = False
    second = await ground.deploy(2)
    assert ground.states() == {first: "draining", second: "live"}


async def test_the_same_content_loads_nothing(ground: Ground) -> None:
    first = await ground.deploy(1)
    assert await ground.deploy(1) == first
    assert len(FakeTemplate.made) == 1
    assert ground.states() == {first: "live"}


async def test_rolling_back_twice_is_rolling_forth(ground: Ground) -> None:
    first, second = await ground.deploy(1), await ground.deploy(2)
    assert (await ground.farm.rollback()).id == first
    assert (await ground.farm.rollback()).id == second
    assert (await ground.farm.rollback(first[:5])).id == first
    assert len(FakeTemplate.made) == 2


async def test_deploys_come_one_after_the_other(ground: Ground) -> None:
    FakeTemplate.gate.clear()
    first = asyncio.create_task(ground.deploy(1))
    await eventually(lambda: FakeTemplate.loading)
    others = [asyncio.create_task(ground.deploy(version)) for version in (2, 3)]
    await asyncio.sleep(0.01)
    FakeTemplate.gate.set()
    await asyncio.gather(first, *others)
    assert FakeTemplate.most_loading == 1
    assert list(ground.states().values()).count("live") == 1


async def test_older_templates_end_when_idle_and_two_stay_warm(ground: Ground) -> None:
    ids = [await ground.deploy(1)]
    busy = ground.call()
    ids += [await ground.deploy(version) for version in (2, 3, 4, 5)]
    states = ground.states()
    assert [states[each] for each in ids] == [
        "draining",
        "retired",
        "draining",
        "draining",
        "live",
    ]
    busy.ended(ExitReport(0))
    assert ground.states()[ids[0]] == "retired"
    assert [template.alive for template in FakeTemplate.made] == [False, False, True, True, True]
    assert (await ground.farm.rollback(ids[0])).state == "live"
    assert len(FakeTemplate.made) == 6


async def test_a_snapshot_in_use_is_never_pruned(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_SNAPSHOTS", 0)
    first = await ground.deploy(1)
    busy = ground.call()
    later = [await ground.deploy(version) for version in (2, 3, 4, 5, 6)]
    assert ground.snapshots() == {first, *later[-3:]}
    busy.ended(ExitReport(0))
    await ground.deploy(7)
    assert first not in ground.snapshots()


@pytest.mark.parametrize("wanted", ["", "no-such", "*", "../../etc", "/", ".", "["])
async def test_a_rollback_to_what_is_no_release_is_refused(ground: Ground, wanted: str) -> None:
    await ground.deploy(1)
    with pytest.raises(DeployError, match="see callfarm releases"):
        await ground.farm.rollback(wanted)


async def test_there_may_be_nothing_to_go_back_to(ground: Ground) -> None:
    await ground.deploy(1)
    with pytest.raises(DeployError, match="no release before"):
        await ground.farm.rollback()
    with pytest.raises(DeployError, match="no agents folder"):
        await Farm(FarmOptions(Path("/nowhere"), ground.data)).deploy()


async def test_the_last_current_release_is_found_again(ground: Ground) -> None:
    first = await ground.deploy(1)
    again = Farm(FarmOptions(ground.agents, ground.data))
    assert (await again.restore()).id == first
    await again.close()
    empty = Farm(FarmOptions(ground.agents, ground.data / "other"))
    with pytest.raises(DeployError, match="no earlier release"):
        await empty.restore()
    await empty.close()


async def test_calls_wait_for_a_template_that_comes_back(ground: Ground) -> None:
    await ground.deploy(1)
    FakeTemplate.gate.clear()
    FakeTemplate.made[0].die()
    assert ground.farm.ready
    waiting = ground.call()
    FakeTemplate.gate.set()
    await eventually(lambda: FakeTemplate.made[-1].forked)
    assert FakeTemplate.made[1].forked == [waiting]
    current = ground.farm.current
    assert current is not None
    assert current.state is ReleaseState.LIVE


async def test_a_template_that_does_not_come_back_fails_who_waits(ground: Ground) -> None:
    await ground.deploy(1)
    FakeTemplate.fails = True
    FakeTemplate.gate.clear()
    FakeTemplate.made[0].die()
    waiting = ground.call()
    FakeTemplate.gate.set()
    assert "it raises" in str(await waiting.exited)
    assert not ground.farm.ready
    with pytest.raises(NotReadyError):
        ground.call()


async def test_a_release_replaced_while_it_was_being_brought_back_does_not_return(
    ground: Ground,
) -> None:
    first = await ground.deploy(1)
    FakeTemplate.gate.clear()
    replacing = asyncio.create_task(ground.deploy(2))
    await eventually(lambda: FakeTemplate.loading)
    FakeTemplate.made[0].die()
    waiting = ground.call()
    FakeTemplate.gate.set()
    second = await replacing
    assert str(await waiting.exited).startswith("no process")
    assert ground.states() == {first: "draining", second: "live"}


async def test_nothing_starts_in_a_farm_that_is_closed(ground: Ground) -> None:
    await ground.deploy(1)
    await ground.farm.close()
    with pytest.raises(NotReadyError):
        ground.call()
    assert not FakeTemplate.made[0].alive
