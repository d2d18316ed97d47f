import subprocess
import sys

import pytest

from gateway.doctor import engines
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


def test_the_offline_engines_load() -> None:
    assert Seen(engines.check_engines(Settings())).worst is Status.OK


def receptionist(**values: str) -> Seen:
    return Seen(engines.check_receptionist(Settings.model_validate(values)))


def test_without_keys_the_receptionist_is_offline_and_nothing_is_wrong_with_that() -> None:
    seen = receptionist()
    assert seen.worst is Status.OK
    assert "offline engines" in seen.text


def test_with_keys_the_receptionist_is_hosted_and_no_key_is_shown() -> None:
    seen = receptionist(openai_api_key="sk-123")
    assert seen.worst is Status.OK
    assert "openai thinks" in seen.text
    assert "sk-123" not in seen.text


def test_keys_that_make_no_agent_are_a_warning_that_names_what_is_missing() -> None:
    seen = receptionist(cartesia_api_key="x", openai_base_url="http://127.0.0.1:11434/v1")
    assert seen.worst is Status.WARN
    assert "DEEPGRAM_API_KEY" in seen.text
    assert seen.all_have_fixes()


def test_hosted_engines_without_their_sdk_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_SDKS", {"openai": "no_such_package", "espeak": "nor_this"})
    seen = receptionist(openai_api_key="sk-123")
    assert seen.worst is Status.FAIL
    assert "no SDK of openai" in seen.text
    assert "callfarm[providers]" in seen.text


def test_looking_for_the_sdks_imports_none() -> None:
    code = (
        "import sys\n"
        "from gateway.doctor.engines import check_receptionist\n"
        "from shared.settings import Settings\n"
        "list(check_receptionist(Settings.model_validate({'openai_api_key': 'x'})))\n"
        "print({'openai', 'deepgram', 'cartesia'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_engine_that_does_not_load_fails_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libespeak-ng.so: cannot open shared object file")

    monkeypatch.setattr(engines, "_load_espeak", broken)
    findings = list(engines.check_engines(Settings()))
    assert [finding.status for finding in findings] == [Status.OK, Status.FAIL]
    assert findings[1].subject == "espeak-ng"
