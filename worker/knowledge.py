"""What an agent can look up: Markdown files, indexed when a release is deployed.

    knowledge/menu.md ──> passages, split at headings ──> SQLite FTS5 in memory ──> bytes

The bytes are built in the template and shared by every fork; a search opens them as a database of
its own and closes it again, so that no handle crosses a fork and nothing is read twice. It knows
neither models nor meaning: words are matched by their stems and ranked by BM25.
"""

import functools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

PASSAGE_CHARS = 900
"""The longest passage, in characters; a longer section becomes several."""

MOST_BYTES = 8_000_000
"""All files of a folder together."""

_WAY = " > "
_MOST_WORDS = 24
_MOST_LETTERS = 48
_SHORTEST_PREFIX = 3

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_WORD = re.compile(r"[^\W_]+")

_SCHEMA = (
    "CREATE VIRTUAL TABLE passages USING fts5(heading, above, text, title UNINDEXED, "
    "source UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2')"
)
_SEARCH = (
    # A word in a passage's own heading weighs three in its text or in the headings above.
    "SELECT source, title, text FROM passages WHERE passages MATCH ? "
    "ORDER BY bm25(passages, 3.0, 1.0, 1.0), rowid LIMIT ?"
)

_STOP_WORDS = (
    "a about an and any are as at be but by can could did do does for from has have how i if in is "
    "it its me my of on or our please s so tell that the their them there they this to up us was "
    "we what when where which who will with would you your"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing of what is looked for. Other languages have BM25 for theirs."""


class KnowledgeError(Exception):
    """There is nothing to look up. ``path`` is the folder or the file that is at fault."""

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        self.path, self.problem, self.fix = path, problem, fix
        super().__init__(path, problem, fix)

    def __str__(self) -> str:
        return f"{self.path} {self.problem}: {self.fix}"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a file: ``source`` is its path in the folder, ``title`` its headings."""

    source: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """An index of ``count`` passages; ``data`` is the database."""

    data: bytes = field(repr=False)
    count: int

    def search(self, question: str, most: int = 4) -> list[Passage]:
        """Return the ``most`` passages that fit ``question`` best, the best one first.

        Any text is a question: none of it is taken for query syntax, and none raises.
        """
        wanted = match(question)
        if not wanted:
            return []
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(self.data)
            rows = connection.execute(_SEARCH, (wanted, most)).fetchall()
        return [Passage(*row) for row in rows]


@functools.cache
def knowledge_in(folder: Path) -> Knowledge:
    """Return the index of an absolute ``folder``, built when it is first asked for.

    Raises `KnowledgeError`.
    """
    return build(folder)


def build(folder: Path) -> Knowledge:
    """Index each ``*.md`` in ``folder`` and below. Raises `KnowledgeError`."""
    if not folder.is_dir():
        raise KnowledgeError(folder, "is no folder", "put Markdown files there, beside the agents")
    files = sorted(path for path in folder.rglob("*.md") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    if size > MOST_BYTES:
        most = MOST_BYTES // 1_000_000
        raise KnowledgeError(folder, f"holds more than {most} MB", "keep to what callers ask for")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(_SCHEMA)
        for path in files:
            rows = [
                (*_headings(passage), passage.text, passage.title, passage.source)
                for passage in split(_text(path), path.relative_to(folder).as_posix())
            ]
            connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", rows)
        (count,) = connection.execute("SELECT count(*) FROM passages").fetchone()
        if not count:
            raise KnowledgeError(
                folder, "holds no text in *.md files", "write some, or leave SearchKnowledge out"
            )
        connection.execute("INSERT INTO passages(passages) VALUES ('optimize')")
        connection.commit()
        return Knowledge(connection.serialize(), count)


def _headings(passage: Passage) -> tuple[str, str]:
    above, _, own = passage.title.rpartition(_WAY)
    return own, above


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise KnowledgeError(path, "is not UTF-8", "save it as UTF-8") from error


def match(question: str) -> str:
    """Return an FTS5 expression for a question: any of its words, the last also as a beginning."""
    words = [word.lower()[:_MOST_LETTERS] for word in _WORD.findall(question)]
    words = [word for word in words if word not in STOP_WORDS] or words
    words = list(dict.fromkeys(words))[:_MOST_WORDS]
    if not words:
        return ""
    prefix = "*" if len(words[-1]) >= _SHORTEST_PREFIX else ""
    return " OR ".join(f'"{word}"' for word in words) + prefix


# Markdown ----------------------------------------------------------------------------------------


def split(text: str, source: str) -> Iterator[Passage]:
    """Yield the passages of a Markdown text: what stands under each heading, in bounded pieces.

    A passage's title is the way to it, ``Menu > Desserts``; without headings, the file's name.
    """
    for headings, lines in _sections(text):
        title = _WAY.join(filter(None, headings)) or Path(source).stem
        for piece in _pieces("\n".join(lines)):
            yield Passage(source, title, piece)


def _sections(text: str) -> Iterator[tuple[list[str], list[str]]]:
    headings: list[str] = []
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        heading = None if fence or mark else _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        yield headings, lines
        level = len(heading[1])
        headings = [*headings[: level - 1], *[""] * (level - 1 - len(headings)), heading[2] or ""]
        lines = []
    yield headings, lines


def _pieces(text: str) -> Iterator[str]:
    """Yield ``text`` in pieces of `PASSAGE_CHARS` at most, cut where it hurts least."""
    rest = text.strip()
    while len(rest) > PASSAGE_CHARS:
        head = rest[:PASSAGE_CHARS]
        cuts = (head.rfind(mark, PASSAGE_CHARS // 3) for mark in ("\n\n", "\n", ". ", " "))
        cut = next((at + 1 for at in cuts if at > 0), PASSAGE_CHARS)
        yield rest[:cut].strip()
        rest = rest[cut:].strip()
    if rest:
        yield rest
