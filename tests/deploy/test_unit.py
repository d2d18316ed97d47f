import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from shared.settings import Settings

UNIT = Path(__file__).parents[2] / "deploy" / "callfarm.service"


@pytest.fixture(scope="module")
def service() -> dict[str, list[str]]:
    """The unit's [Service] section: each key with every value given to it."""
    section, found = "", defaultdict(list)
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found[key].append(value)
    return dict(found)


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|min)?", text).groups()  # type: ignore[union-attr]
    return float(number) * {"ms": 0.001, "min": 60}.get(unit, 1)


def test_stopping_waits_longer_than_the_drain(service: dict[str, list[str]]) -> None:
    assert seconds(service["TimeoutStopSec"][0]) > Settings().drain_seconds


def test_starting_and_reloading_wait_longer_than_a_template_may_take(
    service: dict[str, list[str]],
) -> None:
    assert seconds(service["TimeoutStartSec"][0]) > Settings().template_timeout_seconds


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("KillMode", "mixed"),
        ("OOMPolicy", "continue"),
        ("Restart", "always"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
    ],
)
def test_what_the_design_relies_on_is_set(
    service: dict[str, list[str]], key: str, value: str
) -> None:
    assert service[key] == [value]


def test_a_crash_is_over_within_two_seconds(service: dict[str, list[str]]) -> None:
    assert seconds(service["RestartSec"][0]) <= 1


def test_reloading_is_the_deploy_command_and_its_exit_code_counts(
    service: dict[str, list[str]],
) -> None:
    (command,) = service["ExecReload"]
    assert command.endswith("/bin/callfarm deploy")
    assert not command.startswith("-")


def test_the_data_folder_is_writable_and_private(service: dict[str, list[str]]) -> None:
    assert service["StateDirectory"] == ["callfarm"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["ReadWritePaths"] == ["/var/lib/callfarm"]
    assert "DATA_DIR=/var/lib/callfarm" in (UNIT.parent / "README.md").read_text()


def test_there_are_files_enough_for_the_default_number_of_calls(
    service: dict[str, list[str]],
) -> None:
    assert int(service["LimitNOFILE"][0]) > 128 + 6 * Settings().max_calls


def test_confinement_is_allowed(service: dict[str, list[str]]) -> None:
    allowed = " ".join(service["SystemCallFilter"]).split()
    assert allowed[0] == "@system-service"
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} < set(allowed)
    assert "MemoryDenyWriteExecute" not in service  # libffi closures need it


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/srv/callfarm/current/bin/callfarm", "/bin/true")
    text = re.sub(r"^(User|Group)=callfarm", r"\1=root", text, flags=re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False
    )
    about_it = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, about_it) == (0, [])
