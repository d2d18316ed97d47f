"""What a module of agents may be called: nothing that would hide a module somebody else imports."""

import keyword
import re
import sys
from importlib.metadata import packages_distributions

_OURS = frozenset({"gateway", "worker", "shared", "phone"})


def owner_of(name: str) -> str | None:
    """Tell who already has a top-level module called ``name``; ``None`` when nobody has."""
    if name in sys.stdlib_module_names:
        return "the standard library"
    if name in _OURS:
        return "callfarm"
    distributions = packages_distributions().get(name)
    return distributions[0] if distributions else None


def name_fault(name: str) -> str | None:
    """Say why ``name`` cannot be an agent's module, with the fix; ``None`` when it can."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        return f"an agent is a Python module: take a name like {_suggestion(name)}"
    owner = owner_of(name)
    return f"it would hide the module of {owner}: take a name like {name}_agent" if owner else None


def _suggestion(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    plain = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    if not plain or not plain[0].isalpha() or keyword.iskeyword(plain):
        plain = f"agent_{plain}".rstrip("_")
    return plain
