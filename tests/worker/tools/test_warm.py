import json
from typing import Any, ClassVar, get_args

import pytest

from shared.messages import WarmOutcome
from tests.worker.tools.host import Host, calls
from worker.errors import RequestError
from worker.tools import Execution, ToolDeclarationError, WarmTransfer, tools_of
from worker.tools.outcome import Failed, Invalid, Outcome


class Receptionist(Host):
    tools: ClassVar = (WarmTransfer("manager", "sales", ring_s=15, language="de-DE"),)


async def use(agent: Host, **arguments: Any) -> Outcome:
    execution = Execution(agent, tools_of(type(agent)))
    (ran,) = await execution.run(calls(("transfer_warm", json.dumps(arguments))))
    return ran.outcome


async def test_the_human_is_asked_with_the_models_summary() -> None:
    agent = Receptionist()
    outcome = await use(agent, to="manager", summary="Ada is angry.")
    assert outcome.sentence == "manager has taken the call: the caller is connected."
    assert agent.line.asked == [("transfer_warm", "manager", "Ada is angry.", "15", "de-DE")]


@pytest.mark.parametrize("outcome", get_args(WarmOutcome))
async def test_the_model_reads_how_it_went_and_what_to_do(outcome: WarmOutcome) -> None:
    agent = Receptionist()
    agent.line.outcome = outcome
    told = (await use(agent, to="sales", summary="Ada.")).sentence
    assert "sales" in told
    is_back = outcome not in {"accepted", "caller_left"}
    assert ("back on the line" in told) is is_back


@pytest.mark.parametrize(
    "arguments",
    [
        {"to": "+15551234567", "summary": "x"},
        {"to": "manager"},
        {"to": "manager", "summary": ""},
        {"to": "manager", "summary": "x" * 501},
    ],
)
async def test_nobody_else_is_called_and_nobody_without_being_told(
    arguments: dict[str, str],
) -> None:
    agent = Receptionist()
    assert isinstance(await use(agent, **arguments), Invalid)
    assert agent.line.asked == []


async def test_what_the_gateway_refuses_the_model_can_read() -> None:
    agent = Receptionist()
    agent.line.refusal = RequestError("carrier", "this server places no calls")
    outcome = await use(agent, to="manager", summary="Ada.")
    assert isinstance(outcome, Failed)
    assert "this server places no calls" in outcome.sentence


@pytest.mark.parametrize(("names", "ring_s"), [((), 0), (("",), 0), (("manager",), 4)])
def test_a_declaration_that_makes_no_sense_is_refused(names: tuple[str, ...], ring_s: int) -> None:
    with pytest.raises(ToolDeclarationError):
        WarmTransfer(*names, ring_s=ring_s)


def test_the_model_is_told_who_there_is_and_in_which_language() -> None:
    (spec,) = tools_of(Receptionist).specs
    assert "manager or sales" in spec.description
    assert "de-DE" in json.dumps(spec.parameters)
