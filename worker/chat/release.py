"""The agent to talk with, from the live folder, and what is wrong when there is none."""

import traceback
from pathlib import Path

from worker.agent import Agent
from worker.chat.options import Options
from worker.release import ReleaseError, compile_all, find_agent, isolate, read_routes
from worker.runtime import last_line


def load_agent(options: Options) -> type[Agent]:
    """Import the agent that would answer the call, as a template does.

    Raises `ReleaseError`, or whatever the folder's own code raises.
    """
    folder = options.agents.resolve()
    if not folder.is_dir():
        raise ReleaseError(f"there is no agents folder {folder}")
    # As in a template, what lies beside the folder is out of reach.
    isolate(folder, (folder,))
    compile_all(folder)
    if options.agent is not None:
        return find_agent(options.agent)
    routes = read_routes(folder, None)
    return find_agent(routes.numbers.get(options.to, routes.default))


def sentence_of(error: BaseException, folder: Path) -> str:
    """Return an error as one sentence, with the place in the author's code if it is theirs."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if type(error).__module__.startswith("worker."):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    root = folder.resolve()
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root)]
    said = last_line(error)
    if not own or isinstance(error, SyntaxError):
        return said
    name = Path(own[-1].filename).relative_to(root)
    return f"{name}, line {own[-1].lineno}: {said}"
