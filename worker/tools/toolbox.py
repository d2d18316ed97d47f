"""The tools that an agent has: its own `@tool` methods, and those it names in ``tools``.

    class Receptionist(Agent):
        tools = (HangUp(), Transfer("manager"), CalendarTools(calendar))

        @tool
        async def specials(self) -> str: ...

Collected once a class. A subclass inherits tools, replaces one by another ``@tool``, and takes
one away with ``name = None``.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from shared.messages import WarmOutcome
from worker.llm import ToolSpec
from worker.tools.declare import Manner, ToolDeclarationError, declaration_of
from worker.tools.outcome import Done, Invalid, Outcome, result_text

if TYPE_CHECKING:
    from worker.tools.schema import Parameters


class Line(Protocol):
    """What tools use of a call's line: see `worker.voip.VoIP`."""

    async def hangup(self) -> None:
        """End the call once the last words were heard. Raises `RequestError`."""

    async def transfer(self, to: str) -> None:
        """Connect the caller with ``to``. Raises `RequestError`."""

    async def transfer_warm(
        self, to: str, summary: str, *, ring_s: int = 0, language: str = "en-US"
    ) -> WarmOutcome:
        """Have ``to`` called, told and asked; return how it went. Raises `RequestError`."""

    async def send_digits(self, digits: str) -> None:
        """Press keys. Raises `RequestError`."""

    def log(self, event: str, level: str = "info", **fields: Any) -> None:
        """Write a line to the log."""


class Host(Protocol):
    """What tools know of the agent they belong to."""

    @property
    def call(self) -> Line:
        """The line to the caller."""


@runtime_checkable
class Tool(Protocol):
    """Something that a model may call."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told of it."""

    @property
    def manner(self) -> Manner:
        """How it is run."""

    def prepare(self) -> None:
        """Build what every call needs, once, in the template, before any fork."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Run it with ``arguments``, JSON text as the model wrote it.

        Arguments that do not fit are `Invalid`. Raises whatever the tool raises.
        """


@runtime_checkable
class Toolset(Protocol):
    """An object that has `@tool` methods of its own, as `worker.calendar.CalendarTools` does."""

    def prepare(self) -> None:
        """Build what its tools need, once, in the template, before any fork."""


@dataclass(frozen=True, slots=True)
class MethodTool:
    """A method as a tool: of ``owner``, or of the agent where there is none."""

    method: str
    spec: ToolSpec
    manner: Manner
    parameters: "Parameters"
    owner: object = None

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Call the method, if the arguments fit. Raises what it raises."""
        given = self.parameters.parse(arguments)
        if isinstance(given, Invalid):
            return given
        result = getattr(agent if self.owner is None else self.owner, self.method)(**given)
        if inspect.isawaitable(result):
            result = await result
        return Done(result_text(result))


class Toolbox(Mapping[str, Tool]):
    """Tools by name. Immutable; raises `ToolDeclarationError` when two have the same name."""

    __slots__ = ("_prepared", "_tools", "limits_s", "specs")

    def __init__(
        self, tools: Iterable[Tool] = (), owners: Iterable[object] = (), where: str = "toolbox"
    ) -> None:
        found: dict[str, Tool] = {}
        for each in tools:
            name = each.spec.name
            if name in found:
                raise ToolDeclarationError(
                    f"{where}.{name}", "is there twice", "give one of them another name"
                )
            found[name] = each
        self._tools = MappingProxyType(found)
        self._prepared = (*found.values(), *owners)
        self.specs: tuple[ToolSpec, ...] = tuple(each.spec for each in found.values())
        """What a model is told of them, in the order in which they were declared."""
        self.limits_s = MappingProxyType({name: it.manner.limit_s for name, it in found.items()})
        """How long each may take, in seconds."""

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def prepare(self) -> None:
        """Prepare each tool, in the template. Raises what one of them raises."""
        for each in self._prepared:
            if isinstance(each, Toolset):
                each.prepare()


def tools_of(agent: type) -> Toolbox:
    """Return the tools of an agent's class, schemas built; the same box whenever asked.

    Entries of its ``tools`` are `Tool` or `Toolset` objects. Raises `ToolDeclarationError`.
    """
    return _collected(agent)


@functools.cache
def _collected(agent: type) -> Toolbox:
    found: list[Tool] = list(_methods(agent, None))
    owners = []
    for entry in getattr(agent, "tools", ()):
        if not isinstance(entry, type) and isinstance(entry, Tool):
            found.append(entry)
            continue
        methods = [] if isinstance(entry, type) else list(_methods(type(entry), entry))
        if not methods:
            raise ToolDeclarationError(f"{agent.__name__}.tools", *_no_tool(entry))
        found += methods
        owners.append(entry)
    return Toolbox(found, owners, agent.__name__)


def _no_tool(entry: object) -> tuple[str, str]:
    if isinstance(entry, type):
        return f"has the class {entry.__name__} in it", f"write {entry.__name__}(...)"
    return f"has {entry!r:.60} in it, which is no tool", "put objects like HangUp() there"


def _methods(owner: type, instance: object) -> Iterator[MethodTool]:
    names = [
        name
        for base in reversed(owner.__mro__)
        for name, value in vars(base).items()
        if declaration_of(value)
    ]
    for name in dict.fromkeys(names):
        function = inspect.getattr_static(owner, name)
        where = f"{owner.__name__}.{name}"
        if function is None:
            continue
        declaration = declaration_of(function)
        if declaration is None:
            raise ToolDeclarationError(
                where, "takes the place of a tool", f"put @tool above it, or write {name} = None"
            )
        if not isinstance(function, FunctionType):
            raise ToolDeclarationError(where, "is no plain method", "make it one, with self")
        called = declaration.name or name
        description, parameters = _schema(function, called, where)
        spec = ToolSpec(called, description, parameters.schema)
        yield MethodTool(name, spec, declaration.manner, parameters, instance)


@functools.cache
def _schema(function: Callable[..., object], name: str, where: str) -> "tuple[str, Parameters]":
    # Here and not above: agents without tools do not pay for pydantic.
    from worker.tools.schema import parameters_of

    return parameters_of(function, name, where)
