"""A tool's docstring, taken apart: what the tool does, and what each parameter means.

Google's ``Args:`` and Sphinx's ``:param name:`` are understood. What a function returns and raises
is its author's business: a model reads the result itself.
"""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?):\s*")
_ABOUT_PARAMETERS = ("Args", "Arguments", "Parameters")
_DROPPED = ("Return", "Yield", "Raises")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_FIELD = re.compile(r":(\w+)(?:\s+([^:]*))?:\s*(.*)")
_PARAMETER_FIELDS = ("param", "parameter", "arg", "argument", "key", "keyword")


@dataclass(slots=True)
class Docstring:
    """``text`` without line breaks inside a paragraph; ``parameters`` by their names."""

    text: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def parse(docstring: str) -> Docstring:
    """Take a docstring apart. Never fails: what is not understood is text."""
    result = Docstring()
    kept: list[str] = []
    section = ""
    entry_indent: int | None = None
    name = ""
    for line in inspect.cleandoc(docstring).splitlines():
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        heading = _SECTION.fullmatch(line)
        field_ = _FIELD.match(stripped) if indent == 0 else None
        if heading:
            section, entry_indent, name = heading[1], None, ""
            if not _is_special(section):
                kept.append(line)
        elif field_:
            section, name = "field", _begin_field(result, field_)
        elif stripped and indent == 0:
            section, name = "", ""
            kept.append(line)
        elif section == "field":
            _go_on(result, name, stripped)
        elif section in _ABOUT_PARAMETERS:
            entry = _ENTRY.fullmatch(stripped)
            if entry and (entry_indent is None or indent <= entry_indent):
                entry_indent, name = indent, entry[1]
                result.parameters[name] = entry[2]
            else:
                _go_on(result, name, stripped)
        elif not _is_special(section):
            kept.append(line)
    result.text = _paragraphs(kept)
    return result


def _is_special(section: str) -> bool:
    return section in _ABOUT_PARAMETERS or section.startswith(_DROPPED)


def _begin_field(result: Docstring, field_: re.Match[str]) -> str:
    """Begin ``:kind type name: text``; return the parameter's name, empty for another kind."""
    words = (field_[2] or "").split()
    if field_[1] not in _PARAMETER_FIELDS or not words:
        return ""
    result.parameters[words[-1]] = field_[3]
    return words[-1]


def _go_on(result: Docstring, name: str, line: str) -> None:
    if name and line:
        result.parameters[name] = f"{result.parameters[name]} {line}".strip()


def _paragraphs(lines: list[str]) -> str:
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
