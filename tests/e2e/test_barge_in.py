"""Interruptions, judged by the audio: what the agent remembers is what the phone has played.

How much is still played until the carrier has heard that it should stop is the machine's affair. It
is no more than what is played between the caller's first sound and the ``clear``.
"""

import re
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from phone.events import Cleared
from tests.e2e.cascade import (
    AGENT_MS,
    DESK,
    Caller,
    Cascade,
    cascade,
    last_line,
    noise,
    together,
)
from tests.fakes.speech import heard_in, speech
from tests.harness import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY_MS = 100
CALLS = 7
"""Calls side by side for each voice."""

OTHER_VOICE = "+15550002000"
STUBBORN = "+15550003000"

AGENTS = (
    DESK
    + """
class Other(Desk):
    tts = ElevenLabs()

class Stubborn(Desk):
    greeting = "Listen to all of this first."
    greeting_interruptible = False
"""
)
ROUTES = f"""
default = "desk:Desk"
[numbers]
"{OTHER_VOICE}" = "desk:Other"
"{STUBBORN}" = "desk:Stubborn"
"""


def _tale(tag: str) -> str:
    """Return a reply whose words all begin with ``tag``: clauses, marks, short and long words."""
    told = (
        "yes, a table by the window. There we are; it's quiet, and well lit, too, isn't it? So so."
    )
    return " ".join(tag + word for word in told.split())


def _model(messages: list[dict[str, object]]) -> str:
    asked = last_line(messages)
    return _tale(asked[2:]) if asked.startswith("go") else "Good."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cascade]:
    """Desks with two voices, and a model that tells tales."""
    folder = tmp_path_factory.mktemp("barge_in")
    async with cascade(folder, {"desk.py": AGENTS}, routes=ROUTES) as stage:
        stage.openai.replies = _model
        yield stage


def _bare(text: str) -> list[str]:
    return re.findall(r"[\w']+", text)


async def _reply_began(caller: Caller, tag: str) -> None:
    """Return when the first letters of a reply were played."""
    at = len(caller.call.heard)

    def begun() -> bool:
        return any(word.text.startswith(tag) for word in heard_in(caller.call.heard[at:]))

    await eventually(begun, every=0.005)


def _clears(caller: Caller) -> list[Cleared]:
    return [event for event in caller.call.events if isinstance(event, Cleared)]


def _played(caller: Caller, tag: str) -> list[str]:
    """Return the words of a reply that were played whole, without their marks."""
    whole = [word.text for word in heard_in(caller.call.heard) if word.whole]
    return [bare for word in whole if word.startswith(tag) for bare in _bare(word)]


def _remembered(stage: Cascade, asked: str, tag: str) -> str:
    """Return what the model was told of a reply when it was asked again."""
    for number, chat in enumerate(stage.openai.chats):
        if last_line(chat.body["messages"]) == asked:
            said = [text for role, text in stage.history(number) if role == "assistant"]
            return next((text for text in said if text.startswith(tag)), "")
    raise AssertionError(f"the model was never asked {asked!r}")


async def _interrupt(stage: Cascade, number: str, tags: list[str], offsets: list[int]) -> None:
    """Interrupt reply after reply by the next question, each at another place."""
    sure: dict[str, int] = {}
    async with stage.caller(number) as caller:
        await caller.hears("Good evening.")
        for tag, offset in zip(tags, offsets, strict=False):
            await caller.says(f"go{tag}")
            await _reply_began(caller, tag)
            await caller.call.wait(offset)
            sure[tag] = len(_played(caller, tag))
        await caller.asks(f"go{tags[-1]}", _tale(tags[-1]))
        lines = await caller.lines()
    for tag, then in pairwise(tags):
        heard = _played(caller, tag)
        who, written = lines[lines.index(("caller", f"go{then}")) - 1]
        assert who == "agent", f"{tag} is not written down before the words that cut it: {lines}"
        for told in (written, _remembered(stage, f"go{then}", tag)):
            remembered = _bare(told)
            where = f"{tag}: remembered {remembered}, heard {heard}, {sure[tag]} undisturbed"
            whole = _bare(_tale(tag))
            assert (remembered, heard) == (whole[: len(remembered)], whole[: len(heard)]), where
            assert sure[tag] - 1 <= len(remembered) <= len(heard) + 1, where


async def test_an_agent_remembers_what_was_heard_wherever_it_is_interrupted(
    stage: Cascade,
) -> None:
    whole = sum(len(word) * AGENT_MS + 40 for word in _tale("000").split())
    offsets = list(range(0, int(whole) + EVERY_MS, EVERY_MS))
    plans = []
    for voice, number in enumerate(("+15550001111", OTHER_VOICE)):
        for nth in range(CALLS):
            mine = offsets[nth::CALLS]
            first = 100 + (voice * CALLS + nth) * 20
            tags = [str(first + turn) for turn in range(len(mine) + 1)]
            plans.append((number, tags, mine))
    await together(*(lambda plan=plan: _interrupt(stage, *plan) for plan in plans))


async def test_a_noise_pauses_the_agent_and_it_goes_on_at_the_word_that_was_cut(
    stage: Cascade,
) -> None:
    async def disturbed(tag: str, offset: int, sound: bytes) -> None:
        async with stage.caller() as caller:
            await caller.hears("Good evening.")
            await caller.says(f"go{tag}")
            await _reply_began(caller, tag)
            await caller.call.wait(offset)
            sure = len(_played(caller, tag))
            await caller.call.say(sound)
            await caller.hears(_tale(tag).split()[-1])
            assert any(event.dropped_ms > 0 for event in _clears(caller))
            await caller.asks("thanks", "Good.")
            told, played = _bare(_tale(tag)), _played(caller, tag)
            again = len(played) - len(told)
            cuts = [cut for cut in range(len(told) + 1) if cut - again >= sure - 1]
            gone_on = [told[:cut] + told[cut - again :] for cut in cuts]
            assert again >= 0, played
            assert played in gone_on, (sure, played)
        lines = (await caller.view())["lines"]
        told_of = [(line["text"], line["interrupted"]) for line in lines if line["role"] == "agent"]
        assert (_tale(tag), False) in told_of
        assert ("mhm" in [line["text"] for line in lines]) is (sound == mhm)

    asked = len(stage.openai.chats)
    mhm = speech("mhm", 30)
    await together(
        lambda: disturbed("801", 300, noise(120)),
        lambda: disturbed("802", 700, noise(120)),
        lambda: disturbed("803", 1100, noise(200)),
        lambda: disturbed("804", 500, mhm),
    )
    told = [stage.history(number) for number in range(asked, len(stage.openai.chats))]
    after = [history for history in told if history[-1] == ("user", "thanks")]
    assert sorted(history[-2][1] for history in after) == [
        _tale(tag) for tag in ("801", "802", "803", "804")
    ]


async def test_once_it_is_meant_everything_that_prepares_more_speech_is_given_up(
    stage: Cascade,
) -> None:
    stage.openai.token_s, stage.cartesia.pace_s = 0.2, 0.06
    try:
        async with stage.caller() as caller:
            await caller.hears("Good evening.")
            asked = len(stage.openai.chats)
            await caller.says("go901")
            await _reply_began(caller, "901")
            await caller.call.wait(300)
            contexts = {request["context_id"] for request in stage.cartesia.requests}
            open_now = contexts & stage.cartesia.active
            assert len(open_now) == 1
            assert not stage.openai.chats[asked].whole
            await caller.says("wait")
            await caller.hears("Good.")
            assert stage.openai.chats[asked].cut_off
            assert open_now <= stage.cartesia.cancelled
            heard = _played(caller, "901")
            assert 0 < len(heard) < len(_bare(_tale("901")))
            await caller.call.wait(1500)
            assert _played(caller, "901") == heard
    finally:
        stage.openai.token_s = stage.cartesia.pace_s = 0.0


async def test_a_greeting_that_may_not_be_interrupted_is_heard_out_and_the_caller_answered(
    stage: Cascade,
) -> None:
    async with stage.caller(STUBBORN) as caller:
        await caller.call.wait(200)
        await caller.asks("quick", "Listen to all of this first. Good.")
        assert not _clears(caller)
    assert stage.history() == [
        ("assistant", "Listen to all of this first."),
        ("user", "quick"),
    ]
