import os
import shutil
from pathlib import Path

import pytest

from gateway.doctor.files import check_agents, check_data_dir, check_env_file
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


def test_a_private_writable_data_folder_is_fine_and_stays_as_it_is(sound: Settings) -> None:
    assert Seen(check_data_dir(sound)).worst is Status.OK
    assert list(sound.data_dir.iterdir()) == []


def test_a_data_folder_that_does_not_exist_yet_is_not_made(sound: Settings) -> None:
    settings = sound.model_copy(update={"data_dir": sound.data_dir / "a" / "b"})
    assert "will be made" in Seen(check_data_dir(settings)).text
    assert not (sound.data_dir / "a").exists()


def test_a_data_folder_that_others_can_enter_is_a_warning(sound: Settings) -> None:
    sound.data_dir.chmod(0o755)
    seen = Seen(check_data_dir(sound))
    assert seen.worst is Status.WARN
    assert f"chmod 700 {sound.data_dir}" in seen.text


def test_a_data_folder_that_is_a_file_fails(sound: Settings) -> None:
    sound.data_dir.rmdir()
    sound.data_dir.write_text("")
    assert Seen(check_data_dir(sound)).worst is Status.FAIL


def test_a_full_disk_is_a_warning(sound: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=5 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    seen = Seen(check_data_dir(sound))
    assert seen.worst is Status.WARN
    assert "5 MB free" in seen.text


def test_agents_that_parse_are_fine(sound: Settings) -> None:
    assert Seen(check_agents(sound)).worst is Status.OK


def test_no_agent_fails_with_the_command_that_makes_one(sound: Settings) -> None:
    shutil.rmtree(sound.agents_dir)
    seen = Seen(check_agents(sound))
    assert seen.worst is Status.FAIL
    assert "callfarm new" in seen.text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("broken.py", "x = 1\ndef f(:\n", "broken.py, line 2"),
        ("binary.py", "\0", "binary.py"),
        ("json.py", "", "standard library"),
        ("routes.toml", "default = ", "routes.toml"),
    ],
)
def test_a_faulty_file_fails_by_name(sound: Settings, name: str, text: str, said: str) -> None:
    (sound.agents_dir / name).write_text(text)
    seen = Seen(check_agents(sound))
    assert seen.worst is Status.FAIL
    assert said in seen.text
    assert seen.all_have_fixes()


def test_missing_routes_are_a_warning(sound: Settings) -> None:
    (sound.agents_dir / "routes.toml").unlink()
    assert Seen(check_agents(sound)).worst is Status.WARN


def test_looking_at_agents_does_not_run_them(sound: Settings) -> None:
    (sound.agents_dir / "loud.py").write_text("open('ran', 'w')\n")
    list(check_agents(sound))
    assert not Path("ran").exists()
    assert not (sound.agents_dir / "__pycache__").exists()


def test_an_env_file_for_all_to_read_is_a_warning(sound: Settings) -> None:
    Path(".env").write_text("PORT=1\n")
    Path(".env").chmod(0o644)
    assert "chmod 600" in Seen(check_env_file(sound)).text
    Path(".env").chmod(0o600)
    assert list(check_env_file(sound)) == []


def test_a_misspelt_name_is_found_with_the_one_that_was_meant(sound: Settings) -> None:
    Path(".env").write_text("PUBLIC_ULR=https://x\nAGENT_X=1\nKEY_FILE=k\nN8N_HOOK=1\n")
    os.chmod(".env", 0o600)  # noqa: PTH101
    seen = Seen(check_env_file(sound))
    assert len(seen.findings) == 2
    assert "did you mean PUBLIC_URL?" in seen.text
    assert "N8N_HOOK is no setting" in seen.text
