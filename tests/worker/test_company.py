import os

import pytest

from shared.messages import VoiceAccount
from worker import Agent
from worker.call_info import CallInfo
from worker.company import as_chosen, first_speaker, hold_back, use_account
from worker.credentials import credentials
from worker.errors import ProviderRefusedError
from worker.providers import Ultravox
from worker.stand_ins import EchoSpeech

KEY, URL = "ULTRAVOX_API_KEY", "ULTRAVOX_BASE_URL"


def call(**chosen: str) -> CallInfo:
    return CallInfo("CA1", company=7, chosen=chosen)


class Greeter(Agent):
    greeting = "Good evening."


@pytest.fixture(autouse=True)
def operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "the operator's")
    monkeypatch.setenv(URL, "https://operator.example.com")


def test_a_companys_key_is_used_at_its_address() -> None:
    use_account(VoiceAccount("theirs", "https://theirs.example.com"))
    assert (os.environ[KEY], os.environ[URL]) == ("theirs", "https://theirs.example.com")


def test_a_companys_key_without_an_address_is_used_at_the_operators() -> None:
    use_account(VoiceAccount("theirs"))
    assert (os.environ[KEY], os.environ[URL]) == ("theirs", "https://operator.example.com")


def test_without_an_account_of_its_own_the_operators_is_used() -> None:
    use_account(None)
    assert (os.environ[KEY], os.environ[URL]) == ("the operator's", "https://operator.example.com")


@pytest.mark.parametrize("url", ["", "https://theirs.example.com"])
def test_a_key_that_cannot_be_read_is_not_replaced_by_the_operators(url: str) -> None:
    use_account(VoiceAccount("", url))
    with pytest.raises(ProviderRefusedError):
        credentials("ultravox", "https://api.ultravox.ai")


def test_an_account_shows_no_key() -> None:
    assert "theirs" not in repr(VoiceAccount("theirs", "https://x"))


def test_a_company_chooses_model_voice_and_who_speaks_first() -> None:
    mine = Ultravox(voice="Mark", external_voice=None)
    wanted = call(model="ultravox-v0.6", voice="Jessica", first_speaker="FIRST_SPEAKER_AGENT")
    [chosen] = as_chosen((mine,), wanted)
    assert (chosen.model, chosen.voice, chosen.speaks_first) == ("ultravox-v0.6", "Jessica", True)
    assert mine.voice == "Mark"


def test_a_voice_of_the_companys_goes_before_one_of_another_provider() -> None:
    mine = Ultravox(external_voice={"elevenLabs": {"voiceId": "x"}})
    [chosen] = as_chosen((mine,), call(voice="Jessica"))
    assert (chosen.voice, chosen.external_voice) == ("Jessica", None)


def test_what_a_company_leaves_open_is_the_agents_own_affair() -> None:
    mine = Ultravox(voice="Mark", speaks_first=True)
    assert list(as_chosen((mine,), call())) == [mine]


def test_variables_choose_nothing() -> None:
    mine = Ultravox(voice="Mark")
    info = CallInfo("CA1", variables={"voice": "Jessica", "model": "T"}, company=7)
    assert list(as_chosen((mine,), info)) == [mine]


def test_a_model_that_cannot_be_chosen_stays() -> None:
    echo = EchoSpeech()
    assert list(as_chosen((echo,), call(voice="Jessica"))) == [echo]


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("FIRST_SPEAKER_USER", "user"),
        ("FIRST_SPEAKER_AGENT", "agent"),
        (" user ", "user"),
        ("Agent", "agent"),
        ("FIRST_SPEAKER_UNSPECIFIED", None),
        ("", None),
    ],
)
def test_who_speaks_first_is_said_in_ultravox_words_or_plainly(said: str, who: str | None) -> None:
    assert first_speaker({"first_speaker": said}) == who


def test_an_agent_of_any_kind_waits_where_the_caller_is_to_speak_first() -> None:
    def greeting(info: CallInfo) -> object:
        agent = Greeter()
        hold_back(agent, info)
        return agent.greeting

    assert greeting(call(first_speaker="FIRST_SPEAKER_USER")) is None
    assert greeting(call(first_speaker="FIRST_SPEAKER_AGENT")) == "Good evening."
    ordered = CallInfo("CA1", variables={"first_speaker": "FIRST_SPEAKER_USER"}, company=7)
    assert greeting(ordered) == "Good evening."
