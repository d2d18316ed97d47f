"""Reads a JSGF grammar far enough to check it and to add a way out of it.

Knows nothing of the recogniser. JSGF (JSpeech Grammar Format, W3C note, June 2000) is what
pocketsphinx takes; its own complaints go to a log and name no word, so what authors get wrong is
found here: unknown rules, missing public rule, unclosed brackets. Imports are not supported.
"""

import re
from dataclasses import dataclass

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HEADER = re.compile(r"\s*#JSGF\b[^;\n]*;")
_NAME = re.compile(r"\s*grammar\s+([^\s;]+)\s*;")
_TOKEN = re.compile(
    r"""(?P<rule><[^<>\s]+>) | (?P<weight>/\s*[\d.eE+-]+\s*/) | (?P<tag>\{[^{}]*\})
      | (?P<punctuation>[=|()\[\];*+]) | (?P<quoted>"[^"]*") | (?P<word>[^\s=|()\[\];*+<>{}"]+)
      | (?P<wrong>\S)""",
    re.VERBOSE,
)
_PUBLIC = re.compile(r";\s*public(?=\s*<)")
_SPECIAL_RULES = frozenset({"<NULL>", "<VOID>"})
_OPENING = {")": "(", "]": "["}


class GrammarError(ValueError):
    """A grammar cannot be used. ``line`` counts from 1; ``problem`` says what and how to fix it."""

    def __init__(self, line: int, problem: str) -> None:
        self.line, self.problem = line, problem
        super().__init__(line, problem)

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Grammar:
    """A checked grammar: its name, public rules and words, and its text without comments."""

    name: str
    text: str
    public: tuple[str, ...]
    words: frozenset[str]

    def with_way_out(self, phones: tuple[str, ...], penalty: float) -> str:
        """Return JSGF that also takes any sequence of the words ``phones``, at a price.

        ``penalty`` is the probability of one more phone. What fits no sentence is then heard as
        phones, instead of as the least bad sentence.
        """
        private = _PUBLIC.sub(";", self.text)
        loop = "".join(f" | /{penalty:.12f}/ {phone} <callfarm_noise>" for phone in phones)
        sentences = " | ".join(self.public)
        return (
            f"{private}\n<callfarm_noise> = /{1 - penalty * len(phones):.12f}/ <NULL>{loop};\n"
            f"public <callfarm_root> = /0.5/ ({sentences}) | /0.5/ <callfarm_noise>;\n"
        )


def read_grammar(text: str) -> Grammar:
    """Return the grammar that ``text`` is. Raises `GrammarError`."""
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    header = _HEADER.match(text)
    if header is None:
        raise GrammarError(1, "a grammar begins with '#JSGF V1.0;'")
    name = _NAME.match(text, header.end())
    if name is None:
        raise GrammarError(_line(text, header.end()), "after the header comes 'grammar NAME;'")
    rules = _Rules(text, name.end())
    return Grammar(name[1], text, tuple(rules.public), frozenset(rules.words))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


class _Rules:
    """One pass over the rules: what they define, what they use, what words they hold."""

    def __init__(self, text: str, start: int) -> None:
        self.public: list[str] = []
        self.words: set[str] = set()
        self._text = text
        self._defined: set[str] = set()
        self._used: dict[str, int] = {}
        statement: list[re.Match[str]] = []
        for token in _TOKEN.finditer(text, start):
            if token["wrong"]:
                raise self._error(token, f"{token[0]!r} does not belong here")
            if token[0] == ";":
                self._rule(statement, token)
                statement = []
            else:
                statement.append(token)
        if statement:
            raise self._error(statement[0], "this rule does not end: add ';'")
        self._check(len(text))

    def _error(self, token: re.Match[str], problem: str) -> GrammarError:
        return GrammarError(_line(self._text, token.start()), problem)

    def _check(self, end: int) -> None:
        for rule, position in self._used.items():
            if rule not in self._defined and rule not in _SPECIAL_RULES:
                raise GrammarError(_line(self._text, position), f"there is no rule {rule}")
        if not self.public:
            raise GrammarError(_line(self._text, end), "no rule is public: write 'public <…> = …;'")

    def _rule(self, tokens: list[re.Match[str]], end: re.Match[str]) -> None:
        is_public = bool(tokens) and tokens[0][0] == "public"
        head = tokens[is_public : is_public + 2]
        if len(head) < 2 or head[0]["rule"] is None or head[1][0] != "=":
            raise self._error(tokens[0] if tokens else end, "a rule is '<name> = …;'")
        if head[0][0] in self._defined:
            raise self._error(head[0], f"{head[0][0]} is already defined")
        self._defined.add(head[0][0])
        if is_public:
            self.public.append(head[0][0])
        self._body(tokens[is_public + 2 :], end)

    def _body(self, tokens: list[re.Match[str]], end: re.Match[str]) -> None:
        if not tokens:
            raise self._error(end, "this rule is empty: use <NULL> if it is meant to be")
        open_brackets: list[re.Match[str]] = []
        for token in tokens:
            if token["rule"]:
                self._used.setdefault(token[0], token.start())
            elif token["word"] or token["quoted"]:
                self.words.update(token[0].strip('"').split())
            elif token[0] in ("(", "["):
                open_brackets.append(token)
            elif token[0] in _OPENING:
                if not open_brackets or open_brackets.pop()[0] != _OPENING[token[0]]:
                    raise self._error(token, f"{token[0]!r} closes nothing")
            elif token[0] == "=":
                raise self._error(token, "'=' inside a rule: the rule before lacks its ';'")
        if open_brackets:
            raise self._error(open_brackets[0], f"{open_brackets[0][0]!r} is never closed")
