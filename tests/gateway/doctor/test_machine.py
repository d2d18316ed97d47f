import resource

import pytest

from gateway.doctor import machine
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


def test_this_machine_can_run_callfarm(sound: Settings) -> None:
    seen = Seen([*machine.check_python(sound), *machine.check_kernel(sound)])
    assert seen.worst is not Status.FAIL
    assert seen.all_have_fixes()


def test_a_kernel_without_pidfd_fails(sound: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("os.pidfd_open", refused)
    seen = Seen(machine.check_kernel(sound))
    assert seen.worst is Status.FAIL
    assert "Function not implemented" in seen.text


def test_a_kernel_without_landlock_is_a_warning(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "landlock_abi", lambda: 0)
    assert Seen(machine.check_kernel(sound)).worst is Status.WARN


@pytest.mark.parametrize(("free_mb", "status"), [(249 + 80, Status.WARN), (250 + 80, Status.OK)])
def test_memory_is_compared_with_what_the_calls_take(
    sound: Settings, monkeypatch: pytest.MonkeyPatch, free_mb: int, status: Status
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: free_mb << 20)
    seen = Seen(machine.check_memory(sound.model_copy(update={"max_calls": 10})))
    assert seen.worst is status
    assert ("MAX_CALLS to 9" in seen.text) == (status is Status.WARN)


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ((1024, 1024), Status.FAIL),
        ((1024, 4096), Status.WARN),
        ((4096, 4096), Status.OK),
        ((1024, resource.RLIM_INFINITY), Status.WARN),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), Status.OK),
    ],
)
def test_open_files_are_compared_with_what_the_calls_take(
    sound: Settings, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], status: Status
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits)
    assert Seen(machine.check_descriptors(sound)).worst is status


def test_a_clock_before_this_program_fails(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert Seen(machine.check_clock(sound)).worst is Status.FAIL


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_clock_that_drifts_is_a_warning(
    sound: Settings, monkeypatch: pytest.MonkeyPatch, synchronised: bool
) -> None:
    monkeypatch.setattr(machine, "clock_is_synchronised", lambda: synchronised)
    expected = Status.OK if synchronised else Status.WARN
    assert Seen(machine.check_clock(sound)).worst is expected


def test_the_kernel_can_be_asked() -> None:
    assert machine.available_memory() > 1 << 20
    assert machine.clock_is_synchronised() in (True, False)
