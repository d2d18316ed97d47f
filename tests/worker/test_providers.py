"""What an author can name, and what is chosen for an author that does not mind."""

import importlib
import subprocess
import sys

import pytest

from worker import providers
from worker.hosted import hosted

KEYS = ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_API_KEY")


@pytest.mark.parametrize("name", providers.__all__)
def test_every_provider_is_found_by_its_name(name: str) -> None:
    found = getattr(providers, name)
    assert found.__name__ == name
    assert getattr(importlib.import_module(found.__module__), name) is found


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = providers.Nobody


def test_providers_that_are_not_named_are_not_imported() -> None:
    code = (
        "import sys; from worker.providers import Deepgram, OpenAI, Cartesia; "
        "print([name for name in ('openai', 'deepgram', 'cartesia', 'pocketsphinx', "
        "'worker.tts.elevenlabs') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ((), None),
        (("DEEPGRAM_API_KEY",), None),
        (("OPENAI_API_KEY",), "OpenAITranscription OpenAI OpenAISpeech"),
        (("OPENAI_API_KEY", "DEEPGRAM_API_KEY"), "Deepgram OpenAI DeepgramAura"),
        (("OPENAI_API_KEY", "DEEPGRAM_API_KEY", "CARTESIA_API_KEY"), "Deepgram OpenAI Cartesia"),
        (("OPENAI_API_KEY", "ELEVENLABS_API_KEY"), "OpenAITranscription OpenAI ElevenLabs"),
    ],
)
def test_an_agent_that_does_not_mind_has_what_there_are_keys_for(
    keys: tuple[str, ...], chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    for key in keys:
        monkeypatch.setenv(key, "sk-test")
    found = hosted()
    assert (" ".join(type(each).__name__ for each in found) if found else None) == chosen
