import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import BYTES_A_LETTER, TimedVoice
from tests.worker.studio import Studio
from worker.stt import EagerEnd, EndOfTurn, Hearing, Partial, SpeechStarted, SpeechStopped
from worker.turn_taking import TurnTaking
from worker.turns import Turns, floor, listening
from worker.turns.policy import Utterance
from worker.turns.silence import Ask, Leave, TimeUp, Warn
from worker.utterance import Spoken

LONG = "I have looked it up for you and we do have a table for two at eight on Friday"


class Call:
    """A `worker.turn_taking.Host` that notes what was asked of it."""

    def __init__(self, turns: Turns, studio: Studio) -> None:
        loop = asyncio.get_running_loop()
        self.replying = False
        self.log: list[object] = []
        self.studio = studio
        self.taking = TurnTaking(turns, loop.time, studio.speaker, self)
        self.answer: Callable[[Utterance], None] = lambda utterance: None

    def take_turn(self, utterance: Utterance) -> None:
        self.log.append(f"turn: {utterance.text}")
        self.answer(utterance)

    def give_up_reply(self) -> None:
        self.log.append("give up")
        self.thinks(False)

    def prepare_reply(self, text: str) -> None:
        self.log.append(f"prepare: {text}")

    def forget_reply(self) -> None:
        self.log.append("forget")

    def end_turn(self) -> None:
        self.log.append("end turn")

    def overheard(self, text: str) -> None:
        self.log.append(f"overheard: {text}")

    def keys_pressed(self, keys: str) -> None:
        self.log.append(f"keys: {keys}")

    def remind(self, due: Ask | Leave | Warn | TimeUp) -> None:
        self.log.append(due)

    def thinks(self, replying: bool) -> None:
        """The agent begins, or ceases, to prepare an answer."""
        self.replying = replying
        self.taking.agent_changed()

    def hears(self, *events: Hearing) -> None:
        for event in events:
            self.taking.heard(event)

    @property
    def played(self) -> str:
        return self.studio.wire.played[::BYTES_A_LETTER].decode()

    def is_paused(self) -> bool:
        return self.studio.speaker.paused


async def call(turns: Turns | None = None, *, silence: bool = False) -> Call:
    studio = Studio(TimedVoice())
    it = Call(turns or Turns(silence_s=None), studio)
    studio.on_change = it.taking.agent_changed
    await studio.ready()
    it.taking.begin(silence=silence)
    return it


# Two steps -------------------------------------------------------------------------------------


@virtual_time
async def test_the_first_sound_clears_the_line_at_once_and_words_give_the_speech_up() -> None:
    it = await call()
    saying = it.studio.say(LONG)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    assert it.studio.wire.kinds()[-1] is messages.Clear
    assert it.log == []
    await asyncio.sleep(0.3)
    it.hears(Partial("no wait"))
    assert it.log == ["give up"]
    assert (await saying).text == "I have looked it up"
    it.hears(EndOfTurn("no wait"))
    assert it.log == ["give up", "turn: no wait"]


@virtual_time
async def test_a_noise_holds_the_speech_up_and_costs_no_word() -> None:
    it = await call()
    saying = it.studio.say(LONG)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    await asyncio.sleep(1.3)
    assert not it.is_paused()
    await it.studio.play_out()
    assert (await saying).text == LONG
    assert it.played == LONG[:20] + LONG[20:]
    assert it.log == []


@virtual_time
async def test_a_short_noise_of_which_the_words_take_long_does_not_stop_the_agent() -> None:
    it = await call()
    saying = it.studio.say(LONG * 3)
    await it.studio.letters(20)
    it.hears(SpeechStarted(lasting=True))
    await asyncio.sleep(0.4)
    it.hears(SpeechStopped())
    await asyncio.sleep(1.3)
    assert not it.is_paused()
    it.hears(EndOfTurn(""))
    assert it.log == []
    saying.cancel()


@virtual_time
async def test_a_backchannel_is_overheard_and_the_speech_goes_on() -> None:
    it = await call()
    saying = it.studio.say(LONG * 3)
    await it.studio.letters(20)
    it.hears(SpeechStarted(), Partial("mhm"))
    assert it.is_paused()
    it.hears(EndOfTurn("Mhm."))
    assert not it.is_paused()
    await it.studio.play_out()
    assert (await saying).text == LONG * 3
    assert it.log == ["overheard: Mhm."]


@pytest.mark.parametrize("events", [(EndOfTurn("yeah"),), (Partial("yeah"), EndOfTurn("yeah"))])
def test_a_backchannel_answers_an_agent_that_is_nearly_done(events: tuple[Hearing, ...]) -> None:
    @virtual_time
    async def case() -> None:
        it = await call()
        it.thinks(True)
        saying = it.studio.say("At eight then?")
        await it.studio.letters(10)
        it.hears(SpeechStarted(), *events)
        assert it.log[-1] == "turn: yeah"
        assert (await saying).text == "At eight"

    case()


@virtual_time
async def test_an_answer_is_taken_though_the_reply_that_it_interrupts_still_unwinds() -> None:
    it = await call()
    it.give_up_reply = lambda: it.log.append("give up")  # type: ignore[method-assign]
    it.thinks(True)
    saying = it.studio.say("At eight then?")
    await it.studio.letters(10)
    it.hears(EndOfTurn("yeah"))
    assert it.log[-1] == "turn: yeah"
    await saying


@virtual_time
async def test_words_after_the_agent_went_on_interrupt_it_all_the_same() -> None:
    it = await call()
    saying = it.studio.say(LONG * 3)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    await asyncio.sleep(1.5)
    it.hears(Partial("stop"))
    assert it.log == ["give up"]
    assert (await saying).interrupted


@virtual_time
async def test_a_lasting_sound_interrupts_by_its_length() -> None:
    it = await call()
    saying = it.studio.say(LONG * 3)
    await it.studio.letters(20)
    it.hears(SpeechStarted(lasting=True))
    await asyncio.sleep(1.6)
    assert it.log == ["give up"]
    it.hears(SpeechStopped(), EndOfTurn("I was saying something"))
    assert it.log == ["give up", "turn: I was saying something"]
    assert (await saying).interrupted


# Races -----------------------------------------------------------------------------------------


@virtual_time
async def test_a_voice_that_fails_in_a_pause_gives_the_floor_to_the_caller() -> None:
    it = await call()
    it.studio.voice.held = True
    saying = it.studio.say(LONG)
    await settled()
    it.studio.voice.release(done=False)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    it.studio.speaker.failed(ConnectionResetError("gone"))
    it.hears(EndOfTurn("hello"))
    assert it.log == ["turn: hello"]
    assert isinstance(await asyncio.gather(saying, return_exceptions=True), list)


@virtual_time
async def test_a_goodbye_that_begins_in_a_pause_is_heard_out_and_the_caller_cannot_stop_it() -> (
    None
):
    it = await call()
    saying = it.studio.say(LONG)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    it.studio.speaker.protect()
    it.hears(Partial("no wait"), EndOfTurn("no wait"))
    it.taking.key("1")
    assert "give up" not in it.log
    await it.studio.play_out()
    assert (await saying).text == LONG


@virtual_time
async def test_speech_queued_behind_what_was_interrupted_is_not_said() -> None:
    it = await call()
    first, second = it.studio.say(LONG), it.studio.say("and one more thing")
    await it.studio.letters(20)
    it.hears(Partial("stop"))
    assert (await first).interrupted
    assert (await second).text == ""


@virtual_time
async def test_protected_speech_queued_behind_what_was_interrupted_is_said_at_once() -> None:
    it = await call()
    first, second = it.studio.say(LONG), it.studio.say("This is recorded", interruptible=False)
    await it.studio.letters(20)
    it.hears(Partial("stop"))
    assert (await first).interrupted
    it.hears(EndOfTurn("stop"), SpeechStarted(), Partial("stop it"))
    assert not it.is_paused()
    await it.studio.play_out()
    assert (await second).text == "This is recorded"
    assert it.log == ["give up", "turn: stop"]


@virtual_time
async def test_a_stream_that_is_lost_in_a_pause_lets_the_speech_go_on_with_the_next() -> None:
    it = await call()
    saying = it.studio.say(LONG)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    it.studio.lose_stream()
    await asyncio.sleep(4)
    assert not it.is_paused()
    it.studio.stream()
    await it.studio.play_out()
    assert (await saying).text == LONG


@virtual_time
async def test_what_is_heard_once_the_call_is_closed_changes_nothing() -> None:
    it = await call(silence=True)
    saying = it.studio.say(LONG)
    await it.studio.letters(20)
    it.hears(SpeechStarted())
    it.taking.close()
    it.hears(Partial("stop"), EndOfTurn("stop"))
    it.taking.key("1")
    it.taking.agent_changed()
    await asyncio.sleep(100)
    assert it.log == []
    saying.cancel()


# The caller's turn -----------------------------------------------------------------------------


@virtual_time
async def test_an_eager_end_has_an_answer_prepared_and_a_caller_who_goes_on_has_it_forgotten() -> (
    None
):
    it = await call()
    it.hears(SpeechStarted(), EagerEnd("a table"), Partial("a table for two"))
    it.hears(EagerEnd("a table for two"), EndOfTurn("A table for two."))
    assert it.log == [
        "prepare: a table",
        "forget",
        "prepare: a table for two",
        "turn: A table for two.",
    ]


@pytest.mark.parametrize("eager", [True, False])
def test_nothing_is_prepared_while_the_agent_has_the_floor_or_when_it_must_not(eager: bool) -> None:
    @virtual_time
    async def case() -> None:
        it = await call(Turns(silence_s=None, eager=eager))
        if eager:
            it.thinks(True)
        it.hears(EagerEnd("mhm"))
        assert "prepare: mhm" not in it.log

    case()


@virtual_time
async def test_a_caller_who_goes_on_while_it_thinks_has_the_answer_given_up() -> None:
    it = await call()
    it.hears(EndOfTurn("a table"))
    it.thinks(True)
    it.hears(SpeechStarted(), Partial("for two"), EndOfTurn("for two"))
    assert it.log == ["turn: a table", "give up", "turn: for two"]


@virtual_time
async def test_a_provider_that_never_ends_a_turn_is_asked_and_then_not_waited_for() -> None:
    it = await call()
    it.hears(Partial("hello"))
    await asyncio.sleep(3.1)
    assert it.log == ["end turn"]
    await asyncio.sleep(0.7)
    assert it.log == ["end turn", "turn: hello"]


# Keys ------------------------------------------------------------------------------------------


@virtual_time
async def test_a_key_stops_the_agent_and_is_collected() -> None:
    it = await call()
    saying = it.studio.say(LONG)
    await it.studio.letters(20)
    it.taking.key("4")
    assert it.studio.wire.kinds()[-1] is messages.Clear
    assert (await saying).text == "I have looked it up"
    it.taking.key("2")
    await asyncio.sleep(3.1)
    assert it.log == ["give up", "keys: 42"]


@virtual_time
async def test_the_end_key_completes_keys_at_once() -> None:
    it = await call()
    for key in "123#":
        it.taking.key(key)
    assert it.log == ["keys: 123"]


# Silence and length ----------------------------------------------------------------------------

QUIET = Turns(silence_s=10.0, ask_times=2)


@virtual_time
async def test_silence_is_asked_about_twice_and_then_left() -> None:
    it = await call(QUIET, silence=True)
    await asyncio.sleep(100)
    assert it.log == [Ask(), Ask(), Leave()]


@virtual_time
async def test_silence_that_is_not_minded_is_not_asked_about() -> None:
    it = await call(QUIET, silence=False)
    await asyncio.sleep(100)
    assert it.log == []


@virtual_time
async def test_silence_counts_from_when_the_agent_was_heard_to_its_end() -> None:
    it = await call(QUIET, silence=True)
    await asyncio.sleep(9)
    saying = it.studio.say(LONG)
    await it.studio.play_out()
    await saying
    await asyncio.sleep(9.9)
    assert it.log == []
    await asyncio.sleep(0.2)
    assert it.log == [Ask()]


@virtual_time
async def test_a_caller_who_speaks_is_not_asked_meanwhile() -> None:
    it = await call(QUIET, silence=True)
    await asyncio.sleep(9)
    it.hears(Partial("well"))
    await asyncio.sleep(2)
    it.hears(EndOfTurn("well"))
    await asyncio.sleep(9)
    assert it.log == ["turn: well"]


@virtual_time
async def test_noises_do_not_keep_a_call_without_words_alive() -> None:
    it = await call(QUIET, silence=True)
    for _ in range(60):
        it.hears(SpeechStarted())
        await asyncio.sleep(2)
    assert it.log == [Ask(), Ask(), Leave()]


@virtual_time
async def test_hold_music_does_not_keep_a_call_alive() -> None:
    it = await call(QUIET, silence=True)
    for _ in range(5):
        it.hears(SpeechStarted(lasting=True))
        await asyncio.sleep(40)
    assert [due for due in it.log if due != "end turn"] == [Ask(), Ask(), Leave()]


@virtual_time
async def test_nobody_is_asked_into_the_first_sound_of_a_word() -> None:
    it = await call(QUIET, silence=True)
    await asyncio.sleep(9.8)
    it.hears(SpeechStarted())
    await asyncio.sleep(0.5)
    it.hears(Partial("sorry"), EndOfTurn("sorry"))
    assert it.log == ["turn: sorry"]


@virtual_time
async def test_a_key_is_a_sign_of_life() -> None:
    it = await call(QUIET, silence=True)
    await asyncio.sleep(25)
    it.taking.key("1")
    await asyncio.sleep(24)
    assert [due for due in it.log if due == Leave()] == []


@virtual_time
async def test_time_that_is_up_while_the_line_is_away_is_told_when_it_is_back() -> None:
    """Who is on hold for a human is neither warned nor hung up on."""
    it = await call(Turns(silence_s=None, longest_s=300, warn_s=60))
    await asyncio.sleep(200)
    it.taking.line(False)
    await asyncio.sleep(150)
    assert it.log == []
    it.taking.line(True)
    await asyncio.sleep(0.1)
    assert it.log == [TimeUp()]


@virtual_time
async def test_the_end_of_a_call_is_announced_and_comes() -> None:
    it = await call(Turns(silence_s=None, longest_s=300, warn_s=60))
    await asyncio.sleep(241)
    assert it.log == [Warn()]
    await asyncio.sleep(60)
    assert it.log == [Warn(), TimeUp()]


# Whatever comes --------------------------------------------------------------------------------

_TEXT = st.sampled_from(["yeah", "no wait", "two of us"])
_DEED = st.one_of(
    st.builds(SpeechStarted, st.booleans()),
    st.just(SpeechStopped()),
    st.builds(Partial, _TEXT),
    st.builds(EagerEnd, _TEXT),
    st.builds(EndOfTurn, st.one_of(st.just(""), _TEXT)),
    st.integers(1, 4000),
    st.sampled_from(
        ["say", "firmly", "thinks", "thought", "key", "lose", "stream", "echo", "fail", "protect"]
    ),
)


async def _do(it: Call, deed: Hearing | int | str, saying: list[asyncio.Task[Spoken]]) -> None:
    """Let it happen, if it can."""
    studio = it.studio
    deeds: dict[str, Callable[[], object]] = {
        "say": lambda: saying.append(studio.say(LONG)),
        "firmly": lambda: saying.append(studio.say(LONG, interruptible=False)),
        "thinks": lambda: it.thinks(True),
        "thought": lambda: it.thinks(False),
        "key": lambda: it.taking.key("1"),
        "lose": studio.lose_stream if studio.call.streaming else settled,
        "stream": settled if studio.call.streaming else studio.stream,
        "fail": lambda: studio.speaker.failed(ConnectionResetError("gone")),
        "protect": studio.speaker.protect,
    }
    match deed:
        case int():
            await asyncio.sleep(deed / 1000)
        case "echo":
            await studio.play_out()
        case str():
            waits = deeds[deed]()
            if asyncio.iscoroutine(waits):
                await waits
        case _:
            it.hears(deed)
    await settled()


@settings(max_examples=120, deadline=None)
@given(st.lists(_DEED, max_size=30))
def test_a_call_always_comes_to_rest_with_nothing_held_back_or_begun_and_not_ended(
    deeds: list[Hearing | int | str],
) -> None:
    @virtual_time
    async def case() -> None:
        it, saying = await call(), list[asyncio.Task[Spoken]]()
        for deed in deeds:
            await _do(it, deed, saying)
        rest: list[int | str] = ["thought", "stream", 60_000, "echo", 60_000]
        for step in [*rest, *["echo"] * len(saying)]:
            await _do(it, step, saying)
        assert not it.is_paused()
        assert it.taking._listening.state is listening.State.QUIET
        assert it.taking._floor.state is floor.State.OPEN
        assert it.studio.speaker.left_ms is None
        for spoken in await asyncio.gather(*saying, return_exceptions=True):
            if isinstance(spoken, Spoken):
                assert LONG.startswith(spoken.text)
                assert spoken.interrupted == (spoken.text != LONG)
        it.taking.close()

    case()
