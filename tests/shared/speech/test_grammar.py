import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.speech.grammar import GrammarError, read_grammar

HEAD = "#JSGF V1.0;\ngrammar test;\n"


def test_words_and_public_rules_are_found() -> None:
    grammar = read_grammar(
        "#JSGF V1.0 UTF-8 en;\ngrammar shop.order; // a comment; with <a> rule\n"
        "/* and\n another */ <size> = /10/ big | /0.5/ small {tag};\n"
        'public <order> = [a | the] <size> "ice cream" (please)* | o\'clock+;\n'
        "public <other> = <NULL> no;\n"
    )
    assert grammar.name == "shop.order"
    assert grammar.public == ("<order>", "<other>")
    assert " ".join(sorted(grammar.words)) == "a big cream ice no o'clock please small the"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "#JSGF"),
        ("public <a> = b;", 1, "#JSGF"),
        ("#JSGF V1.0;\n\npublic <a> = b;", 1, "grammar NAME"),
        (HEAD + "<a> = b;", 3, "public"),
        (HEAD + "\npublic <a> = b <c>;", 4, "<c>"),
        (HEAD + "public <a> = b", 3, "';'"),
        (HEAD + "public <a> = (b;\n", 3, "never closed"),
        (HEAD + "public <a> = b\n) c;", 4, "closes nothing"),
        (HEAD + "public <a> = [b);", 3, "closes nothing"),
        (HEAD + "public <a> = b\n<c> = d;", 4, "lacks its ';'"),
        (HEAD + "public <a> = ;", 3, "empty"),
        (HEAD + "public <a> = b;\n<a> = c;", 4, "already"),
        (HEAD + "public a = b;", 3, "<name>"),
        (HEAD + "public <a> = b;;", 3, "<name>"),
        (HEAD + "public <a> = b > c;", 3, "'>'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(GrammarError) as caught:
        read_grammar(text)
    assert (caught.value.line, says in str(caught.value)) == (line, True), str(caught.value)


def test_the_way_out_leaves_one_public_rule() -> None:
    grammar = read_grammar(HEAD + "public <a> = b;\n public <c> = public <a>;\n")
    wider = read_grammar(grammar.with_way_out(("x", "y"), 1e-10))
    assert wider.public == ("<callfarm_root>",)
    assert wider.words == {"b", "public", "x", "y"}


@given(st.text(alphabet='ab<>=|()[]{};/*+" \n.1'))
def test_any_text_is_either_a_grammar_or_a_grammar_error(text: str) -> None:
    try:
        grammar = read_grammar(HEAD + text)
    except GrammarError:
        return
    assert grammar.public
