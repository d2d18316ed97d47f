import subprocess
import sys

import pytest

from gateway.doctor import answering
from gateway.doctor.answering import NEEDS, check_answering
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen
from worker import providers

HOSTED = "from worker.providers import hosted\nclass Echo: ...\n"


def seen(sound: Settings, source: str, **values: str) -> Seen:
    """Return what is seen of one agent with these settings."""
    (sound.agents_dir / "echo.py").write_text(source)
    chosen = Settings.model_validate({"agents_dir": sound.agents_dir, **values})
    return Seen(check_answering(chosen))


def test_every_hosted_provider_is_known_by_its_name() -> None:
    needless = {"Espeak", "PocketSphinx", "LocalEndpointing", "SemanticVad", "ServerVad", "hosted"}
    assert set(NEEDS) == set(providers.__all__) - needless
    for it in NEEDS.values():
        assert {it.key, it.address or it.key} <= set(Settings.model_fields)


def test_who_answers_is_told_and_nothing_of_agents_that_are_not_there(sound: Settings) -> None:
    it = seen(sound, "class Echo: ...\n")
    assert it.worst is Status.OK
    assert it.text == "echo:Echo answers → "


def test_others_than_the_default_are_counted(sound: Settings) -> None:
    (sound.agents_dir / "routes.toml").write_text(
        'default = "echo:Echo"\nagents = ["echo:Other"]\n[numbers]\n"+15551234567" = "echo:Echo"\n'
    )
    it = seen(sound, "class Echo: ...\nOther = Echo\n")
    assert "1 more" in it.text


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ('default = "desk:Desk"', "there is no desk"),
        ('default = "echo:Desk"', "echo.py has no Desk"),
        ('default = "echo"', "'echo', which is no agent"),
        ('default = "echo:Echo"\n[numbers]\n"+15551234567" = "a.b:C"', "there is no a.b"),
    ],
)
def test_routes_that_lead_nowhere_fail_with_what_they_name(
    sound: Settings, routes: str, said: str
) -> None:
    (sound.agents_dir / "routes.toml").write_text(routes)
    it = seen(sound, "class Echo: ...\n")
    assert it.worst is Status.FAIL
    assert said in it.text
    assert it.all_have_fixes()


def test_a_provider_without_its_key_is_a_warning_that_names_both(sound: Settings) -> None:
    source = "from worker.providers import Deepgram, DeepgramAura as Aura\nclass Echo: ...\n"
    it = seen(sound, source)
    assert it.worst is Status.WARN
    assert "echo.py names Deepgram, DeepgramAura, and DEEPGRAM_API_KEY is not set" in it.text
    assert it.all_have_fixes()
    assert seen(sound, source, deepgram_api_key="x").worst is Status.OK


@pytest.mark.parametrize(
    "use", ['UltravoxModel(base_url="http://gpu:8000/v1")', "ElevenLabsAgent(public=True)"]
)
def test_a_provider_that_is_told_where_it_is_needs_no_key(sound: Settings, use: str) -> None:
    name = use.partition("(")[0]
    source = f"from worker.providers import {name}\nclass Echo:\n    llm = {use}\n"
    assert seen(sound, source).worst is Status.OK


def test_a_provider_without_its_sdk_fails(sound: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "find_spec", lambda _: None)
    it = seen(sound, "from worker.providers import OpenAI\nclass Echo: ...\n", openai_api_key="x")
    assert it.worst is Status.FAIL
    assert "no SDK of openai" in it.text


@pytest.mark.parametrize("routes", ["default = ", "numbers = 5", "agents = 5\ndefault = 5", ""])
def test_routes_that_are_faulty_are_left_to_others(sound: Settings, routes: str) -> None:
    (sound.agents_dir / "routes.toml").write_text(routes)
    assert seen(sound, "class Echo: ...\n").findings == []


def test_a_module_that_does_not_parse_is_left_to_others(sound: Settings) -> None:
    assert seen(sound, "class Echo(").worst is Status.OK


# Agents that take hosted engines by the keys that are set ----------------------------------------


def test_without_keys_such_an_agent_is_offline_and_nothing_is_wrong_with_that(
    sound: Settings,
) -> None:
    it = seen(sound, HOSTED)
    assert it.worst is Status.OK
    assert "offline engines" in it.text


def test_with_keys_it_is_hosted_and_no_key_is_shown(sound: Settings) -> None:
    it = seen(sound, HOSTED, openai_api_key="sk-123")
    assert it.worst is Status.OK
    assert "openai thinks" in it.text
    assert "sk-123" not in it.text


def test_keys_that_make_no_agent_are_a_warning_that_names_what_is_missing(
    sound: Settings,
) -> None:
    it = seen(sound, HOSTED, cartesia_api_key="x", openai_base_url="http://127.0.0.1:11434/v1")
    assert it.worst is Status.WARN
    assert "DEEPGRAM_API_KEY" in it.text
    assert it.all_have_fixes()


def test_hosted_engines_without_their_sdk_fail(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "_SDKS", {"openai": "no_such_package", "espeak": "nor_this"})
    it = seen(sound, HOSTED, openai_api_key="sk-123")
    assert it.worst is Status.FAIL
    assert "no SDK of openai" in it.text
    assert "callfarm[providers]" in it.text


def test_looking_for_the_sdks_imports_none(sound: Settings) -> None:
    (sound.agents_dir / "echo.py").write_text(HOSTED + "from worker.providers import OpenAI\n")
    code = (
        "import sys\n"
        "from gateway.doctor.answering import check_answering\n"
        "from shared.settings import Settings\n"
        "list(check_answering(Settings.model_validate({'openai_api_key': 'x'})))\n"
        "print({'openai', 'deepgram', 'cartesia', 'worker', 'echo'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
