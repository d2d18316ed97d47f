"""``callfarm new NAME``: a first agent that answers at once, with no key and no account.

Writes one file, and ``routes.toml`` where there is none, so that it answers. Once there are routes,
which number it answers stays the operator's decision.
"""

from dataclasses import dataclass
from pathlib import Path
from string import Template

from gateway.agent_names import name_fault

ROUTES = "routes.toml"

_ROUTES = Template("""\
# Which agent answers which number: "module:Class" of this folder.
default = "$agent"

[numbers]
# "+15551234567" = "$agent"
""")

_AGENT = Template('''\
"""$title: hears what the grammar allows, answers what ``inference`` says."""

from worker import Agent, Message
from worker.providers import Espeak, PocketSphinx

# What a caller can say. The recogniser knows no other sentence, and so mishears few.
GRAMMAR = """#JSGF V1.0;
grammar $name;
public <sentence> = <hello> | <hours> | <goodbye>;
<hello> = hello | hi | good morning;
<hours> = (what are | tell me) your [opening] hours | when (are you | do you) open;
<goodbye> = [thank you] (goodbye | bye);
"""


class $class_name(Agent):
    """Says hello, knows the opening hours, says goodbye."""

    stt = PocketSphinx(grammar=GRAMMAR)
    tts = Espeak(voice="en-us")
    greeting = "Hello, this is $title. Ask me for the opening hours."

    async def inference(self, message: Message[str]) -> None:
        """Answer one utterance of the caller; its text is empty when it was unclear."""
        words = message.data.split()
        if "hours" in words or "open" in words:
            await self.say("We are open from nine to five, Monday to Friday.")
        elif "goodbye" in words or "bye" in words:
            await self.say("Goodbye.", interruptible=False)
            await self.call.hangup()
        elif words:
            await self.say("Hello. What can I do for you?")
        else:
            await self.say("Sorry, I did not get that. You can ask for the opening hours.")
''')


class ScaffoldError(Exception):
    """No agent ``name`` was written, for ``reason``."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"cannot make an agent {self.name!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class NewAgent:
    """A file that was written, and how the agent in it is called: ``module:Class``.

    ``routes`` is the file of the routes if that was written, too: the agent answers by it.
    """

    path: Path
    agent: str
    routes: Path | None = None

    @property
    def command(self) -> str:
        """What to type next: the server, with this agent on every number."""
        chosen = "" if self.routes is not None else f" --agent {self.agent}"
        return f"callfarm serve{chosen} --watch"

    @property
    def route(self) -> str:
        """The line that gives it a number of its own, for the table ``[numbers]``."""
        return f'"+15551234567" = "{self.agent}"'


def new_agent(name: str, agents_dir: Path) -> NewAgent:
    """Write ``agents_dir/name.py``, and routes, making the folder if there is none.

    Raises ``ScaffoldError`` for a name that cannot be a module's or is taken, ``OSError`` when
    the file cannot be written.
    """
    if fault := name_fault(name):
        raise ScaffoldError(name, fault)
    path = agents_dir / f"{name}.py"
    if path.exists() or (agents_dir / name).exists():
        raise ScaffoldError(name, f"{path} is already there: take another name")
    words = name.strip("_").split("_")
    class_name = "".join(word.capitalize() for word in words)
    text = _AGENT.substitute(name=name, title=" ".join(filter(None, words)), class_name=class_name)
    agents_dir.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    agent = f"{name}:{class_name}"
    return NewAgent(path, agent, _first_routes(agents_dir, agent))


def _first_routes(agents_dir: Path, agent: str) -> Path | None:
    """Write the routes if there are none."""
    path = agents_dir / ROUTES
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_ROUTES.substitute(agent=agent))
    except FileExistsError:
        return None
    return path
