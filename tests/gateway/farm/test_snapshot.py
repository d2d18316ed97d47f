"""Snapshots: named by content, changed by nobody, pruned when nobody needs them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.farm import snapshot
from gateway.farm.snapshot import SnapshotError


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents"
    (folder / "prompts").mkdir(parents=True)
    (folder / "echo.py").write_text("x = 1\n")
    (folder / "prompts" / "hello.txt").write_text("hello")
    return folder


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    return tmp_path / "releases"


def test_the_same_content_is_the_same_release(agents: Path, releases: Path) -> None:
    first = snapshot.take(agents, releases)
    os.utime(agents / "echo.py", (1, 1))
    assert snapshot.take(agents, releases) == first
    assert [path.name for path in releases.iterdir()] == [first]
    assert len(first) == snapshot.ID_LENGTH


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "echo.py").write_text("x = 2\n"),
        lambda folder: (folder / "echo.py").rename(folder / "other.py"),
        lambda folder: (folder / "echo.py").chmod(0o755),
        lambda folder: (folder / "empty.txt").touch(),
        lambda folder: (folder / "prompts" / "hello.txt").unlink(),
    ],
)
def test_any_change_is_another_release(agents: Path, releases: Path, change) -> None:  # type: ignore[no-untyped-def]
    first = snapshot.take(agents, releases)
    change(agents)
    assert snapshot.take(agents, releases) != first


def test_what_editors_and_python_leave_behind_is_no_part_of_it(
    agents: Path, releases: Path
) -> None:
    first = snapshot.take(agents, releases)
    (agents / "__pycache__").mkdir()
    for name in (".env", "echo.py~", ".echo.py.swp", "__pycache__/echo.cpython-311.pyc"):
        (agents / name).write_text("secret")
    assert snapshot.take(agents, releases) == first


def test_it_is_read_only_and_keeps_the_right_to_run(agents: Path, releases: Path) -> None:
    (agents / "tool.sh").write_text("#!/bin/sh\n")
    (agents / "tool.sh").chmod(0o775)
    taken = releases / snapshot.take(agents, releases)
    assert (taken / "tool.sh").stat().st_mode & 0o777 == 0o555
    assert (taken / "echo.py").stat().st_mode & 0o777 == 0o444
    assert (taken / "prompts").stat().st_mode & 0o777 == 0o555
    assert releases.stat().st_mode & 0o777 == 0o700


def test_a_missing_folder_is_said_with_the_remedy(tmp_path: Path, releases: Path) -> None:
    with pytest.raises(SnapshotError, match="or set AGENTS_DIR"):
        snapshot.take(tmp_path / "nowhere", releases)
    assert list(releases.iterdir()) == []


def test_a_folder_full_of_data_is_refused(
    agents: Path, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_MOST_FILES", 1)
    with pytest.raises(SnapshotError, match="is it the right folder"):
        snapshot.take(agents, releases)
    assert list(releases.iterdir()) == []


def test_a_name_that_is_no_text_is_no_trouble(agents: Path, releases: Path) -> None:
    (agents / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert (releases / snapshot.take(agents, releases)).is_dir()


def test_a_link_that_leads_nowhere_is_left_out_and_one_that_leads_to_itself_named(
    agents: Path, releases: Path
) -> None:
    first = snapshot.take(agents, releases)
    (agents / "gone").symlink_to("nowhere")
    assert snapshot.take(agents, releases) == first
    (agents / "self").symlink_to("self")
    with pytest.raises(OSError, match="agents/self"):
        snapshot.take(agents, releases)


def test_pruning_keeps_what_is_in_use_and_the_newest(agents: Path, releases: Path) -> None:
    taken = []
    for number in range(6):
        (agents / "echo.py").write_text(f"x = {number}\n")
        taken.append(snapshot.take(agents, releases))
        os.utime(releases / taken[-1], (number, number))
    gone = snapshot.prune(releases, keep={taken[0], taken[5]}, newest=2)
    assert sorted(gone) == sorted(taken[1:3])
    assert {path.name for path in releases.iterdir()} == {taken[0], *taken[3:]}


def test_what_a_crash_left_half_done_is_cleared_away(agents: Path, releases: Path) -> None:
    kept = snapshot.take(agents, releases)
    for name in (".new-abc123", f".old-{kept}"):
        (releases / name / "prompts").mkdir(parents=True)
    (releases / "current").write_text(kept)
    (releases / ".current").write_text(kept)
    assert snapshot.prune(releases, keep=(), newest=10) == []
    assert {path.name for path in releases.iterdir()} == {kept, "current", ".current"}
    assert [path.name for path in snapshot.all_in(releases)] == [kept]


def test_pruning_nothing_is_no_error(releases: Path) -> None:
    assert snapshot.prune(releases, keep=(), newest=1) == []
    snapshot.remove(releases / "nobody")


_names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)


@given(st.dictionaries(_names, st.binary(max_size=50), max_size=5))
def test_a_snapshot_holds_exactly_what_was_there(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, content in files.items():
        (folder / "agents" / name).mkdir(parents=True, exist_ok=True)
        (folder / "agents" / name / "file").write_bytes(content)
    (folder / "agents").mkdir(exist_ok=True)
    taken = folder / "releases" / snapshot.take(folder / "agents", folder / "releases")
    assert {
        path.parent.name: path.read_bytes() for path in taken.rglob("*") if path.is_file()
    } == files
    snapshot.remove(taken)
