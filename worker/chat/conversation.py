"""A chat from its first word to its last: what the caller types becomes what the caller does.

text            is said
/keys 12#       are pressed
/silence 20     passes, at once
/quit           hangs up
"""

from collections.abc import AsyncIterator

from worker.agent import Agent
from worker.call_info import CallInfo
from worker.chat.keyboard import Keyboard
from worker.chat.offline import OfflineLLM
from worker.chat.options import Options
from worker.chat.screen import Screen
from worker.roles import with_colleagues
from worker.testing import Reply, Talk

HELP = "/keys 12# presses keys, /silence 20 lets 20 s pass, /quit hangs up"

LIMIT_SECONDS = 180.0
"""How long a reply may take: real models and real tools answer here."""


class CommandError(Exception):
    """A line that begins with a slash and means nothing."""


class UnsaidError(Exception):
    """The call was over before all was said that was to be said."""

    def __init__(self, unsaid: str) -> None:
        self.unsaid = unsaid
        super().__init__(unsaid)

    def __str__(self) -> str:
        return f'the call was over before this was said: "{self.unsaid}"'


async def converse(agent: type[Agent], options: Options, screen: Screen) -> None:
    """Let the caller talk with the agent. Raises what the agent's code raises."""
    family = with_colleagues(agent)
    thinks = any(it.llm is not None or it.speech is not None for it in family)
    talk = Talk(
        agent,
        llm=OfflineLLM() if options.offline and thinks else None,
        info=CallInfo("CA" + "7" * 32, from_=options.from_, to=options.to, release="chat"),
        limit_s=LIMIT_SECONDS,
        told=screen.happened,
    )
    try:
        await _converse(talk, options, screen)
    finally:
        screen.ended()


async def _converse(talk: Talk, options: Options, screen: Screen) -> None:
    async with talk:
        screen.replied(0, None, talk.reply)
        number = 0
        async for line in _lines(options, screen):
            if line.strip() == "/quit":
                return
            if options.say and talk.over:
                raise UnsaidError(line)
            try:
                reply = await _do(talk, line)
            except CommandError as error:
                screen.note(str(error))
                continue
            number += 1
            screen.replied(number, line, reply)
            if talk.over and not options.say:
                return


async def _lines(options: Options, screen: Screen) -> AsyncIterator[str]:
    for text in options.say:
        screen.typed(text)
        yield text
    if options.say:
        return
    screen.note(HELP)
    keyboard = Keyboard(screen.prompt)
    while (line := await keyboard.line()) is not None:
        if line.strip():
            yield line


async def _do(talk: Talk, line: str) -> Reply:
    """Do what a line says. Raises `CommandError`."""
    command, _, rest = line.strip().partition(" ")
    if not command.startswith("/"):
        return await talk.say(line)
    try:
        if command == "/keys":
            return await talk.press(rest.replace(" ", ""))
        if command == "/silence":
            return await talk.silence(_seconds(rest))
    except ValueError as error:
        raise CommandError(str(error)) from error
    raise CommandError(f"{command} is no command: {HELP}")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CommandError(f"{text!r} are no seconds: write /silence 20") from None
