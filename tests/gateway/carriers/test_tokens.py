"""A token opens one call's audio once, for a short while."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.tokens import MediaToken, TokenBook, TokenBookFullError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def book(clock: Clock, limit: int = 10) -> TokenBook:
    return TokenBook(clock, lifetime_s=30.0, limit=limit)


def test_a_token_is_bound_to_its_call_and_spent_once() -> None:
    tokens = book(Clock())
    token = tokens.issue("CA1", "AC1")
    assert tokens.peek(token) == MediaToken("CA1", "AC1", 130.0)
    assert tokens.spend(token) == MediaToken("CA1", "AC1", 130.0)
    assert tokens.spend(token) is None
    assert tokens.peek(token) is None


def test_peeking_spends_nothing() -> None:
    tokens = book(Clock())
    token = tokens.issue("CA1", "AC1")
    assert [tokens.peek(token) is not None for _ in range(3)] == [True] * 3


def test_a_token_expires() -> None:
    clock = Clock()
    tokens = book(clock)
    token = tokens.issue("CA1", "AC1")
    clock.now += 29.9
    assert tokens.peek(token) is not None
    clock.now += 0.1
    assert tokens.spend(token) is None
    assert len(tokens) == 0


def test_tokens_differ_and_fit_into_a_path() -> None:
    tokens = book(Clock(), limit=1_000)
    issued = {tokens.issue("CA1", "AC1") for _ in range(1_000)}
    assert len(issued) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in issued)


def test_a_full_book_refuses_and_has_room_again_when_tokens_expire() -> None:
    clock = Clock()
    tokens = book(clock, limit=2)
    tokens.issue("CA1", "AC1")
    clock.now += 10
    tokens.issue("CA2", "AC1")
    with pytest.raises(TokenBookFullError, match="2 media tokens"):
        tokens.issue("CA3", "AC1")
    clock.now += 20
    assert tokens.issue("CA3", "AC1")


def test_the_tokens_of_a_call_that_ended_are_forgotten() -> None:
    tokens = book(Clock())
    first, second, other = (tokens.issue(sid, "AC1") for sid in ("CA1", "CA1", "CA2"))
    tokens.revoke("CA1")
    assert [tokens.peek(it) is None for it in (first, second, other)] == [True, True, False]


@given(st.text(max_size=100))
def test_an_unknown_token_opens_nothing(text: str) -> None:
    tokens = book(Clock())
    tokens.issue("CA1", "AC1")
    assert tokens.peek(text) is None
    assert tokens.spend(text + "\ud800") is None
    assert len(tokens) == 1
