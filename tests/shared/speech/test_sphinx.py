import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.audio import silence
from shared.speech.espeak import EspeakVoice
from shared.speech.grammar import GrammarError
from shared.speech.sphinx import Channel, Recogniser, UnknownWordsError
from tests.shared.speech.line import noise, over_the_line

VOICE = EspeakVoice("en-us+klatt4", rate=160)

GRAMMAR = """#JSGF V1.0;
grammar shop;
<item> = apples | oranges | potatoes | tomatoes | milk;
public <order> = i would like to buy [two | three | four] [bags of] <item> [please];
public <question> = when do you open tomorrow | what is your address;
"""

SENTENCES = [
    "i would like to buy three bags of potatoes please",
    "i would like to buy tomatoes",
    "when do you open tomorrow",
    "what is your address",
]


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


def hear(recogniser: Recogniser, audio: bytes, level: float = -25.0, grammar: str = GRAMMAR) -> str:
    recogniser.begin(recogniser.load(grammar), None, level)
    for start in range(0, len(audio), 160):
        recogniser.feed(audio[start : start + 160])
    return recogniser.finish()[0]


@functools.cache
def spoken(sentence: str) -> bytes:
    """A sentence by an engine that has said nothing before.

    The synthesiser's noise goes on from one utterance to the next, so what it says depends a little
    on what it has said; a fresh one always says the same.
    """
    code = (
        "import sys; from shared.speech.espeak import EspeakVoice; "
        "print(EspeakVoice('en-us+klatt4', rate=160).speak(sys.argv[1]).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sentence],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    return bytes.fromhex(done.stdout)


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("gain_db", [0.0, -15.0])
def test_a_sentence_of_the_grammar_is_heard_word_by_word(
    recogniser: Recogniser, sentence: str, gain_db: float
) -> None:
    audio = over_the_line(spoken(sentence), gain_db, noise_dbfs=-65)
    assert hear(recogniser, audio, -22 + gain_db) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "the quick brown fox jumps over the lazy dog",
        "interest rates have been rising steadily",
        "blue elephants dance quietly",
        "my grandmother lives in australia",
    ],
)
def test_what_is_not_in_the_grammar_is_not_taken_for_a_sentence(
    recogniser: Recogniser, sentence: str
) -> None:
    assert hear(recogniser, over_the_line(VOICE.speak(sentence), -3, -65)) == ""


@pytest.mark.parametrize("audio", [b"", silence(10), silence(2000), noise(2000, -30)])
def test_silence_and_noise_are_no_sentence(recogniser: Recogniser, audio: bytes) -> None:
    assert hear(recogniser, audio) == ""


def test_it_learns_the_line_from_one_utterance_to_the_next(recogniser: Recogniser) -> None:
    audio = over_the_line(VOICE.speak(SENTENCES[0]), -20, noise_dbfs=-65)
    handle = recogniser.load(GRAMMAR)
    channel: Channel | None = None
    for _ in range(2):
        recogniser.begin(handle, channel, -42.0)
        recogniser.feed(audio)
        text, channel = recogniser.finish()
        assert text == SENTENCES[0]


def test_several_grammars_live_side_by_side(recogniser: Recogniser) -> None:
    other = "#JSGF V1.0;\ngrammar yes;\npublic <answer> = certainly not | yes of course;\n"
    audio = over_the_line(VOICE.speak("yes of course"), noise_dbfs=-65)
    assert hear(recogniser, audio, grammar=other) == "yes of course"
    assert hear(recogniser, audio) == ""


def test_loading_the_same_again_is_free(recogniser: Recogniser) -> None:
    assert recogniser.load(GRAMMAR) == recogniser.load(GRAMMAR)


def test_words_nobody_knows_are_named(recogniser: Recogniser) -> None:
    text = "#JSGF V1.0;\ngrammar x;\npublic <a> = hello xyzzy | Plugh hello;\n"
    with pytest.raises(UnknownWordsError) as caught:
        recogniser.load(text)
    assert caught.value.words == ["Plugh", "xyzzy"]
    assert "xyzzy" in str(caught.value)


def test_a_word_can_be_taught(recogniser: Recogniser) -> None:
    text = "#JSGF V1.0;\ngrammar x;\npublic <a> = one large sfogliatella please | good morning;\n"
    taught = {"sfogliatella": "S F OW L Y AH T EH L AH", "please": "P L IY Z"}
    handle = recogniser.load(text, taught)
    recogniser.begin(handle, None, -22.0)
    recogniser.feed(over_the_line(VOICE.speak("one large svohlyatella please"), noise_dbfs=-65))
    assert recogniser.finish()[0] == "one large sfogliatella please"


def test_a_pronunciation_that_is_none_is_named(recogniser: Recogniser) -> None:
    text = "#JSGF V1.0;\ngrammar x;\npublic <a> = vespaa;\n"
    with pytest.raises(ValueError, match="'V Q'"):
        recogniser.load(text, {"vespaa": "V Q"})


def test_after_a_broken_grammar_a_good_one_loads(recogniser: Recogniser) -> None:
    with pytest.raises(GrammarError):
        recogniser.load("#JSGF V1.0;\ngrammar x;\npublic <a> = (hello;\n")
    assert recogniser.load("#JSGF V1.0;\ngrammar x;\npublic <a> = hello again;\n")


def test_one_utterance_at_a_time(recogniser: Recogniser) -> None:
    handle = recogniser.load(GRAMMAR)
    recogniser.begin(handle, None, -25.0)
    with pytest.raises(RuntimeError, match="one utterance"):
        recogniser.begin(handle, None, -25.0)
    recogniser.abandon()
    recogniser.abandon()
    recogniser.begin(handle, None, -25.0)
    recogniser.finish()


def test_it_writes_nothing_to_standard_error(
    recogniser: Recogniser, capfd: pytest.CaptureFixture[str]
) -> None:
    Recogniser().load(GRAMMAR)
    hear(recogniser, noise(500, -20))
    assert capfd.readouterr() == ("", "")


def test_a_recogniser_loaded_before_a_fork_hears_in_the_child(recogniser: Recogniser) -> None:
    audio = over_the_line(VOICE.speak(SENTENCES[0]), noise_dbfs=-65)
    assert hear(recogniser, audio) == SENTENCES[0]
    assert hear_in_child(recogniser, audio) == (SENTENCES[0], 1)


def hear_in_child(recogniser: Recogniser, audio: bytes) -> tuple[str, int]:
    """Return what a forked child heard and how many kernel tasks it had."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text = hear(recogniser, audio)
        tasks = len(list(Path("/proc/self/task").iterdir()))
        os.write(writing, f"{tasks} {text}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        tasks_text, _, text = answer.read().partition(" ")
    assert os.waitpid(child, 0)[1] == 0
    return text, int(tasks_text)
