"""A company's own lists of numbers hold for the transfers of its calls, and of no others."""

from dataclasses import replace
from typing import cast

import pytest

from gateway.calls.answers import IncomingCall, PlacedFor
from gateway.calls.registry import Calls
from gateway.calls.rules import CallRules
from gateway.dialer.company_rules import rules_by_company
from gateway.dialer.numbers import NumberRules
from gateway.farm.farm import Farm
from gateway.store.companies import Companies
from gateway.store.company import CompanyChange
from gateway.store.secrets import Secrets
from gateway.store.store import Store
from shared import messages
from tests.gateway.calls.actors import RULES, SID, FakeFarm, incoming
from tests.gateway.store.conftest import database, store

__all__ = ["database", "store"]

THEIRS, FREE, DENIED = "AC" + "7" * 32, "+498912345678", "+493012345678"


async def companies(store: Store) -> Companies:
    """Return companies of which the first denies Berlin."""
    kept = Companies(store, Secrets(["a key"]))
    for number, settings in ((1, {"dial_deny": ["+4930"]}), (2, {"dial_allow": ["+49"]})):
        change = CompanyChange(name="x", settings=settings)
        if number == 1:
            change.account_sid, change.auth_token = THEIRS, "token"
        await kept.create(change, number)
    return kept


def placed(company: int | None) -> IncomingCall:
    """Return a call that was placed for a company."""
    return replace(incoming(), placed=PlacedFor("d1", "", "go-on", {}, 60, company))


@pytest.mark.parametrize(
    ("it", "outcome"),
    [
        (incoming(), None),
        (replace(incoming(), account_sid=THEIRS), "destination"),
        (placed(None), None),
        (placed(1), "destination"),
        (placed(2), None),
    ],
)
async def test_an_agent_transfers_to_whom_its_company_may_call(
    store: Store, it: IncomingCall, outcome: str | None
) -> None:
    kept, farm = await companies(store), FakeFarm()
    calls = Calls(cast("Farm", farm), RULES, 10)
    calls.rules_of = rules_by_company(RULES, kept)
    calls.incoming(it)
    call = calls.get(SID)
    assert call is not None
    for request, to in enumerate(("kitchen", FREE, DENIED)):
        call.frame(messages.encode(messages.TransferWarm(request, to, "Ada is unhappy.")))
    failures = [each for each in farm.workers[-1].heard if isinstance(each, messages.Failure)]
    refused = {each.request: each.code for each in failures if each.code == "destination"}
    assert refused == ({} if outcome is None else {2: outcome})
    call.end("over")
    farm.close()


async def test_lists_are_known_as_soon_as_they_are_saved_and_the_operators_hold_as_well(
    store: Store,
) -> None:
    kept = await companies(store)
    rules: CallRules = replace(RULES, numbers=NumberRules(deny=("+4989",)))
    rules_of = rules_by_company(rules, kept)
    assert rules_of(placed(None)) is rules
    (own,) = rules_of(placed(1)).numbers.also
    assert own.deny == ("+4930",)
    assert rules_of(placed(1)).numbers.deny == ("+4989",)
    await kept.change(1, CompanyChange(settings={}))
    assert rules_of(placed(1)).numbers is rules.numbers


async def test_a_key_that_cannot_be_read_leaves_the_rest_of_a_companys_voice(store: Store) -> None:
    change = CompanyChange(name="x", speech_key="theirs", system_prompt="Be kind.", voice="Mark")
    await Companies(store, Secrets(["old"])).create(change, 1)
    locked = Companies(store, Secrets(["new"]))
    await locked.load()
    told = rules_by_company(RULES, locked)(placed(1)).company
    assert told is not None
    assert told.variables == {"system_prompt": "Be kind.", "voice": "Mark"}
    assert told.voice == messages.VoiceAccount("", "")


async def test_a_company_without_a_key_has_no_account_for_its_voice(store: Store) -> None:
    kept = Companies(store, Secrets(["a key"]))
    await kept.create(CompanyChange(name="x", speech_url="https://theirs.example.com"), 1)
    told = rules_by_company(RULES, kept)(placed(1)).company
    assert told is not None
    assert told.voice is None
