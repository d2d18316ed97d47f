from hypothesis import given
from hypothesis import strategies as st

from worker.tools.docstring import parse


def test_a_plain_text_is_all_description() -> None:
    told = parse("Book a table.\n\n    Only: when the caller\n    has confirmed.\n")
    assert told.text == "Book a table.\n\nOnly: when the caller has confirmed."
    assert told.parameters == {}


def test_arguments_may_be_followed_by_more_text() -> None:
    told = parse(
        """Book.

        Args:
            people (int, optional): How many.
            name: Whose name,
              in full: first and last.

        Never without being asked.
        """
    )
    assert told.text == "Book.\n\nNever without being asked."
    assert told.parameters == {
        "people": "How many.",
        "name": "Whose name, in full: first and last.",
    }


def test_examples_and_notes_are_kept() -> None:
    told = parse("Book.\n\nNote:\n    Not on Mondays.\n\nRaises:\n    ValueError: never.")
    assert told.text == "Book.\n\nNote: Not on Mondays."


@given(st.text())
def test_any_text_is_a_docstring(text: str) -> None:
    parse(text)


@given(st.lists(st.sampled_from(["Args:", "  x: y", "    z", ":param a: b", "", "Returns:", "t"])))
def test_any_order_of_lines_is_a_docstring(lines: list[str]) -> None:
    parse("\n".join(lines))
