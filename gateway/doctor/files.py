"""Are the files in order: the data folder, the agents, ``.env``."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from gateway.agent_names import owner_of
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.misspelt import unknown_names
from shared.settings import Settings
from shared.settings.fields import AGENT_PREFIX
from shared.settings.loading import ENV_FILE

_ROUTES = "routes.toml"
_ENOUGH_DISK = 1 << 30  # bytes: some 18 hours of stereo recordings


def check_data_dir(settings: Settings) -> Iterator[Finding]:
    """Look whether the data folder can be written, is ours alone and has room."""
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield fail(
            "DATA_DIR", f"{folder}: {error.strerror}", "make it writable, or set another DATA_DIR"
        )
        return
    if existing != folder:
        yield ok("DATA_DIR", f"{folder} will be made")
    elif folder.stat().st_mode & 0o077:
        yield warn("DATA_DIR", f"others can look into {folder}", f"chmod 700 {folder}")
    else:
        yield ok("DATA_DIR", f"{folder} is writable and private")
    free = shutil.disk_usage(existing).free
    if free < _ENOUGH_DISK:
        yield warn("disk", f"{free >> 20} MB free for {folder}", "make room: recordings need it")


def check_agents(settings: Settings) -> Iterator[Finding]:
    """Look whether there are agents that parse, under names that hide nothing, and their routes.

    Nothing is imported: that is a template's work.
    """
    folder = settings.agents_dir
    modules = sorted(folder.glob("*.py")) if folder.is_dir() else []
    if not modules:
        yield fail(
            "AGENTS_DIR", f"no agent in {folder}", "callfarm new receptionist, or set AGENTS_DIR"
        )
        return
    faults = [fault for path in modules for fault in _module_faults(path)]
    faults += _route_faults(folder / _ROUTES)
    yield from faults
    if not faults:
        yield ok("AGENTS_DIR", f"{len(modules)} modules in {folder}, they parse")


def check_env_file(_settings: Settings, path: Path = ENV_FILE) -> Iterator[Finding]:
    """Look whether ``.env`` is private, and for names in it that are no setting."""
    if not path.exists():
        return
    if path.stat().st_mode & 0o077:
        yield warn(".env", "others can read it, secrets included", f"chmod 600 {path}")
    for name, near in unknown_names(path):
        fix = f"did you mean {near}?" if near else f"agent code sees {AGENT_PREFIX}… only"
        yield warn(".env", f"{name} is no setting", fix)


def _module_faults(path: Path) -> Iterator[Finding]:
    if owner := owner_of(path.stem):
        yield fail("AGENTS_DIR", f"{path.name} would hide the module of {owner}", "rename it")
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        yield fail("AGENTS_DIR", f"{path.name}{line}: {error.args[0]}", "mend it")
    except OSError as error:
        yield fail("AGENTS_DIR", f"{path.name}: {error.strerror}", "make it readable")


def _route_faults(path: Path) -> list[Finding]:
    if not path.exists():
        fix = "write it, or start with callfarm serve --agent MODULE:CLASS"
        return [warn("AGENTS_DIR", f"no {_ROUTES}: no agent answers by default", fix)]
    if not os.access(path, os.R_OK):
        return [fail("AGENTS_DIR", f"{_ROUTES} cannot be read", "make it readable")]
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [fail("AGENTS_DIR", f"{_ROUTES}: {error}", "mend it")]
    return []
