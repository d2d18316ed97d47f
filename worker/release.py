"""A release as its template sees it: the folder on the path, the agents in it, and their routes.

Nothing but the snapshot and the installed environment can be imported from here on: the working
directory, the operator's live folder and the repository leave ``sys.path``, and a module of the
release that would hide the standard library or a dependency is refused.
"""

import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker import direct, recording, roles, voicemail
from worker.agent import Agent

ROUTES = "routes.toml"


class ReleaseError(Exception):
    """The release cannot go live. ``sentence`` says why and what to do."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Routes:
    """Which agent answers which number: ``module:Class`` each. ``others`` answer none.

    A call that is placed may be another's than its number's: one of ``others``, by name.
    """

    default: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def agents(self) -> list[str]:
        """Return every agent named, the default first, each once."""
        return list(dict.fromkeys([self.default, *self.numbers.values(), *self.others]))


def isolate(folder: Path, hidden: Iterable[Path]) -> None:
    """Make ``folder`` the working directory and the first place to import from.

    ``hidden`` are folders that must not be importable. Raises `ReleaseError` for a shadowing name.
    """
    sys.dont_write_bytecode = True
    away = {path.resolve() for path in (Path.cwd(), *hidden)}
    away |= {parent for path in hidden for parent in (path.resolve().parent,)}
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    kept = [
        entry
        for entry in sys.path
        if entry and ((path := Path(entry).resolve()) in installed or path not in away)
    ]
    os.chdir(folder)
    sys.path[:] = kept
    refuse_shadows(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def top_modules(folder: Path) -> dict[str, Path]:
    """Return the importable names at the top of ``folder`` with the file or folder of each."""
    found = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        if path.is_dir():
            importable = any(path.rglob("*.py"))
        else:
            name = inspect.getmodulename(name) or ""
            importable = name not in ("__init__", "__main__")
        if importable and name.isidentifier():
            found[name] = path
    return found


def refuse_shadows(folder: Path) -> None:
    """Raise `ReleaseError` when a module of ``folder`` hides another one."""
    for name, path in top_modules(folder).items():
        if name in sys.stdlib_module_names:
            whose = "the standard library's"
        elif name in sys.modules or importlib.util.find_spec(name) is not None:
            whose = "an installed package's"
        else:
            continue
        raise ReleaseError(f"{path.name} would hide {whose} module {name!r}: rename it")


def compile_all(folder: Path) -> None:
    """Parse every Python file of ``folder``. Raises ``SyntaxError`` with file and line."""
    for path in sorted(folder.rglob("*.py")):
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)


def read_routes(folder: Path, override: str | None) -> Routes:
    """Read ``routes.toml``; ``override`` takes the place of its default.

    Raises `ReleaseError` when no default is known or the file is wrong.
    """
    path = folder / ROUTES
    table: dict[str, object] = {}
    if path.exists():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ReleaseError(f"{ROUTES}: {error}") from error
    numbers = table.get("numbers", {})
    default = override or table.get("default")
    if not isinstance(default, str):
        raise ReleaseError(
            f'no default agent: write default = "module:Class" into {ROUTES}, '
            "or start with --agent module:Class"
        )
    if not isinstance(numbers, dict) or not all(isinstance(name, str) for name in numbers.values()):
        raise ReleaseError(f'{ROUTES}: [numbers] maps a number to "module:Class"')
    others = table.get("agents", [])
    if not isinstance(others, list) or not all(isinstance(name, str) for name in others):
        raise ReleaseError(f'{ROUTES}: agents is a list of "module:Class"')
    unknown = set(table) - {"default", "agents", "numbers"}
    if unknown:
        known = "default, agents, [numbers]"
        raise ReleaseError(f"{ROUTES}: unknown key {min(unknown)!r}; it has {known}")
    return Routes(default, numbers, tuple(others))


def find_agent(name: str) -> type[Agent]:
    """Import ``module:Class``. Raises `ReleaseError` for a name that is no agent.

    What the module itself raises comes through as it is.
    """
    module_name, _, class_name = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), class_name)):
        raise ReleaseError(f"{name!r} is no agent's name: write module:Class")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ReleaseError(f"{name}: there is no module {module_name!r} in the release") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise ReleaseError(f"{name}: there is no class {class_name!r} in {module_name}")
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ReleaseError(f"{name}: {class_name!r} in {module_name} is no subclass of Agent")
    return found


@dataclass(frozen=True, slots=True)
class LoadedRelease:
    """What a template hands to each fork: the agents, imported and prepared."""

    release: str
    routes: Routes
    agents: Mapping[str, type[Agent]]

    def agent_for(self, number: str, name: str = "") -> tuple[str, type[Agent]]:
        """Return the agent called ``name``, if there is one, else the one of ``number``."""
        if name not in self.agents:
            name = self.routes.numbers.get(number, self.routes.default)
        return name, self.agents[name]

    def machines(self) -> dict[str, str]:
        """Return what is done about answering machines, where that is not to go on.

        By agent, by number where it is another than the default agent's, and that one's under "".
        """
        policies = {name: agent.machine for name, agent in self.agents.items()}
        default = policies[self.routes.default]
        numbers = self.routes.numbers.items()
        found: dict[str, str] = {name: it for name, it in policies.items() if it != "go-on"}
        found |= {number: policies[name] for number, name in numbers if policies[name] != default}
        return found | ({"": default} if default != "go-on" else {})

    def direct_agents(self) -> list[str]:
        """Return the agents whose callers are joined straight to a service."""
        agents = self.agents.items()
        return [name for name, agent in agents if direct.direct_model(agent) is not None]

    def direct(self) -> tuple[bool, list[str]]:
        """Return whether callers are joined straight to a service, and at which numbers not so."""
        is_direct = {
            name: direct.direct_model(agent) is not None for name, agent in self.agents.items()
        }
        default = is_direct[self.routes.default]
        numbers = self.routes.numbers.items()
        return default, [number for number, name in numbers if is_direct[name] is not default]


def load(release: str, folder: Path, override: str | None) -> LoadedRelease:
    """Import the release's agents and prepare their providers.

    Raises `ReleaseError`, or whatever the release's own code raises.
    """
    compile_all(folder)
    routes = read_routes(folder, override)
    agents = {name: find_agent(name) for name in routes.agents()}
    for agent in agents.values():
        roles.prepare(agent)
        direct.prepare(agent)
        fault = voicemail.fault(agent) or recording.fault(agent) or direct.fault(agent)
        if fault:
            raise ReleaseError(fault)
    return LoadedRelease(release, routes, agents)
