import asyncio
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.virtual_time import virtual_time
from worker.backoff import Retry
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.link import CLOSE_SECONDS, Link
from worker.sockets import socket_fault, websocket


class Server:
    """Echoes, and notes each handshake with its time. ``answers`` are statuses of the next ones."""

    def __init__(self) -> None:
        self.url = ""
        self.handshakes: list[float] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.connections: list[ServerConnection] = []

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(asyncio.get_running_loop().time())
        status = self.answers.pop(0) if self.answers else 101
        if status == 101:
            return None
        response = connection.respond(status, "said by the server")
        response.headers.update(self.headers)
        return response

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        async for message in connection:
            if isinstance(message, str) and message.startswith("close"):
                await connection.close(int(message.removeprefix("close ")))
                return
            await connection.send(message)

    @property
    def waits(self) -> list[float]:
        """How long before each handshake after the first the one before it was."""
        return [b - a for a, b in zip(self.handshakes, self.handshakes[1:], strict=False)]


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """Run one."""
    made = Server()
    async with serve(made.handle, "127.0.0.1", 0, process_request=made.check) as running:
        host, port = next(iter(running.sockets)).getsockname()[:2]
        made.url = f"ws://{host}:{port}"
        yield made


class Client:
    """A link and all it has told."""

    def __init__(
        self,
        url: str,
        retry: Retry | None = None,
        opening: Callable[[], AbstractAsyncContextManager[ClientConnection]] | None = None,
        serving: Callable[[ClientConnection], Awaitable[None]] | None = None,
    ) -> None:
        self.heard: list[str | bytes] = []
        self.losses: list[ProviderError] = []
        self.failures: list[ProviderError] = []
        self.is_up = asyncio.Event()
        self.has_failed = asyncio.Event()
        self.link: Link[ClientConnection] = Link(
            "acme",
            opening or (lambda: websocket(url, {})),
            serving or self.serve,
            lambda error: socket_fault("acme", "ACME_API_KEY", error),
            self.failed,
            self.lost,
            retry,
        )

    async def serve(self, socket: ClientConnection) -> None:
        self.is_up.set()
        async for message in socket:
            self.heard.append(message)

    def lost(self, error: ProviderError) -> None:
        self.is_up.clear()
        self.losses.append(error)

    def failed(self, error: ProviderError) -> None:
        self.failures.append(error)
        self.has_failed.set()

    async def say(self, text: str) -> None:
        assert self.link.socket is not None
        await self.link.socket.send(text)


@virtual_time
async def test_it_is_open_when_start_returns() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        await client.say("hello")
        await asyncio.sleep(0.1)
        assert client.heard == ["hello"]
        await client.link.aclose()
        assert client.link.socket is None
        assert client.losses == client.failures == []


@virtual_time
async def test_a_lost_socket_is_opened_again_at_once() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        await client.say("close 1011")
        await asyncio.sleep(0.1)
        assert len(there.handshakes) == 2
        assert there.waits[0] < 0.1
        assert [loss.status for loss in client.losses] == [1011]
        await client.say("again")
        await asyncio.sleep(0.1)
        assert client.heard == ["again"]
        assert client.failures == []
        await client.link.aclose()


@virtual_time
async def test_a_normal_close_is_a_loss_too() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        await client.say("close 1000")
        await asyncio.sleep(0.1)
        assert [str(loss) for loss in client.losses] == ["acme: closed the connection"]
        await client.link.aclose()


@virtual_time
async def test_there_is_no_socket_while_it_waits() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        there.answers = [503]
        await client.say("close 1011")
        await asyncio.sleep(0.1)
        while_waiting = client.link.socket
        await asyncio.sleep(0.3)
        assert while_waiting is None
        assert client.link.socket is not None
        await client.link.aclose()


@virtual_time
async def test_each_try_waits_twice_as_long_until_it_is_given_up() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        there.answers = [503] * 9
        await client.say("close 1011")
        await client.has_failed.wait()
        assert [round(wait, 9) for wait in there.waits] == [
            pytest.approx(wait, rel=0.25, abs=0.1) for wait in (0.0, 0.25, 0.5, 1.0, 2.0)
        ]
        assert [failure.status for failure in client.failures] == [503]
        assert isinstance(client.failures[0], ProviderLostError)
        await client.link.aclose()


@virtual_time
async def test_a_socket_that_opens_and_dies_at_once_is_given_up() -> None:
    async with server() as there:

        async def dies(socket: ClientConnection) -> None:
            await socket.send("close 1011")
            async for _ in socket:
                pass

        client = Client(there.url, serving=dies)
        await client.link.start()
        await client.has_failed.wait()
        assert len(there.handshakes) == 6
        assert len(client.failures) == 1
        await client.link.aclose()


@virtual_time
async def test_a_socket_that_was_steady_is_tried_afresh() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        for _ in range(20):
            await asyncio.sleep(6.0)
            await client.say("close 1011")
        await asyncio.sleep(0.1)
        assert len(there.handshakes) == 21
        assert client.failures == []
        await client.link.aclose()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
@virtual_time
async def test_a_refusal_is_told_at_once(status: int) -> None:
    async with server() as there:
        there.answers = [status]
        with pytest.raises(ProviderRefusedError) as caught:
            await Client(there.url).link.start()
        assert caught.value.status == status
        assert len(there.handshakes) == 1


@virtual_time
async def test_a_refusal_in_mid_call_is_a_failure_at_once() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        there.answers = [401]
        await client.say("close 1011")
        await client.has_failed.wait()
        assert [failure.status for failure in client.failures] == [401]
        assert len(there.handshakes) == 2
        await client.link.aclose()


@virtual_time
async def test_retry_after_is_honoured() -> None:
    async with server() as there:
        there.answers, there.headers = [429, 429], {"Retry-After": "2"}
        client = Client(there.url)
        await client.link.start()
        assert [round(wait) for wait in there.waits] == [2, 2]
        await client.link.aclose()


@virtual_time
async def test_a_retry_after_that_is_too_long_for_a_caller_gives_it_up() -> None:
    async with server() as there:
        there.answers, there.headers = [429], {"Retry-After": "30"}
        with pytest.raises(ProviderLostError) as caught:
            await Client(there.url).link.start()
        assert caught.value.retry_after_s == 30
        assert len(there.handshakes) == 1


@virtual_time
async def test_where_nobody_listens_it_is_given_up_after_some_seconds() -> None:
    with sockets.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{reserved.getsockname()[1]}"
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ProviderLostError, match="cannot be reached"):
            await Client(url).link.start()
        assert 2.5 < loop.time() - began < 5


@virtual_time
async def test_a_server_that_does_not_answer_is_not_waited_for_forever() -> None:
    with sockets.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ProviderLostError, match="did not answer within"):
            await Client(url, Retry(tries=1, open_s=0.5)).link.start()


@virtual_time
async def test_giving_up_the_wait_for_start_closes_it() -> None:
    with sockets.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"ws://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client.link.start()
        assert len(asyncio.all_tasks()) == 1


@virtual_time
async def test_closing_while_it_waits_ends_it() -> None:
    async with server() as there:
        client = Client(there.url)
        await client.link.start()
        there.answers = [503] * 9
        await client.say("close 1011")
        await asyncio.sleep(0.5)
        await client.link.aclose()
        await client.link.aclose()
        before = len(there.handshakes)
        await asyncio.sleep(30)
        assert len(there.handshakes) == before
        assert client.failures == []


@virtual_time
async def test_closing_before_it_was_started_is_harmless() -> None:
    await Client("ws://127.0.0.1:1").link.aclose()


@virtual_time
async def test_a_socket_that_does_not_close_is_left_alone() -> None:
    class Stubborn(AbstractAsyncContextManager[ClientConnection]):
        async def __aenter__(self) -> ClientConnection:
            return await websocket(there.url, {})

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(60)

    async with server() as there:
        client = Client(there.url, opening=Stubborn)
        await client.link.start()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.link.aclose()
        assert loop.time() - began == pytest.approx(CLOSE_SECONDS, abs=0.1)
        await asyncio.sleep(61)


@virtual_time
async def test_a_socket_that_swallows_its_cancellation_does_not_open_another() -> None:
    async with server() as there:

        async def deaf(socket: ClientConnection) -> None:
            try:
                await socket.recv()
            except asyncio.CancelledError:
                raise OSError("cancelled, I suppose") from None

        client = Client(there.url, serving=deaf)
        await client.link.start()
        await client.link.aclose()
        await asyncio.sleep(10)
        assert len(there.handshakes) == 1
        assert client.failures == []


@virtual_time
async def test_something_cancelled_inside_is_a_loss_and_not_the_end() -> None:
    async with server() as there:
        waits_for: list[asyncio.Future[None]] = []

        async def serving(_: ClientConnection) -> None:
            waits_for.append(asyncio.get_running_loop().create_future())
            await waits_for[-1]

        client = Client(there.url, serving=serving)
        await client.link.start()
        waits_for[0].cancel()
        await asyncio.sleep(0.1)
        assert len(client.losses) == 1
        assert len(waits_for) == 2
        await client.link.aclose()


@virtual_time
async def test_errors_of_a_group_of_tasks_are_told_by_the_first_of_them() -> None:
    async with server() as there:

        async def serving(socket: ClientConnection) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(60))
                tasks.create_task(Client.serve(client, socket))
                await asyncio.sleep(0.1)
                raise ProviderRefusedError("acme", "no credit", 402)

        client = Client(there.url, serving=serving)
        await client.link.start()
        await client.has_failed.wait()
        assert [failure.status for failure in client.failures] == [402]
        await client.link.aclose()


@virtual_time
async def test_a_fault_of_ours_is_told_as_a_loss_and_hides_what_was_said() -> None:
    async with server() as there:

        def fault(error: BaseException) -> ProviderError:
            raise KeyError("my name is Miller") from error

        failures: list[ProviderError] = []
        serving = asyncio.Event()

        async def serve_once(socket: ClientConnection) -> None:
            serving.set()
            await socket.wait_closed()
            raise ValueError

        link: Link[ClientConnection] = Link(
            "acme", lambda: websocket(there.url, {}), serve_once, fault, failures.append
        )
        await link.start()
        await there.connections[0].close()
        await asyncio.sleep(0.1)
        assert [str(failure) for failure in failures] == ["acme: failed here: KeyError"]
        await link.aclose()

        there.answers = [503]
        with pytest.raises(ProviderLostError, match="failed here: KeyError"):
            await Link(
                "acme", lambda: websocket(there.url, {}), serve_once, fault, failures.append
            ).start()


@virtual_time
async def test_how_long_a_socket_was_up_leaves_out_how_long_it_took_to_close() -> None:
    class SlowToClose(AbstractAsyncContextManager[ClientConnection]):
        async def __aenter__(self) -> ClientConnection:
            self.socket = await websocket(there.url, {})
            return self.socket

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(6)
            await self.socket.close()

    async with server() as there:

        async def dies(_: ClientConnection) -> None:
            raise OSError

        client = Client(there.url, opening=SlowToClose, serving=dies)
        await client.link.start()
        await client.has_failed.wait()
        assert len(there.handshakes) == 6
        await client.link.aclose()


@virtual_time
async def test_a_first_connection_has_a_limit_for_all_of_its_tries() -> None:
    @asynccontextmanager
    async def black_hole() -> AsyncIterator[object]:
        await asyncio.sleep(3600)
        yield object()

    async def never(_: object) -> None:
        raise AssertionError

    failed: list[ProviderError] = []
    link = Link("p", black_hole, never, lambda error: ProviderError("p", str(error)), failed.append)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(ProviderLostError, match="within 9 s"):
        await link.start()
    assert loop.time() - began == pytest.approx(9.0)
    assert failed == []
