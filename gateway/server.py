"""The gateway's life: assembles its parts, serves, deploys on request, drains, leaves.

    start: secrets out of the environment ─> farm deploys ─> sockets open ─> ready
    SIGHUP: deploy        SIGTERM, SIGINT: no new calls ─> calls finish ─> processes end ─> exit 0
    second SIGINT: at once

uvicorn serves HTTP but owns neither signals nor shutdown: its own would close live sockets first.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway.assembly import Assembly, Secrets
from gateway.farm.farm import DeployError, FarmOptions
from gateway.http_guard import GuardedHttpProtocol
from gateway.media.protocol import media_protocol
from gateway.notify import Notifier
from gateway.operator_socket import OperatorApp, OperatorProtocol, bind, socket_path
from gateway.store.store import StoreError
from shared.kernel import become_subreaper, hide_from_ptrace
from shared.local_secrets import api_token, twilio_auth_token
from shared.settings import Settings, call_environment, take_secrets

log = structlog.get_logger(__name__)

GOODBYE_SECONDS = 5.0
"""What calls that outlive the drain have between being hung up and being ended."""

_WATCH_RETRY_SECONDS = 1.0


class ServeError(Exception):
    """The gateway cannot start. ``sentence`` says why and what to do."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the gateway."""
        yield


class Gateway:
    """One running gateway. Build it on a running loop."""

    def __init__(self, settings: Settings, secrets: Secrets, farm_options: FarmOptions) -> None:
        self.settings = settings
        try:
            self.parts = Assembly(settings, secrets, farm_options)
        except StoreError as error:
            raise ServeError(str(error)) from error
        self.farm, self.calls = self.parts.farm, self.parts.calls
        self._stop = asyncio.Event()
        self._stops = 0

    # Serving -----------------------------------------------------------------------------------

    async def run(self, notifier: Notifier, announce: Callable[[str], None], watch: bool) -> None:
        """Serve until told to stop, then drain and end. Raises `ServeError`."""
        try:
            await self._serve(notifier, announce, watch)
        finally:
            await self.parts.aclose()
        socket_path(self.settings.data_dir).unlink(missing_ok=True)

    async def _serve(
        self, notifier: Notifier, announce: Callable[[str], None], watch: bool
    ) -> None:
        public, private = self._listeners()
        app = self.parts.app
        servers = [self._server(app, ws=True), self._server(OperatorApp(app), ws=False)]
        await self._begin()
        async with asyncio.TaskGroup() as tasks:
            serving = [
                tasks.create_task(server.serve(sockets=[listener]))
                for server, listener in zip(servers, (public, private), strict=True)
            ]
            work = (*self.parts.work(), notifier.keep_alive())
            helpers = [tasks.create_task(each) for each in work]
            if watch:
                helpers.append(tasks.create_task(self._watch_agents()))
            if self.parts.control is not None:
                helpers.append(tasks.create_task(self._prepare_rest()))
            self._own_signals(tasks, helpers)
            announce(self._address(public))
            notifier.ready()
            await self._stop.wait()
            notifier.stopping()
            await self._drain()
            await self.parts.settle()
            for helper in helpers:
                helper.cancel()
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*serving)

    def _listeners(self) -> tuple[socket.socket, socket.socket]:
        settings = self.settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        public = socket.socket(family, socket.SOCK_STREAM)
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            public.bind((settings.host, settings.port))
        except OSError as error:
            raise ServeError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
                "choose another with --port or PORT"
            ) from error
        public.listen(2048)
        path = socket_path(settings.data_dir)
        try:
            return public, bind(path)
        except OSError as error:
            raise ServeError(f"cannot make the control socket {path}: {error.strerror}") from error

    def _server(self, app: ASGIApp, ws: bool) -> _Server:
        settings = self.settings
        tls = settings.tls_cert_file is not None and ws
        config = uvicorn.Config(
            app,
            http=GuardedHttpProtocol if ws else OperatorProtocol,
            ws=media_protocol(self.parts.gate) if ws else "none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=int(GOODBYE_SECONDS),
            ssl_certfile=settings.tls_cert_file if tls else None,
            ssl_keyfile=settings.tls_key_file if tls else None,
        )
        try:
            config.load()
        except OSError as error:
            raise ServeError(
                f"cannot use the certificate {settings.tls_cert_file} with the key "
                f"{settings.tls_key_file}: {error.strerror or error}; "
                "both are PEM files of one pair, set with TLS_CERT_FILE and TLS_KEY_FILE"
            ) from error
        return _Server(config)

    def _address(self, listener: socket.socket) -> str:
        host, port = listener.getsockname()[:2]
        scheme = "https" if self.settings.tls_cert_file is not None else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _begin(self) -> None:
        """Open the database and make the first release, side by side. Raises `ServeError`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._open_archive())
                tasks.create_task(self._first_release())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _open_archive(self) -> None:
        try:
            await self.parts.archive.open()
        except StoreError as error:
            raise ServeError(str(error)) from error

    async def _first_release(self) -> None:
        try:
            release = await self.farm.deploy()
        except DeployError as error:
            try:
                release = await self.farm.restore()
            except DeployError:
                raise ServeError(f"the agents folder is not fit for calls: {error}") from error
            _tell_refused(error)
            log.warning("serving the last release that was", release=release.id)
        log.info("release live", release=release.id, agents=list(release.agents))

    async def _prepare_rest(self) -> None:
        assert self.parts.control is not None
        await self.parts.control.prepare()

    # Deploying ---------------------------------------------------------------------------------

    async def _deploy(self) -> None:
        try:
            release = await self.farm.deploy()
        except DeployError as error:
            _tell_refused(error)
        else:
            log.info("release live", release=release.id, agents=list(release.agents))

    async def _watch_agents(self) -> None:
        from watchfiles import awatch

        folder = self.settings.agents_dir
        while True:
            try:
                async for _ in awatch(folder, debounce=200):
                    await self._deploy()
            except FileNotFoundError:
                pass  # an editor, or git, puts it back in a moment
            except (OSError, RuntimeError) as error:  # watches have run out, say
                log.warning("the agents folder is not watched", error=str(error))
            await asyncio.sleep(_WATCH_RETRY_SECONDS)

    # Leaving -----------------------------------------------------------------------------------

    def _own_signals(self, tasks: asyncio.TaskGroup, helpers: list[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()

        def deploy() -> None:
            # Among those that end with the drain: a release that hangs must not prolong it.
            helpers[:] = [task for task in helpers if not task.done()]
            helpers.append(tasks.create_task(self._deploy()))

        loop.add_signal_handler(signal.SIGHUP, deploy)
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)

    def stop(self) -> None:
        """Begin to drain. May be called twice."""
        self._stops += 1
        self.calls.draining = self.parts.dialer.draining = True
        self.parts.campaigns.drain()
        self._stop.set()

    def _interrupted(self) -> None:
        self.stop()
        if self._stops > 1:
            log.warning("ended at once", calls=len(self.calls))
            logging.shutdown()
            # The lifeline goes with this process, and every template and call with it.
            os._exit(130)

    async def _drain(self) -> None:
        log.info("draining", calls=len(self.calls), seconds=self.settings.drain_seconds)
        if len(self.calls):
            await self.calls.drain(self.settings.drain_seconds)
        await self.calls.hang_up_all("the server stops", GOODBYE_SECONDS)


def _tell_refused(error: DeployError) -> None:
    # As an exception's text, so that it keeps its lines in a terminal.
    report = {"exception": error.report.rstrip()} if error.report else {}
    log.error("not deployed", reason=error.reason, **report)


def claim(data_dir: Path) -> int:
    """Make ``data_dir`` this gateway's own; return the lock's descriptor. Raises `ServeError`."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(data_dir / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ServeError(
            f"another gateway runs on {data_dir}: stop it, or set DATA_DIR to another folder"
        ) from None
    except OSError as error:
        raise ServeError(f"cannot use {data_dir}: {error.strerror}; set DATA_DIR") from error
    return fd


def farm_options(settings: Settings, agent: str | None, environment: dict[str, str]) -> FarmOptions:
    """Return what the farm needs of the settings.

    Agent code may write to the temporary folder. Where that would open a secret to it, it gets
    one of its own.
    """
    hidden = [Path.cwd(), Path(".env").resolve()]
    if settings.tls_key_file is not None:
        hidden.append(settings.tls_key_file.absolute())
    temporary = Path(tempfile.gettempdir()).resolve()
    places = (settings.data_dir, socket_path(settings.data_dir), *hidden)
    if any(path.resolve().is_relative_to(temporary) for path in places):
        own = settings.data_dir / "tmp"
        own.mkdir(mode=0o700, exist_ok=True)
        environment = {**environment, "TMPDIR": str(own)}
    return FarmOptions(
        agents_dir=settings.agents_dir,
        data_dir=settings.data_dir,
        agent=agent,
        environment=environment,
        hidden=tuple(hidden),
        template_seconds=settings.template_timeout_seconds,
        call_memory=settings.call_memory_mb << 20,
    )


def prepare_process(settings: Settings) -> tuple[Secrets, dict[str, str]]:
    """Make this process fit to be a gateway; return its secrets, and what calls may know.

    Call it before anything is started: secrets leave the environment here.
    """
    secrets = Secrets(twilio_auth_token(settings), api_token(settings))
    environment = call_environment(os.environ, settings)
    take_secrets(os.environ, settings)
    become_subreaper()
    hide_from_ptrace()
    # The database, its log and what else is made here hold callers' words.
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return secrets, environment
