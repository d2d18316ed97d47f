"""Names of events as people choose among them: what can be meant is taken, all else is refused."""

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.campaigns.moves import EVENTS
from shared.event_names import GATEWAYS, EventNameError, event_names
from shared.settings.types import EventNames

SETTING: TypeAdapter[tuple[str, ...]] = TypeAdapter(EventNames)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("call.ended, booking ,", ("call.ended", "booking")),
        ("call.*,*", ("call.*", "*")),
        ("call-back_2", ("call-back_2",)),
    ],
)
def test_several_stand_between_commas(text: str, names: tuple[str, ...]) -> None:
    assert SETTING.validate_python(text) == names


@pytest.mark.parametrize(
    "text", ["call ended", "call", "call.end", "booking.*", "call.ended booking", "2nd", "a.b"]
)
def test_what_no_event_is_called_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ValidationError, match=r"call\.started, call\.ended"):
        SETTING.validate_python(text)


def test_the_gateways_own_are_all_known() -> None:
    assert event_names(GATEWAYS) == GATEWAYS
    assert set(EVENTS.values()) == {name for name in GATEWAYS if name.startswith("campaign.")}
    with pytest.raises(EventNameError) as caught:
        event_names(["x y"])
    assert caught.value.name == "x y"
