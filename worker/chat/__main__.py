"""The command: exit code 0 when the chat was had, 1 when it could not be, 2 for wrong options."""

import asyncio
import sys

from rich.console import Console

from worker.chat.conversation import converse
from worker.chat.keyboard import TerminalState, leave
from worker.chat.options import Options, parse
from worker.chat.release import load_agent, sentence_of
from worker.chat.screen import JSONLines, Terminal
from worker.errors import ProviderRefusedError


def main() -> int:
    """Be ``python -m worker.chat``; return the exit code."""
    options = parse(sys.argv[1:])
    try:
        agent = load_agent(options)
        screen = JSONLines() if options.as_json else Terminal(agent.__name__)
        asyncio.run(converse(agent, options, screen))
    except KeyboardInterrupt:
        # Whoever types has said all; a script has not.
        return _fail("interrupted") if options.say else 0
    except (Exception, SystemExit) as error:
        return _fail(_sentence(error, options))
    return 0


def _sentence(error: BaseException, options: Options) -> str:
    sentence = sentence_of(error, options.agents)
    if isinstance(error, ProviderRefusedError) and not options.offline:
        sentence += "; or chat without a model: --offline"
    return sentence


def _fail(sentence: str) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, style="red", markup=False)
    return 1


if __name__ == "__main__":
    before = TerminalState()
    code = main()
    before.restore()
    leave(code)
