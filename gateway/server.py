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
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway.api import Api
from gateway.app import application
from gateway.calls.call import CallRules
from gateway.calls.registry import Calls
from gateway.carriers.twilio.account import rest_control
from gateway.carriers.twilio.gate import TwilioGate
from gateway.carriers.twilio.routes import TwilioOptions, TwilioRoutes
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.farm.farm import DeployError, Farm, FarmOptions
from gateway.http_guard import GuardedHttpProtocol
from gateway.media.protocol import media_protocol
from gateway.notify import Notifier
from gateway.operator_socket import OperatorApp, OperatorProtocol, bind, socket_path
from gateway.throttle import Throttle
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


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the gateway knows and no process it starts may know."""

    twilio_token: str
    api_token: str


class Gateway:
    """One running gateway. Build it on a running loop."""

    def __init__(self, settings: Settings, secrets: Secrets, farm_options: FarmOptions) -> None:
        self.settings = settings
        self.farm = Farm(farm_options)
        rules = CallRules(
            stream_seconds=settings.stream_timeout_seconds,
            most_seconds=settings.max_call_seconds,
            hang_seconds=settings.hang_seconds,
            fallback=settings.fallback_number,
            destinations=dict(settings.transfer_numbers),
        )
        self.calls = Calls(self.farm, rules, settings.max_calls, settings.call_memory_mb << 20)
        public_url = str(settings.public_url) if settings.public_url else None
        check = SignatureCheck(
            lambda account: (secrets.twilio_token,), public_url, settings.trusted_proxies
        )
        throttle = Throttle(time.monotonic)
        self._control = rest_control(settings)
        twilio = TwilioRoutes(
            self.calls,
            check,
            throttle,
            self._control,
            TwilioOptions(
                settings.max_body_bytes, settings.fallback_number, settings.twilio_phone_number
            ),
        )
        api = Api(self.calls, self.farm, secrets.api_token, dict(settings.transfer_numbers))
        prefix = urlsplit(public_url).path.rstrip("/") if public_url else ""
        self.app = application(self.calls, self.farm, twilio, api, prefix)
        self._gate = TwilioGate(self.calls, check, throttle)
        self._stop = asyncio.Event()
        self._stops = 0

    # Serving -----------------------------------------------------------------------------------

    async def run(self, notifier: Notifier, announce: Callable[[str], None], watch: bool) -> None:
        """Serve until told to stop, then drain and end. Raises `ServeError`."""
        try:
            await self._serve(notifier, announce, watch)
        finally:
            # A template that is left alive holds up the interpreter's exit for good.
            await self.farm.close()
            if self._control is not None:
                await self._control.aclose()
        socket_path(self.settings.data_dir).unlink(missing_ok=True)

    async def _serve(
        self, notifier: Notifier, announce: Callable[[str], None], watch: bool
    ) -> None:
        public, private = self._listeners()
        servers = [self._server(self.app, ws=True), self._server(OperatorApp(self.app), ws=False)]
        await self._first_release()
        async with asyncio.TaskGroup() as tasks:
            serving = [
                tasks.create_task(server.serve(sockets=[listener]))
                for server, listener in zip(servers, (public, private), strict=True)
            ]
            helpers = [
                tasks.create_task(self.calls.watch()),
                tasks.create_task(notifier.keep_alive()),
            ]
            if watch:
                helpers.append(tasks.create_task(self._watch_agents()))
            if self._control is not None:
                helpers.append(tasks.create_task(self._prepare_rest()))
            self._own_signals(tasks, helpers)
            announce(self._address(public))
            notifier.ready()
            await self._stop.wait()
            notifier.stopping()
            await self._drain()
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
            ws=media_protocol(self._gate) if ws else "none",
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

    async def _first_release(self) -> None:
        try:
            release = await self.farm.deploy()
        except DeployError as error:
            log.error("the agents folder is not fit for calls", reason=str(error))  # noqa: TRY400
            try:
                release = await self.farm.restore()
            except DeployError:
                raise ServeError(str(error)) from error
            log.warning("serving the last release that was", release=release.id)
        log.info("release live", release=release.id, agents=list(release.agents))

    async def _prepare_rest(self) -> None:
        assert self._control is not None
        await self._control.prepare()

    # Deploying ---------------------------------------------------------------------------------

    async def _deploy(self) -> None:
        try:
            release = await self.farm.deploy()
        except DeployError as error:
            # As an exception's text, so that it keeps its lines in a terminal.
            report = {"exception": error.report.rstrip()} if error.report else {}
            log.error("not deployed", reason=error.reason, **report)  # noqa: TRY400
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
        self.calls.draining = True
        self._stop.set()

    def _interrupted(self) -> None:
        self.stop()
        if self._stops > 1:
            log.warning("ended at once", calls=len(self.calls))
            logging.shutdown()
            # The lifeline goes with this process, and every template and call with it.
            os._exit(130)

    async def _drain(self) -> None:
        if len(self.calls):
            log.info("draining", calls=len(self.calls), seconds=self.settings.drain_seconds)
            await self.calls.drain(self.settings.drain_seconds)
        await self.calls.hang_up_all("the server stops", GOODBYE_SECONDS)


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
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return secrets, environment
