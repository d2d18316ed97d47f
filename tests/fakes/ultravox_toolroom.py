"""Where a call of the fake Ultravox has its tools run, and waits for what they come to."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

from aiohttp import ClientSession

from tests.fakes.openai_chat import Wants
from tests.fakes.ultravox_calls import FakeCall
from tests.fakes.ultravox_tools import TIMED_OUT, Outcome, call_http, timeout_of

Corpora = Mapping[str, list[dict[str, Any]]]

_LONGEST_S = 40.0
_FAILED = "The tool failed."
_NO_SUCH = "There is no such tool."
_numbers = count(1)


class ToolRoom:
    """Runs the tools of one call: by HTTP, by the client, or those that the service has.

    ``invoke`` tells the client that a tool is wanted.
    """

    def __init__(
        self,
        call: FakeCall,
        http: ClientSession,
        corpora: Corpora,
        invoke: Callable[[str, Wants], Awaitable[None]],
    ) -> None:
        self._call, self._http, self._corpora, self._invoke = call, http, corpora, invoke
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    async def run_all(self, wanted: list[Wants]) -> list[Outcome]:
        """Run what the model wants in one step."""
        calls = [(f"inv_{next(_numbers)}", it) for it in wanted]
        for invocation, it in calls:
            self._call.say("TOOL_CALL", it.text(), invocationId=invocation, toolName=it.name)
        done = list(await asyncio.gather(*(self._run(*call) for call in calls)))
        for (invocation, it), outcome in zip(calls, done, strict=True):
            extra = {"errorDetails": outcome.error} if outcome.error else {}
            self._call.say(
                "TOOL_RESULT", outcome.text, invocationId=invocation, toolName=it.name, **extra
            )
        return done

    async def _run(self, invocation: str, wants: Wants) -> Outcome:
        selected = self._call.tools.get(wants.name, {"temporaryTool": {"client": {}}})
        arguments, overrides = json.loads(wants.text()), selected.get("parameterOverrides", {})
        tool = selected.get("temporaryTool")
        if tool is None:
            return self._built_in(selected.get("toolName"), {**arguments, **overrides})
        if "http" in tool:
            outcome = await call_http(self._http, tool, arguments, _known(self._call), overrides)
        else:
            outcome = await self._by_client(invocation, wants, timeout_of(tool))
        is_stage = outcome.response_type == "new-stage"
        return self._call.new_stage(outcome) if is_stage else outcome

    async def _by_client(self, invocation: str, wants: Wants, seconds: float) -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[invocation] = done
        try:
            async with asyncio.timeout(min(seconds, _LONGEST_S)):
                await self._invoke(invocation, wants)
                return await done
        except TimeoutError:
            return TIMED_OUT
        finally:
            del self._waiting[invocation]

    def returned(self, message: Mapping[str, Any]) -> str:
        """Take a ``client_tool_result``; return what is wrong with it, if anything is."""
        if message.get("errorType") not in (None, "undefined", "implementation-error"):
            return "unknown errorType"
        if message.get("responseType", "tool-response") not in _RESPONSES:
            return "unknown responseType"
        waiting = self._waiting.get(message["invocationId"])
        if waiting is None or waiting.done():
            return "nobody waits for this tool"
        if message.get("errorType"):
            text = _NO_SUCH if message["errorType"] == "undefined" else _FAILED
            waiting.set_result(Outcome(text, error=message.get("errorMessage") or "unknown"))
        else:
            kind = message.get("responseType", "tool-response")
            reaction = message.get("agentReaction", "")
            waiting.set_result(Outcome(message.get("result", ""), kind, reaction))
        return ""

    def forced_fault(self, message: Mapping[str, Any]) -> str:
        """Return what is wrong with a ``forced_agent_message``, if anything is."""
        for call in message.get("toolCalls", ()):
            if set(call) - {"id", "name", "arguments"} or call.get("name") not in self._call.tools:
                return "forced call of no tool"
        for result in message.get("knownToolResults", ()):
            if result.get("responseType", "tool-response") not in _RESPONSES:
                return "unknown responseType"
        return ""

    def known(
        self, call: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
    ) -> Outcome | None:
        """Return the result of a forced call that came with it, ``None`` if none did."""
        for it in results:
            if it["invocationId"] == call.get("id"):
                reaction = it.get("agentReaction", "")
                outcome = Outcome(it["result"], it.get("responseType", ""), reaction)
                if outcome.response_type == "new-stage":
                    outcome = self._call.new_stage(outcome)
                name, invocation = call["name"], call["id"]
                text = json.dumps(call.get("arguments", {}))
                self._call.say("TOOL_CALL", text, invocationId=invocation, toolName=name)
                self._call.say("TOOL_RESULT", outcome.text, invocationId=invocation, toolName=name)
                return outcome
        return None

    def _built_in(self, name: str | None, arguments: Mapping[str, Any]) -> Outcome:
        if name == "hangUp":
            return Outcome("", "hang-up")
        if name == "queryCorpus":
            found = self._corpora.get(arguments.get("corpus_id", ""), [])
            found = found[: arguments.get("max_results", 5)]
            least = arguments.get("minimum_score", 0)
            return Outcome("\n".join(it["content"] for it in found if it["score"] >= least))
        return Outcome(_NO_SUCH, error="undefined")


_RESPONSES = ("tool-response", "hang-up", "new-stage")


def _known(call: FakeCall) -> dict[str, Any]:
    return {
        "KNOWN_PARAM_CALL_ID": call.id,
        "KNOWN_PARAM_CONVERSATION_HISTORY": call.messages,
        "KNOWN_PARAM_OUTPUT_SAMPLE_RATE": call.medium.get("outputSampleRate", 8000),
        "KNOWN_PARAM_CALL_STATE": {},
        "KNOWN_PARAM_CALL_STAGE_ID": call.stages[-1]["id"],
        "KNOWN_PARAM_CALL_METADATA": call.body.get("metadata", {}),
        "KNOWN_PARAM_THREAD_ID": "UI",
        "KNOWN_PARAM_THREAD_STATES": {},
    }
