"""Where a service calls the tools of a call whose media it holds."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from gateway.calls import tool_calls
from gateway.tool_door import MOST_BODY
from shared import messages
from tests.gateway.calls.actors import SID, Worker
from tests.gateway.webhook_desk import Desk, desk
from tests.harness import eventually


class Door:
    """A direct call at the gateway, and its service."""

    def __init__(self) -> None:
        self.desk: Desk = desk()
        self.desk.farm.direct = True

    async def open(self) -> None:
        """Have a call begin, and its caller joined to the service."""
        webhook = asyncio.ensure_future(self.desk.signed("/twilio/voice"))
        await eventually(lambda: self.desk.farm.workers)
        metadata = self.worker.heard[1]
        assert isinstance(metadata, messages.Metadata)
        assert metadata.tools_url.startswith("https://example.com/ultravox/tools/")
        self.path = metadata.tools_url.removeprefix("https://example.com")
        self.says(messages.Join("wss://voice.test/1?a=b&c=<d>", "ultravox", stays=True))
        self.document = (await webhook).text

    @property
    def worker(self) -> Worker:
        """The call's process."""
        return self.desk.farm.workers[0]

    def says(self, command: messages.Command) -> None:
        """The process says something."""
        call = self.desk.calls.get(SID)
        assert call is not None
        call.frame(messages.encode(command))

    async def tool(self, name: str = "book", body: Any = b'{"people":4}') -> httpx2.Response:
        """Call a tool, as the service does."""
        return await self.desk.client.post(f"{self.path}/{name}", content=body)

    @property
    def called(self) -> list[messages.ToolCalled]:
        """The tools that the process was asked to run."""
        return [it for it in self.worker.heard if isinstance(it, messages.ToolCalled)]

    async def answered(self, *returned: Any, **more: Any) -> httpx2.Response:
        """Call a tool, and have the process answer so."""
        before = len(self.called)
        asked = asyncio.ensure_future(self.tool())
        await eventually(lambda: len(self.called) > before)
        self.says(messages.ToolReturned(self.called[-1].request, *returned, **more))
        return await asked


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    await made.open()
    yield made
    call = made.desk.calls.get(SID)
    if call is not None:
        call.end("done")
    if call is None or call.process is not None:
        made.worker.exit()


async def test_the_webhook_joins_the_service_under_its_name_and_escaped(door: Door) -> None:
    assert '<Stream name="ultravox"' in door.document
    assert 'url="wss://voice.test/1?a=b&amp;c=&lt;d&gt;"' in door.document
    assert "https://example.com/twilio/next" in door.document


async def test_a_tool_is_run_by_the_process_and_its_answer_is_spoken_of(door: Door) -> None:
    answer = await door.answered("booked", reaction="speaks")
    assert [(it.name, it.arguments) for it in door.called] == [("book", '{"people":4}')]
    assert (answer.status_code, answer.text) == (200, "booked")
    assert answer.headers["x-ultravox-agent-reaction"] == "speaks"
    assert "x-ultravox-response-type" not in answer.headers


async def test_a_tool_that_moves_the_conversation_on_answers_with_the_stage(door: Door) -> None:
    body = '{"systemPrompt": "New."}'
    answer = await door.answered("moved", kind="new-stage", body=body, reaction="speaks")
    assert answer.json() == {"systemPrompt": "New."}
    assert answer.headers["x-ultravox-response-type"] == "new-stage"


async def test_a_tool_that_ends_the_call_says_so(door: Door) -> None:
    answer = await door.answered("bye", kind="hang-up")
    assert answer.headers["x-ultravox-response-type"] == "hang-up"
    assert "x-ultravox-agent-reaction" not in answer.headers


async def test_without_arguments_a_tool_gets_none(door: Door) -> None:
    asked = asyncio.ensure_future(door.tool(body=b""))
    await eventually(lambda: door.called)
    assert door.called[0].arguments == "{}"
    door.says(messages.ToolReturned(1, "ok"))
    assert (await asked).status_code == 200


async def test_tools_answer_in_any_order(door: Door) -> None:
    first, second = (asyncio.ensure_future(door.tool(name)) for name in ("a", "b"))
    await eventually(lambda: len(door.called) == 2)
    numbers = {it.name: it.request for it in door.called}
    door.says(messages.ToolReturned(numbers["b"], "B"))
    door.says(messages.ToolReturned(numbers["b"], "again"))
    door.says(messages.ToolReturned(99, "nobody asked"))
    door.says(messages.ToolReturned(numbers["a"], "A"))
    assert [(await it).text for it in (first, second)] == ["A", "B"]


@pytest.mark.parametrize("path", ["/ultravox/tools/x/book", "/ultravox/tools/%00/book"])
async def test_without_the_calls_token_there_is_nothing(door: Door, path: str) -> None:
    answer = await door.desk.client.post(path, content=b"{}")
    assert answer.status_code == 404
    assert not door.called


async def test_a_name_that_is_none_reaches_nobody(door: Door) -> None:
    assert (await door.tool("x" * 65)).status_code == 404
    assert (await door.desk.client.get(f"{door.path}/book")).status_code == 405
    assert not door.called


async def test_arguments_have_a_size_and_are_text(door: Door) -> None:
    assert (await door.tool(body=b" " * (MOST_BODY + 1))).status_code == 413
    assert (await door.tool(body=b"\xff\xfe")).status_code == 400
    assert not door.called


async def test_an_answer_that_does_not_come_is_a_gateway_time_out(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_calls, "ANSWER_SECONDS", 0.05)
    answer = await door.tool()
    assert (answer.status_code, answer.text) == (504, "The tool did not answer in time.")


async def test_a_process_that_dies_in_a_tool_is_answered_for(door: Door) -> None:
    asked = asyncio.ensure_future(door.tool())
    await eventually(lambda: door.called)
    door.worker.exit(None, 9)
    assert (await asked).status_code == 500
    assert (await door.tool()).text == "The tool cannot be run any more."


async def test_a_call_that_ends_in_a_tool_is_answered_and_its_token_is_worth_nothing(
    door: Door,
) -> None:
    asked = asyncio.ensure_future(door.tool())
    await eventually(lambda: door.called)
    call = door.desk.calls.get(SID)
    assert call is not None
    call.end("done")
    assert (await asked).status_code == 500
    assert (await door.tool()).status_code == 404


async def test_tools_of_one_call_are_limited(door: Door) -> None:
    asked = [asyncio.ensure_future(door.tool()) for _ in range(tool_calls.MOST_OPEN)]
    await eventually(lambda: len(door.called) == tool_calls.MOST_OPEN)
    assert (await door.tool()).status_code == 429
    for it in door.called:
        door.says(messages.ToolReturned(it.request, "ok"))
    assert {(await it).status_code for it in asked} == {200}
