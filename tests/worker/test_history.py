"""What the model is told of a call: in order, as heard, and every call of a tool answered once."""

from hypothesis import given
from hypothesis import strategies as st

from worker.history import CUT, MOST_LINES, History
from worker.llm import Call, Returned, Said


def _call(ref: str) -> Call:
    return Call(ref, "book", "{}")


def test_lines_come_in_order_and_are_replaced_by_what_was_heard() -> None:
    history = History()
    history.caller("a table")
    key = history.agent("For how many people?")
    history.system("It is raining.")
    history.heard(key, "For how")
    assert history.items == (
        Said("user", "a table"),
        Said("assistant", "For how"),
        Said("system", "It is raining."),
    )
    assert history.messages()[1] == {"role": "assistant", "content": "For how"}


def test_a_line_of_which_nothing_was_heard_is_left_out() -> None:
    history = History()
    history.caller("hello")
    history.heard(history.agent("Good morning"), "")
    assert history.items == (Said("user", "hello"),)
    assert history.messages() == [{"role": "user", "content": "hello"}]


def test_a_call_that_nobody_has_answered_is_answered_as_cut_off() -> None:
    history = History()
    history.called(history.agent(""), (_call("a"), _call("b")))
    history.returned("b", "")
    history.caller("and?")
    assert history.items[1:] == (Returned("a", CUT), Returned("b", ""), Said("user", "and?"))


def test_an_answer_that_comes_late_stands_behind_its_call() -> None:
    history = History()
    history.called(history.agent("One moment."), (_call("a"),))
    history.returned("a", "book is still running; its result will follow.")
    history.caller("hello?")
    history.returned("a", "Booked.")
    assert history.items[1] == Returned("a", "Booked.")


def test_answers_of_calls_that_are_forgotten_or_unknown_are_dropped() -> None:
    history = History()
    history.called(history.agent(""), (_call("a"),))
    history.trim(0)
    history.returned("a", "Booked.")
    history.returned("never called", "Booked.")
    assert history.items == ()
    assert len(history) == 0


def test_ids_that_a_server_uses_again_are_told_apart() -> None:
    history = History()
    first = history.unique([_call("call_0"), _call("call_0"), _call("")])
    history.called(history.agent(""), first)
    second = history.unique([_call("call_0"), _call("fresh")])
    history.called(history.agent(""), second)
    ids = [each.id for each in (*first, *second)]
    assert len(set(ids)) == len(ids) == 5
    assert (ids[0], ids[-1]) == ("call_0", "fresh")
    for ref in ids:
        history.returned(ref, f"answer of {ref}")
    told = {it.call_id: it.text for it in history.items if isinstance(it, Returned)}
    assert told == {ref: f"answer of {ref}" for ref in ids}


def test_the_oldest_lines_go_and_a_key_of_theirs_harms_nothing() -> None:
    history = History()
    key = history.caller("first")
    for number in range(MOST_LINES):
        history.caller(str(number))
    history.heard(key, "changed")
    history.called(key, (_call("a"),))
    assert key not in history
    assert len(history) == MOST_LINES
    assert history.items[0] == Said("user", "0")


_WORDS = st.sampled_from(["", "yes", "two of us"])
_IDS = st.sampled_from(["a", "b", "c", ""])
_ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("caller"), _WORDS),
        st.tuples(st.just("agent"), _WORDS, st.lists(_IDS, max_size=3)),
        st.tuples(st.just("heard"), st.integers(0, 20), _WORDS),
        st.tuples(st.just("returned"), st.integers(0, 20), _WORDS),
        st.tuples(st.just("trim"), st.integers(0, 4)),
    ),
    max_size=40,
)


@given(_ACTS)
def test_whatever_happens_each_call_is_followed_by_one_answer_and_no_answer_stands_alone(
    acts: list[tuple[object, ...]],
) -> None:
    history = History()
    called: list[str] = []
    for act in acts:
        match act:
            case ("caller", str(words)):
                history.caller(words)
            case ("agent", str(words), list(ids)):
                calls = history.unique([_call(ref) for ref in ids])
                called += [each.id for each in calls]
                history.called(history.agent(words), calls)
            case ("heard", int(key), str(words)):
                history.heard(key, words)
            case ("returned", int(number), str(words)) if called:
                history.returned(called[number % len(called)], words)
            case ("trim", int(most)):
                history.trim(most)
                assert len(history) <= most
    expected: list[str] = []
    for item in history.items:
        if isinstance(item, Said):
            assert expected == []
            assert item.text or item.calls
            expected = [each.id for each in item.calls]
        else:
            assert item.call_id == expected.pop(0)
    assert expected == []


def test_what_is_said_beside_tools_is_told_with_their_calls_as_long_as_it_would_come_last() -> None:
    history = History()
    history.caller("be quick")
    history.called(history.agent("One moment."), (_call("a"),))
    history.agent("Let me see.")
    history.agent("To sum up.")
    history.returned("a", "ok")
    assert history.items[1:] == (
        Said("assistant", "One moment. Let me see. To sum up.", (_call("a"),)),
        Returned("a", "ok"),
    )
    history.caller("well?")
    assert [getattr(item, "text", None) for item in history.items[1:]] == [
        *("One moment.", "ok", "Let me see.", "To sum up.", "well?"),
    ]


def test_last_words_that_follow_no_call_stay_where_they_are() -> None:
    history = History()
    history.caller("hello")
    history.agent("Hello.")
    history.agent("Still there?")
    assert [item.text for item in history.items] == ["hello", "Hello.", "Still there?"]
