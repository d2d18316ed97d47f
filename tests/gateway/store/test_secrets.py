"""Any text is a key; the first encrypts, all decrypt, and errors tell nothing."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.store.secrets import SecretError, Secrets
from shared.settings import Settings


def test_what_was_hidden_is_shown_again() -> None:
    secrets = Secrets(["schlüssel"])
    hidden = secrets.hidden("täglich")
    assert "täglich" not in hidden
    assert secrets.shown(hidden) == "täglich"
    assert hidden != secrets.hidden("täglich")


def test_every_key_decrypts_and_the_first_encrypts() -> None:
    hidden = Secrets(["old"]).hidden("x")
    both = Secrets(["new", "old"])
    assert both.shown(hidden) == "x"
    assert Secrets(["new"]).shown(both.rotated(hidden)) == "x"


@pytest.mark.parametrize("hidden", ["", "x", "é", "gAAAAAB" + "A" * 80])
def test_what_is_no_secret_of_ours_is_refused_without_a_word_of_it(hidden: str) -> None:
    secrets = Secrets(["key"])
    with pytest.raises(SecretError) as caught:
        secrets.shown(hidden)
    assert caught.value.__suppress_context__
    assert "SECRET_KEY" in str(caught.value)
    with pytest.raises(SecretError):
        secrets.rotated(hidden)


def test_without_a_setting_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    hidden = Secrets.of(settings).hidden("x")
    assert Secrets.of(settings).shown(hidden) == "x"
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600


def test_a_setting_may_hold_several_keys(tmp_path: Path) -> None:
    old = Secrets(["old"]).hidden("x")
    settings = Settings(data_dir=tmp_path, secret_key=SecretStr("new, old"))
    assert Secrets.of(settings).shown(old) == "x"
    assert not (tmp_path / "secret-key").exists()
