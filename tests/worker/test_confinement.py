"""Which folders are opened to agent code, and what is said where the kernel cannot keep it in."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.landlock import landlock_abi
from worker import confinement

needs_landlock = pytest.mark.skipif(landlock_abi() < 6, reason="this kernel cannot confine")


def test_a_kernel_without_landlock_is_said_loudly() -> None:
    (note,) = confinement.notes(0)
    assert "NOT confined" in note


def test_a_kernel_that_lets_signals_through_is_said_too() -> None:
    (note,) = confinement.notes(5)
    assert "ABI 5" in note
    assert confinement.notes(6) == confinement.notes(9) == []
    assert confinement.border(5) is None


def test_no_landlock_confines_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "landlock_abi", lambda: 0)
    assert confinement.confine([Path("/usr")], []) == 0


def test_a_folder_without_a_secret_is_opened_whole(tmp_path: Path) -> None:
    assert list(confinement.without(tmp_path, [Path("/elsewhere")])) == [tmp_path]


def test_a_folder_with_a_secret_is_opened_around_it(tmp_path: Path) -> None:
    for name in ("app/.env", "app/lib/code.py", "keys/tls/key.pem", "keys/cert.pem", "other/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "app")
    secrets = [tmp_path / "app", tmp_path / "keys" / "tls" / "key.pem"]
    opened = sorted(confinement.without(tmp_path, secrets))
    assert opened == [tmp_path / "keys" / "cert.pem", tmp_path / "other"]


def test_nothing_of_a_secret_folder_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert list(confinement.without(tmp_path, [tmp_path])) == []


def test_a_checkout_opens_its_packages_and_not_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(confinement.__file__).resolve().parent.parent
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    folders = confinement.package_folders([root])
    assert root not in folders
    assert {root / "worker", root / "shared"} <= set(folders)
    assert root / "gateway" not in folders


BREAKOUT = """
import os, signal, sys, time
from pathlib import Path
from worker import confinement

key, open_file, folder = map(Path, sys.argv[1:])
confinement.give_up_capabilities()
abi = confinement.confine([open_file, *map(Path, confinement.SYSTEM)], [folder])
border = confinement.border(abi)

def attempt(deed, *args):
    try:
        deed(*args)
    except OSError as error:
        return type(error).__name__
    return "done"

def child(deed):
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        confinement.close_border(border)
        os.write(write, deed().encode())
        time.sleep(1000)
    return pid, os.read(read, 1000).decode()

first, _ = child(lambda: "up")
second, told = child(lambda: " ".join([
    attempt(os.kill, first, 0),
    attempt(os.kill, os.getppid(), 0),
    attempt(Path(f"/proc/{first}/environ").read_bytes),
    attempt(os.kill, os.getpid(), 0),
]))
os.kill(first, signal.SIGKILL)
os.kill(second, signal.SIGKILL)
print(
    attempt(key.read_bytes),
    attempt(open_file.read_bytes),
    attempt(open_file.write_bytes, b""),
    attempt((folder / "new").write_bytes, b"x"),
    attempt(key.unlink),
    attempt(os.kill, 1, 0),
    told,
)
"""


@needs_landlock
def test_the_border_holds_for_files_signals_and_siblings(tmp_path: Path) -> None:
    for name in ("key", "open"):
        (tmp_path / name).write_text("x")
    (tmp_path / "own").mkdir()
    arguments = [str(tmp_path / name) for name in ("key", "open", "own")]
    root = Path(confinement.__file__).resolve().parent.parent
    result = subprocess.run(
        [sys.executable, "-c", BREAKOUT, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    no = "PermissionError"
    files = [no, "done", no, "done", no]
    assert result.stdout.split() == [*files, no, no, no, no, "done"]
