"""The farm: makes, watches and ends processes, and deploys releases.

    deploy:  snapshot ─> template loads and rehearses ─> ready ─> current; the old one drains
                 └──────────────┴─> failed: the old one stays, `DeployError` says why

`Farm.deploy` is the one way a release goes live, whoever asks. When it returns, every new call is
on the new release; when it raises, nothing has changed for any caller.

The farm knows processes, not calls: what a process is for is its owner's business.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path

import structlog

from gateway.farm import snapshot
from gateway.farm.process import CallProcess, ExitReport
from gateway.farm.release import Release, ReleaseView, view
from gateway.farm.states import ReleaseState
from gateway.farm.template import Template, TemplateError
from shared.bootstrap import ReleaseSpec
from shared.kernel import children_of_self, session_of

log = structlog.get_logger(__name__)

WARM_RELEASES = 2
"""How many releases before the current one keep their template, for an instant rollback."""

KEPT_SNAPSHOTS = 10
"""Old snapshots that stay on the disk, for a rollback that loads again."""

MOST_DEATHS, DEATHS_SECONDS = 5, 60.0
"""A template that dies oftener than this is left alone for a while."""

RETRY_SECONDS = 15.0
"""How long a template that could not be started again is left alone."""

_CURRENT = "current"


class DeployError(Exception):
    """A release did not go live. ``reason`` in a sentence; ``report`` is a traceback or a dump."""

    def __init__(self, reason: str, report: str = "", release: str = "") -> None:
        self.reason, self.report, self.release = reason, report, release
        super().__init__(reason, report, release)

    def __str__(self) -> str:
        return f"{self.reason}\n{self.report}".rstrip()


class NotReadyError(Exception):
    """No release can take a call now."""

    def __str__(self) -> str:
        return "no release is ready: deploy one (callfarm deploy) and see its error"


@dataclass(frozen=True, slots=True)
class FarmOptions:
    """What the farm needs to know. Times in seconds, ``call_memory`` in bytes (0: no limit).

    ``environment`` is all that templates and calls get of it; ``hidden`` are folders that agent
    code must not import from or read.
    """

    agents_dir: Path
    data_dir: Path
    agent: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[Path, ...] = ()
    template_seconds: float = 60.0
    call_memory: int = 0


class Farm:
    """All releases and processes of one gateway."""

    def __init__(self, options: FarmOptions) -> None:
        self._options = options
        self._releases_dir = options.data_dir / "releases"
        self._releases: dict[str, Release] = {}
        self._history: list[Release] = []
        self._current: Release | None = None
        self._deploying = asyncio.Lock()
        self._waiting: list[tuple[CallProcess, Release]] = []
        self._restarting = False
        self._templates: set[Template] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._lifeline, self._lifeline_writer = Pipe(duplex=False)

    # What is there ---------------------------------------------------------------------------

    @property
    def current(self) -> Release | None:
        """The release that new calls get."""
        return self._current

    @property
    def ready(self) -> bool:
        """Whether a new call would get a process."""
        current = self._current
        return current is not None and (current.warm or self._restarting)

    def views(self) -> list[ReleaseView]:
        """Return every known release, the newest first."""
        newest = sorted(self._releases.values(), key=lambda r: r.created, reverse=True)
        return [view(release, self._current) for release in newest]

    def processes(self) -> list[CallProcess]:
        """Return the live call processes of all releases."""
        return [process for release in self._releases.values() for process in release.processes]

    # Deploying ---------------------------------------------------------------------------------

    async def deploy(self) -> ReleaseView:
        """Make the agents folder, as it is now, the current release.

        Raises `DeployError` when it cannot; the release before stays current.
        """
        async with self._deploying:
            try:
                release_id = await asyncio.to_thread(
                    snapshot.take, self._options.agents_dir, self._releases_dir
                )
            except (snapshot.SnapshotError, OSError) as error:
                raise DeployError(str(error)) from error
            return await self._go_live(release_id)

    async def rollback(self, release_id: str | None = None) -> ReleaseView:
        """Make an older release current: the one before, or ``release_id`` (a prefix will do).

        At once while its template is warm. Raises `DeployError`.
        """
        async with self._deploying:
            return await self._go_live(await asyncio.to_thread(self._find_older, release_id))

    async def restore(self) -> ReleaseView:
        """Make the last release that was current in an earlier run current again.

        Raises `DeployError`.
        """
        async with self._deploying:
            try:
                text = await asyncio.to_thread((self._releases_dir / _CURRENT).read_text)
            except OSError as error:
                raise DeployError("there is no earlier release") from error
            return await self._go_live(await asyncio.to_thread(self._find_older, text.strip()))

    def _find_older(self, wanted: str | None) -> str:
        if wanted is None:
            older = [release for release in self._history if release is not self._current]
            if not older:
                raise DeployError("there is no release before the current one")
            return older[-1].id
        names = [path.name for path in snapshot.all_in(self._releases_dir)]
        found = [name for name in names if wanted and name.startswith(wanted)]
        if len(found) != 1:
            what = "more than one release begins" if found else "no release begins"
            raise DeployError(f"{what} with {wanted!r}: see callfarm releases")
        return found[0]

    async def _go_live(self, release_id: str) -> ReleaseView:
        release = self._releases.get(release_id)
        if release is None:
            release = Release(release_id, self._releases_dir / release_id)
            self._releases[release_id] = release
        if not release.warm:
            await self._load(release)
        self._make_current(release)
        try:
            await asyncio.to_thread(self._remember, release_id)
        except OSError as error:
            log.warning("the current release could not be written down", error=str(error))
        return view(release, self._current)

    async def _load(self, release: Release) -> None:
        """Start the release's template. Raises `DeployError`."""
        release.machine.move(ReleaseState.LOADING)
        template = Template(self._spec(release), self._lifeline, self._template_died)
        template.on_stage = lambda _: release.machine.move(ReleaseState.REHEARSING)
        self._templates.add(template)
        try:
            ready = await template.start(self._options.template_seconds)
        except TemplateError as error:
            if template.pid is None:
                self._templates.discard(template)
            release.error = str(error)
            release.machine.move(ReleaseState.FAILED)
            raise DeployError(error.reason, error.report, release.id) from error
        release.machine.move(ReleaseState.REHEARSING)
        release.machine.move(ReleaseState.READY)
        release.template, release.error = template, ""
        release.agents, release.memory = tuple(ready.agents), ready.memory
        release.load_ms, release.rehearse_ms = ready.load_ms, ready.rehearse_ms
        release.notes = tuple(ready.notes)
        release.direct, release.exceptions = ready.direct, frozenset(ready.exceptions)
        release.direct_agents = frozenset(ready.direct_agents)
        release.machines = ready.machines
        for note in ready.notes:
            log.warning(note, release=release.id)

    def _make_current(self, release: Release) -> None:
        before, self._current = self._current, release
        release.machine.move(ReleaseState.LIVE)
        if release in self._history:
            self._history.remove(release)
        self._history.append(release)
        if before is not None and before is not release:
            before.machine.move(ReleaseState.DRAINING)
        self._retire_idle()

    def _remember(self, release_id: str) -> None:
        temporary = self._releases_dir / f".{_CURRENT}"
        temporary.write_text(release_id)
        temporary.replace(self._releases_dir / _CURRENT)
        keep = set(self._releases_in_use())
        snapshot.prune(self._releases_dir, keep, KEPT_SNAPSHOTS)

    def _releases_in_use(self) -> list[str]:
        return [
            r.id for r in self._releases.values() if r.processes or r.warm or r is self._current
        ]

    def _retire_idle(self) -> None:
        """End the templates of releases that nobody needs."""
        warm = self._history[-1 - WARM_RELEASES :]
        for release in self._releases.values():
            if release.state is ReleaseState.DRAINING and not release.processes:
                if release in warm:
                    continue
                release.machine.move(ReleaseState.RETIRED)
                if release.template is not None:
                    release.template.close()

    def _spec(self, release: Release) -> ReleaseSpec:
        options = self._options
        return ReleaseSpec(
            release=release.id,
            folder=str(release.folder),
            live_folder=str(options.agents_dir),
            agent=options.agent,
            environment=dict(options.environment),
            hidden=tuple(str(path) for path in (*options.hidden, options.data_dir)),
        )

    def is_direct(self, number: str, agent: str = "") -> bool:
        """Whether a new call would be joined straight to the service of ``agent``.

        Without one named it is the agent of ``number``, a number of ours.
        """
        return self._current is not None and self._current.is_direct(number, agent)

    def named(self, name: str) -> str | None:
        """Return the full name of an agent that could take a call now."""
        return self._current.named(name) if self._current is not None else None

    def machine_policy(self, agent: str, number: str) -> str:
        """Return what ``agent``, or the one of ``number``, does about answering machines."""
        current = self._current
        return current.machine_policy(agent, number) if current is not None else "go-on"

    # Processes -----------------------------------------------------------------------------------

    def start_process(
        self,
        title: str,
        on_frame: Callable[[bytes], None],
        on_exit: Callable[[ExitReport], None],
    ) -> tuple[CallProcess, str]:
        """Fork a call process of the current release; return it and the release's id.

        It can be written to at once. Raises `NotReadyError`.
        """
        release = self._current
        if release is None or not self.ready or self._closed:
            raise NotReadyError

        def exited(report: ExitReport) -> None:
            release.processes.discard(process)
            on_exit(report)
            self._retire_idle()
            self.end_strays()

        process = CallProcess(f"callfarm call {title} {release.id}", on_frame, exited)
        release.processes.add(process)
        if release.template is not None and release.warm:
            release.template.fork(process, self._options.call_memory)
        else:
            self._waiting.append((process, release))
        return process, release.id

    def _may_restart(self, release: Release) -> bool:
        now = asyncio.get_running_loop().time()
        release.deaths = [at for at in release.deaths if now - at < DEATHS_SECONDS]
        return len(release.deaths) < MOST_DEATHS

    def _template_died(self, template: Template) -> None:
        self._templates.discard(template)
        self.end_strays()
        release = self._releases.get(template.spec.release)
        if release is None or release.template is not template:
            return
        release.template = None
        if self._closed or release.state not in (ReleaseState.LIVE, ReleaseState.DRAINING):
            return
        log.error(
            "template died; its calls go on", release=release.id, calls=len(release.processes)
        )
        release.deaths.append(asyncio.get_running_loop().time())
        if release is self._current:
            self._restarting = self._may_restart(release)
            task = asyncio.create_task(self._restart(release))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _restart(self, release: Release) -> None:
        """Bring the current release's template back, and fork what has waited for it.

        Calls wait for the first attempt. Between later ones the gateway is not ready.
        """
        while release is self._current and not release.warm:
            problem = "its template dies again and again"
            if self._may_restart(release):
                try:
                    async with self._deploying:
                        if release is self._current and not release.warm:
                            await self._load(release)
                            release.machine.move(ReleaseState.LIVE)
                except DeployError as error:
                    problem = str(error)
            self._restarting = False
            self._serve_waiting(problem)
            if not release.warm:
                log.error("template not restarted", release=release.id, reason=problem)
                await asyncio.sleep(RETRY_SECONDS)
        self._restarting = False
        self._serve_waiting("its release was replaced")

    def _serve_waiting(self, problem: str) -> None:
        waiting, self._waiting = self._waiting, []
        for process, wanted in waiting:
            if wanted.template is not None and wanted.warm:
                wanted.template.fork(process, self._options.call_memory)
            else:
                process.ended(ExitReport(problem=f"no process: {problem}"))

    def end_strays(self) -> None:
        """Kill and reap what agents left behind: orphans that this process has adopted."""
        known = {process.pid for process in self.processes()}
        known |= {template.pid for template in self._templates}
        own_session = os.getsid(0)
        for pid in children_of_self():
            try:
                if pid in known or session_of(pid) == own_session:
                    continue
                if not self._is_ours(pid):
                    continue
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            except OSError:  # it is gone, or not ours to kill
                continue

    def _is_ours(self, pid: int) -> bool:
        """A template being started is a child with a session of its own, too: leave it alone."""
        return not self._deploying.locked() or session_of(pid) != pid

    # The end -----------------------------------------------------------------------------------

    async def close(self) -> None:
        """End every process and template, and wait until they are gone."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for process, _ in self._waiting:
            process.ended(ExitReport(problem="no process: the gateway stops"))
        self._waiting.clear()
        processes = self.processes()
        for process in processes:
            process.kill()
        templates = [template for template in self._templates if template.pid is not None]
        if processes:
            await asyncio.wait([process.exited for process in processes], timeout=5)
        for template in templates:
            template.close()
        await asyncio.gather(*(template.gone.wait() for template in templates))
        self.end_strays()
        self._lifeline_writer.close()
        self._lifeline.close()
