import itertools

import pytest

from shared.engines import OFFLINE, choose_engines

KEYS = ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_API_KEY")
NAMES = (*KEYS, "OPENAI_BASE_URL")


def chosen(*names: str) -> tuple[str, str, str]:
    engines = choose_engines(dict.fromkeys(names, "x"))
    return engines.stt, engines.llm, engines.tts


def test_without_a_key_everything_is_offline_and_nothing_has_to_be_set() -> None:
    engines = choose_engines({"PATH": "/bin", "OPENAI_API_KEY": " ", "ULTRAVOX_API_KEY": "x"})
    assert (engines.stt, engines.llm, engines.tts) == OFFLINE
    assert engines.why == "offline engines: no key of a provider is set"
    assert engines.fix == ""


@pytest.mark.parametrize(
    ("names", "engines"),
    [
        (KEYS, ("deepgram", "openai", "cartesia")),
        (("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "ELEVENLABS_API_KEY"),
         ("deepgram", "openai", "elevenlabs")),
        (("DEEPGRAM_API_KEY", "OPENAI_API_KEY"), ("deepgram", "openai", "deepgram")),
        (("DEEPGRAM_API_KEY", "OPENAI_BASE_URL"), ("deepgram", "openai", "deepgram")),
        (("OPENAI_API_KEY",), ("openai", "openai", "openai")),
        (("OPENAI_API_KEY", "CARTESIA_API_KEY"), ("openai", "openai", "cartesia")),
    ],
)  # fmt: skip
def test_hosted_engines_are_taken_in_the_order_of_their_fitness(
    names: tuple[str, ...], engines: tuple[str, str, str]
) -> None:
    assert chosen(*names) == engines


def test_the_reason_names_who_hears_thinks_and_speaks() -> None:
    engines = choose_engines(dict.fromkeys(KEYS, "x"))
    assert engines.why == "hosted: deepgram hears, openai thinks, cartesia speaks"
    assert engines.hosted
    assert engines.fix == ""


@pytest.mark.parametrize(
    ("names", "lacks", "fix"),
    [
        (("DEEPGRAM_API_KEY",), "thinks", "set OPENAI_API_KEY or OPENAI_BASE_URL"),
        (
            ("OPENAI_BASE_URL", "CARTESIA_API_KEY"),
            "hears",
            "set DEEPGRAM_API_KEY or OPENAI_API_KEY",
        ),
        (
            ("ELEVENLABS_API_KEY",),
            "hears or thinks",
            "set DEEPGRAM_API_KEY or OPENAI_API_KEY, and OPENAI_API_KEY or OPENAI_BASE_URL",
        ),
    ],
)
def test_what_keeps_hosted_engines_away_is_named(
    names: tuple[str, ...], lacks: str, fix: str
) -> None:
    engines = choose_engines(dict.fromkeys(names, "x"))
    assert not engines.hosted
    assert engines.why == f"offline engines: no hosted one {lacks} with the keys that are set"
    assert engines.fix == fix


def test_engines_are_all_hosted_or_all_offline_and_what_is_said_to_help_helps() -> None:
    for size in range(len(NAMES) + 1):
        for names in itertools.combinations(NAMES, size):
            engines = choose_engines(dict.fromkeys(names, "x"))
            found = {engines.stt, engines.llm, engines.tts}
            assert engines.hosted == (not found & set(OFFLINE))
            wanted = [name for name in NAMES if name in engines.fix]
            if wanted:
                assert choose_engines(dict.fromkeys((*names, *wanted), "x")).hosted
