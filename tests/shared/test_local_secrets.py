import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.local_secrets import (
    API_TOKEN_FILE,
    AUTH_TOKEN_FILE,
    LocalSecretError,
    api_token,
    local_secret,
    twilio_auth_token,
)
from shared.settings import Settings


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    made = iter(["first", "second"])
    path = tmp_path / "new" / "folder" / "secret"
    assert local_secret(path, lambda: next(made)) == "first"
    assert local_secret(path, lambda: next(made)) == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_file_and_new_folder_are_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret"
    before = os.umask(0)
    try:
        local_secret(path, lambda: "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_draft_left_by_a_crash_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.with_name(f".secret.{os.getpid()}").write_text("half")
    assert local_secret(path, lambda: "whole") == "whole"


@pytest.mark.parametrize(
    ("mode", "text", "reason"),
    [(0o644, "x", "read by others"), (0o600, "", "empty"), (0o600, " \n", "empty")],
)
def test_a_file_that_is_no_private_secret_is_refused(
    tmp_path: Path, mode: int, text: str, reason: str
) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(LocalSecretError, match=reason):
        local_secret(path, lambda: "new")
    assert path.read_text() == text


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "secret").symlink_to("target")
    with pytest.raises(LocalSecretError, match="no ordinary file"):
        local_secret(tmp_path / "secret", lambda: "new")


def _ask(path: Path, number: int, results: "multiprocessing.Queue[str]") -> None:
    results.put(local_secret(path, lambda: str(number)))


def test_processes_that_ask_at_once_get_the_same_secret(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    path = tmp_path / "data" / "secret"
    children = [context.Process(target=_ask, args=(path, n, results)) for n in range(8)]
    for child in children:
        child.start()
    answers = {results.get(timeout=30) for _ in children}
    for child in children:
        child.join()
    assert answers == {path.read_text().strip()}


def test_a_set_token_is_used_and_nothing_is_written(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path / "var", twilio_auth_token=SecretStr("a"), api_token=SecretStr("b")
    )
    assert (twilio_auth_token(settings), api_token(settings)) == ("a", "b")
    assert not (tmp_path / "var").exists()


def test_unset_tokens_are_random_and_stay(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    tokens = twilio_auth_token(settings), api_token(settings)
    assert tokens == (twilio_auth_token(settings), api_token(settings))
    assert tokens[0] != tokens[1]
    assert all(len(bytes.fromhex(token)) == 16 for token in tokens)
    assert {path.name for path in tmp_path.iterdir()} == {AUTH_TOKEN_FILE, API_TOKEN_FILE}
