import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.knowledge import (
    PASSAGE_CHARS,
    STOP_WORDS,
    Knowledge,
    KnowledgeError,
    Passage,
    build,
    knowledge_in,
    match,
    split,
)

MENU = """\
Welcome to our menu.

# Menu

We change it weekly.

## Desserts

Lemon tart, eight euros. Vanilla ice cream, six.

### Gluten ###
None in the ice cream.

## Fish
Grilled sea bass with fennel.
```
# not a heading
```
#neither
"""

HOUSE = """\
Parking
Two car parks are next to the café; the first hour is free.

We have wheelchair access and a crèche.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "menu.md").write_text(MENU, encoding="utf-8")
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "arriving.md").write_text("\ufeff" + HOUSE, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("The lobster is only for friends.")
    return tmp_path


@pytest.fixture
def knowledge(folder: Path) -> Knowledge:
    return build(folder)


def test_a_text_is_split_at_its_headings() -> None:
    assert [(each.title, each.text) for each in split(MENU, "food/menu.md")] == [
        ("menu", "Welcome to our menu."),
        ("Menu", "We change it weekly."),
        ("Menu > Desserts", "Lemon tart, eight euros. Vanilla ice cream, six."),
        ("Menu > Desserts > Gluten", "None in the ice cream."),
        ("Menu > Fish", "Grilled sea bass with fennel.\n```\n# not a heading\n```\n#neither"),
    ]


def test_headings_that_leave_out_a_level_are_no_trouble() -> None:
    told = [each.title for each in split("### Deep\na\n# Top\nb\n### Low\nc\n## Mid\nd", "x.md")]
    assert told == ["Deep", "Top", "Top > Low", "Top > Mid"]


@given(st.lists(st.sampled_from(["# A", "## B", "word " * 80, "```", "x" * 2000, "", "a. b"])))
def test_passages_are_bounded_and_lose_no_word(lines: list[str]) -> None:
    text = "\n".join(lines)
    passages = list(split(text, "x.md"))
    assert all(0 < len(each.text) <= PASSAGE_CHARS for each in passages)
    kept = "".join("".join(each.text.split()) for each in passages)
    assert kept.count("w") == text.count("w")
    assert kept.count("x") == text.count("x")


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What do you have for dessert?", "Menu > Desserts"),
        ("is there gluten in it", "Menu > Desserts > Gluten"),
        ("grilling fish", "Menu > Fish"),
        ("where can I park", "arriving"),
        ("Is the CAFE accessible by wheelchairs?", "arriving"),
        ("vanil", "Menu > Desserts"),
    ],
)
def test_the_best_passage_comes_first(knowledge: Knowledge, question: str, title: str) -> None:
    assert knowledge.search(question)[0].title == title


def test_a_passage_has_its_source_and_its_text(knowledge: Knowledge) -> None:
    assert knowledge.search("crèche", 1) == [
        Passage("house/arriving.md", "arriving", HOUSE.strip())
    ]


def test_no_more_passages_are_returned_than_wanted(knowledge: Knowledge) -> None:
    assert len(knowledge.search("ice cream menu fish parking", 2)) == 2


def test_what_is_nowhere_is_not_found(knowledge: Knowledge) -> None:
    assert knowledge.search("helicopter") == []
    assert knowledge.search("lobster") == []


@pytest.mark.parametrize("question", ["", "  ", "?!", "_", '"', "()", "\x00"])
def test_a_question_without_words_finds_nothing(knowledge: Knowledge, question: str) -> None:
    assert knowledge.search(question) == []


@pytest.mark.parametrize(
    "question",
    [
        'tart"',
        "tart AND",
        "NEAR(tart",
        "tart*",
        "title: tart",
        "-tart",
        "{tart}",
        "tart ^",
        "'tart;",
    ],
)
def test_query_syntax_is_only_text(knowledge: Knowledge, question: str) -> None:
    assert "Lemon tart" in knowledge.search(question)[0].text


_KNOWLEDGE: list[Knowledge] = []


@given(st.text(st.characters(), max_size=300) | st.text('"*():^-+{}ANDORNEAT ', max_size=40))
def test_no_question_raises(tmp_path_factory: pytest.TempPathFactory, question: str) -> None:
    if not _KNOWLEDGE:
        folder = tmp_path_factory.mktemp("knowledge")
        (folder / "menu.md").write_text(MENU)
        _KNOWLEDGE.append(build(folder))
    assert len(_KNOWLEDGE[0].search(question, 3)) <= 3


def test_a_question_of_a_thousand_words_is_cut() -> None:
    assert match(" ".join(f"word{n}" for n in range(1000))).count(" OR ") < 30
    assert len(match("x" * 10_000)) < 100


def test_words_that_say_nothing_count_only_when_there_are_no_others() -> None:
    assert match("What is the wine?") == '"wine"*'
    assert match("Who are you?") == '"who" OR "are" OR "you"*'
    assert "wine" not in STOP_WORDS


def test_a_missing_folder_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="none is no folder: put Markdown files there"):
        build(tmp_path / "none")


@pytest.mark.parametrize("text", [None, "", "\n\n", "# Only\n## Headings\n"])
def test_a_folder_without_text_is_said(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "notes.txt").write_text("not this one")
    if text is not None:
        (tmp_path / "empty.md").write_text(text)
    with pytest.raises(KnowledgeError, match=r"holds no text in \*.md files"):
        build(tmp_path)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_bytes("Crème brûlée".encode("latin-1"))
    with pytest.raises(KnowledgeError, match=r"old\.md is not UTF-8: save it as UTF-8"):
        build(tmp_path)


def test_a_folder_is_read_once(folder: Path) -> None:
    first = knowledge_in(folder)
    (folder / "menu.md").unlink()
    assert knowledge_in(folder) is first


def test_a_fork_searches_what_its_template_has_read(folder: Path) -> None:
    knowledge = build(folder)
    open_before = set(Path("/proc/self/fd").iterdir())
    assert knowledge.search("dessert")
    assert set(Path("/proc/self/fd").iterdir()) == open_before
    for path in folder.rglob("*.md"):
        path.unlink()
    child = os.fork()
    if child == 0:
        found = knowledge.search("dessert")
        os._exit(0 if found and found[0].title == "Menu > Desserts" else 1)
    assert os.waitpid(child, 0)[1] == 0
