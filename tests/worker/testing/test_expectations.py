import re
from collections.abc import Callable

import pytest

from worker.testing import ExpectationError, Reply, ToolUse
from worker.testing.expectations import Expectations

BOOKED = ToolUse("book", {"people": 4, "day": "friday"}, "Booked.", "ok")
REFUSED = ToolUse("book", {"people": 40}, "Invalid parameters.", "invalid")
GREETING = Reply("(the call begins)", "Good evening.", "Clinic")
REPLY = Reply(
    'Caller: "four of us"', "Your table  is\nbooked.", "Clinic", "main", tools=(REFUSED, BOOKED)
)


class Seen(Expectations):
    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)


SEEN = Seen(GREETING, REPLY)


def test_what_is_as_expected_passes() -> None:
    SEEN.expect_said("your TABLE is booked", re.compile(r"^Your"))
    assert SEEN.expect_tool("book", people=4) is BOOKED
    SEEN.expect_no_tool("cancel")
    SEEN.expect_stage("main")
    SEEN.expect_agent("Clinic")
    Seen(Reply("x", "", "Clinic")).expect_silence()
    Seen(Reply("x", "", "Clinic")).expect_no_tool()
    Seen(Reply("x", "", "Clinic", hung_up=True)).expect_hung_up()
    Seen(Reply("x", "", "Clinic", transferred_to="manager")).expect_transferred("manager")


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        (lambda: SEEN.expect_said("sorry"), 'the agent to say "sorry", but it said "Your table'),
        (lambda: SEEN.expect_said(re.compile("^no")), "to say something like '^no', but it said"),
        (SEEN.expect_silence, "the agent to say nothing, but it said"),
        (lambda: SEEN.expect_tool("cancel"), "tool call cancel(), but the tools called were: book"),
        (lambda: SEEN.expect_tool("book", people=5), "book(people=5), but it was book(people=40)"),
        (lambda: SEEN.expect_tool("book", people=40), "to work, but it came to invalid"),
        (SEEN.expect_no_tool, "no call of a tool, but there was book(people=40)"),
        (lambda: SEEN.expect_stage("end"), "the stage 'end', but it is 'main'"),
        (lambda: SEEN.expect_agent("Billing"), "Billing to have the call, but it is Clinic"),
        (SEEN.expect_hung_up, "the agent to hang up, but it did not"),
        (lambda: SEEN.expect_transferred("x"), "a transfer to 'x', but there was none"),
    ],
)
def test_what_is_not_is_said_with_what_there_was(
    expect: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(ExpectationError, match=re.escape(sentence)) as info:
        expect()
    assert isinstance(info.value, AssertionError)
    assert 'Clinic: "Good evening."' in str(info.value)
    assert "tool book(people=4, day='friday') -> ok: Booked." in str(info.value)
