"""How an author says that a method is a tool of the model: `tool`.

    @tool(filler="One moment, I am looking it up.", on_barge_in="finish")
    async def book_table(self, people: Annotated[int, Field(ge=1, le=12)], at: datetime) -> str:
        \"\"\"Book a table.\"\"\"

The method stays what it was and is called as before; the declaration only lies beside it. What
can be seen of a mistake without knowing the types is said here, when the module is imported.
"""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar, overload

_DECLARATION = "__callfarm_tool__"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what OpenAI accepts, and all others too

Method = TypeVar("Method", bound=Callable[..., object])


class ToolDeclarationError(Exception):
    """A tool is declared in a way that no model could call it. ``where`` is class and method."""

    def __init__(self, where: str, problem: str, fix: str) -> None:
        self.where, self.problem, self.fix = where, problem, fix
        super().__init__(where, problem, fix)

    def __str__(self) -> str:
        return f"tool {self.where} {self.problem}: {self.fix}"


class OnBargeIn(StrEnum):
    """What becomes of a running tool when the caller takes the floor."""

    CANCEL = "cancel"
    """It is cancelled: what it looks up is wanted no more."""

    FINISH = "finish"
    """It goes on to its end: half a booking is worse than a late answer."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a tool is run. Raises ``ValueError`` for settings that make no sense."""

    limit_s: float = 15.0
    """How long it may take, in seconds."""

    fillers: tuple[str, ...] = ()
    """What is said while it takes long; several are taken in turn."""

    filler_after_s: float = 1.0
    """How long it takes until one is said, in seconds."""

    on_barge_in: OnBargeIn = OnBargeIn.CANCEL
    """What happens to it when the caller takes the floor."""

    speak_first: bool = False
    """It starts when the words that the model said along with it were played to their end."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "on_barge_in", OnBargeIn(self.on_barge_in))
        if not (math.isfinite(self.limit_s) and self.limit_s > 0):
            raise ValueError(f"limit_s is {self.limit_s}, and must be a number of seconds")
        if not (math.isfinite(self.filler_after_s) and self.filler_after_s >= 0):
            raise ValueError(f"filler_after_s is {self.filler_after_s}, and must be 0 s or more")
        if not all(isinstance(text, str) and text.strip() for text in self.fillers):
            raise ValueError("a filler is empty, and must be words to say")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `tool` was told; an empty ``name`` is the method's own."""

    name: str
    manner: Manner


@overload
def tool(method: Method, /) -> Method: ...


@overload
def tool(
    *,
    name: str | None = None,
    limit_s: float = 15.0,
    filler: str | Sequence[str] | None = None,
    filler_after_s: float = 1.0,
    on_barge_in: OnBargeIn | Literal["cancel", "finish"] = OnBargeIn.CANCEL,
    speak_first: bool = False,
) -> Callable[[Method], Method]: ...


def tool(
    method: Method | None = None,
    /,
    *,
    name: str | None = None,
    limit_s: float = 15.0,
    filler: str | Sequence[str] | None = None,
    filler_after_s: float = 1.0,
    on_barge_in: OnBargeIn | Literal["cancel", "finish"] = OnBargeIn.CANCEL,
    speak_first: bool = False,
) -> Method | Callable[[Method], Method]:
    """Let the model call this method; its docstring and type hints are what the model is told.

    ``name`` is the method's own unless given. ``limit_s``: seconds it may take. ``filler``: said
    when it takes longer than ``filler_after_s``; of several, one after the other. ``on_barge_in``:
    whether it is cancelled or goes on when the caller takes the floor. ``speak_first``: it waits
    until what the model said along with it was played.

    A method that is not ``async`` runs on the call's event loop: while it does, this call (and no
    other) stands still. Raises `ToolDeclarationError`.
    """

    def declare(method: Method) -> Method:
        where = _where(method)
        try:
            fillers = (filler,) if isinstance(filler, str) else tuple(filler or ())
            manner = Manner(limit_s, fillers, filler_after_s, OnBargeIn(on_barge_in), speak_first)
        except ValueError as error:
            raise ToolDeclarationError(where, "has a wrong option", str(error)) from error
        if name is not None and not _NAME.fullmatch(name):
            raise ToolDeclarationError(
                where, f"cannot be called {name!r}", "use letters, digits, - and _, 64 at most"
            )
        _check(method, where)
        setattr(method, _DECLARATION, Declaration(name or "", manner))
        return method

    return declare if method is None else declare(method)


def declaration_of(method: object) -> Declaration | None:
    """Return what `tool` was told of a function, ``None`` when it is no tool."""
    if isinstance(method, staticmethod | classmethod):
        method = method.__func__
    found = getattr(method, _DECLARATION, None)
    return found if isinstance(found, Declaration) else None


def _where(method: object) -> str:
    qualified = str(getattr(method, "__qualname__", repr(method)))
    return qualified.rpartition("<locals>.")[2]


def _check(method: Callable[..., object], where: str) -> None:
    if not inspect.isfunction(method):
        raise ToolDeclarationError(where, "is no plain method", "put @tool above def or async def")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise ToolDeclarationError(where, "yields", "return the whole result")
    if not (method.__doc__ or "").strip():
        raise ToolDeclarationError(
            where, "has no docstring", "say in it what the tool does and when to use it"
        )
    parameters = list(inspect.signature(method).parameters.values())
    if not parameters or parameters[0].annotation is not inspect.Parameter.empty:
        raise ToolDeclarationError(where, "takes no self", "make it a method")
    for parameter in parameters[1:]:
        _check_parameter(parameter, where)


def _check_parameter(parameter: inspect.Parameter, where: str) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise ToolDeclarationError(
            where, f"takes {stars}{parameter.name}", "name each parameter, with a type"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ToolDeclarationError(
            where, f"takes {parameter.name} by its place only", "leave out the / in its parameters"
        )
    if parameter.annotation is parameter.empty:
        raise ToolDeclarationError(
            where,
            f"has a parameter without a type, {parameter.name!r}",
            f"write {parameter.name}: str, or whatever it is",
        )
