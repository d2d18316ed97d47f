"""Callers at the same time: nobody's words in anybody else's history, transcript, state or ear."""

import re
from pathlib import Path
from typing import Any

from tests.e2e.cascade import DESK, Cascade, cascade, last_line, together
from tests.fakes.openai_chat import Reply, Wants
from tests.fakes.speech import words_in

AGENTS = (
    DESK
    + '''
SEEN = []
"""What this process has been told: a call's own, though its module is every call's."""

class First(Desk):
    instructions = "You are First."
    greeting = "First here."

    @tool
    def note(self, word: str) -> str:
        """Write a word down."""
        SEEN.append(word)
        self.state["seen"] = SEEN
        return f"Noted {word}."

class Second(First):
    stt, tts = DeepgramFlux(), ElevenLabs()
    instructions = "You are Second."
    greeting = "Second here."
'''
)
NUMBERS = {"First": "+15550005001", "Second": "+15550005002"}
ROUTES = 'default = "desk:Desk"\n[numbers]\n' + "".join(
    f'"{number}" = "desk:{agent}"\n' for agent, number in NUMBERS.items()
)
TURNS = 3
CALLERS = 3
"""Of each agent."""


def _word(world: str, turn: int) -> str:
    return f"{world}says{turn}"


def _worlds(text: str) -> set[str]:
    return set(re.findall(r"w\d+w", text))


def _model(messages: list[dict[str, Any]]) -> Reply:
    line = last_line(messages)
    if messages[-1]["role"] == "tool":
        return f"I have {line}"
    return [Wants("note", {"word": line})]


async def test_callers_worlds_never_mix(tmp_path: Path) -> None:
    async with cascade(tmp_path, {"desk.py": AGENTS}, routes=ROUTES) as stage:
        stage.openai.replies = _model
        worlds = [(f"w{at}w", agent) for at in range(CALLERS) for agent in NUMBERS]
        worlds = [(f"w{at}w", agent) for at, (_, agent) in enumerate(worlds)]
        await together(*(lambda world=world: _talk(stage, *world) for world in worlds))
        _check_providers(stage, {world for world, _ in worlds})
        for world, _ in worlds:
            assert world not in stage.gateway.log_text()


async def _talk(stage: Cascade, world: str, agent: str) -> None:
    said = [_word(world, turn) for turn in range(TURNS)]
    async with stage.caller(NUMBERS[agent]) as caller:
        await caller.hears(f"{agent} here.")
        for word in said:
            await caller.asks(word, f"I have Noted {word}.")
        replies = [(("caller", word), ("agent", f"I have Noted {word}.")) for word in said]
        lines = [("agent", f"{agent} here."), *(line for both in replies for line in both)]
        await caller.wrote_down(lines)
    view = await caller.over()
    assert caller.listen() == " ".join(text for who, text in lines if who == "agent").split()
    assert view["agent_state"] == {"seen": said}


def _check_providers(stage: Cascade, worlds: set[str]) -> None:
    """Each request, each connection and each context is of one world."""
    assert len(stage.openai.chats) == 2 * TURNS * len(worlds)
    asked = [str(chat.body["messages"]) for chat in stage.openai.chats]
    heard = [" ".join(words_in(bytes(socket.audio))) for socket in stage.deepgram.sockets]
    spoken: dict[str, str] = {}
    for request in (*stage.cartesia.requests, *stage.elevenlabs.requests):
        text = request.get("transcript") or request.get("text") or ""
        context = request.get("context_id") or ""
        spoken[context] = spoken.get(context, "") + text
    for each in (*asked, *heard, *spoken.values()):
        assert len(_worlds(each)) <= 1, each
    for all_of_them in (asked, heard, list(spoken.values())):
        assert _worlds(" ".join(all_of_them)) == worlds
