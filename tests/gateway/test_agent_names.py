import keyword
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent_names import name_fault, owner_of


@pytest.mark.parametrize("name", ["receptionist", "front_desk", "agent2", "agents", "docs"])
def test_a_plain_lower_case_name_is_fine(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("front-desk", "front_desk"),
        ("FrontDesk", "front_desk"),
        ("9to5", "agent_9to5"),
        ("class", "agent_class"),
        ("../evil", "evil"),
        ("_x", "x"),
        ("", "agent"),
        ("a.b", "a_b"),
    ],
)
def test_what_is_no_module_name_is_refused_with_a_better_one(name: str, better: str) -> None:
    fault = name_fault(name)
    assert fault is not None
    assert fault.endswith(f"like {better}")


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("json", "the standard library"),
        ("worker", "callfarm"),
        ("gateway", "callfarm"),
        ("twilio", "twilio"),
        ("pydantic_settings", "pydantic-settings"),
    ],
)
def test_a_name_that_hides_a_module_is_refused_and_its_owner_named(name: str, owner: str) -> None:
    assert owner_of(name) == owner
    assert name_fault(name) == f"it would hide the module of {owner}: take a name like {name}_agent"


@given(st.text(max_size=30))
def test_a_name_that_passes_can_be_imported_and_hides_nothing(name: str) -> None:
    if name_fault(name) is None:
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert name not in sys.stdlib_module_names
