import pytest

from worker.credentials import Credentials, credentials
from worker.errors import ProviderRefusedError

URL = "https://api.acme.example"


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    monkeypatch.delenv("ACME_BASE_URL", raising=False)


def test_a_key_alone_is_for_the_providers_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret")
    assert credentials("acme", URL) == Credentials("secret", URL)
    assert credentials("acme", URL).websocket_url == "wss://api.acme.example"


def test_another_address_may_be_plain_and_have_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret")
    monkeypatch.setenv("ACME_BASE_URL", "http://127.0.0.1:8080/acme/")
    found = credentials("acme", URL)
    assert found.base_url == "http://127.0.0.1:8080/acme"
    assert found.websocket_url == "ws://127.0.0.1:8080/acme"


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_without_a_key_the_variable_to_set_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ACME_API_KEY", value)
    with pytest.raises(ProviderRefusedError, match="set ACME_API_KEY"):
        credentials("acme", URL)
    with pytest.raises(ProviderRefusedError, match="set ACME_API_KEY"):
        credentials("acme", URL, needs_key=False)


def test_a_server_of_ones_own_may_need_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_BASE_URL", "http://127.0.0.1:11434")
    assert credentials("acme", URL, needs_key=False).base_url == "http://127.0.0.1:11434"
    with pytest.raises(ProviderRefusedError, match="set ACME_API_KEY"):
        credentials("acme", URL)


def test_space_around_a_value_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", " secret\n")
    monkeypatch.setenv("ACME_BASE_URL", " HTTPS://Acme.example/ ")
    assert credentials("acme", URL) == Credentials("secret", "https://Acme.example")


@pytest.mark.parametrize(
    "address", ["acme.example", "localhost:8080", "ws://acme.example", "https://", "ftp://a.b"]
)
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret")
    monkeypatch.setenv("ACME_BASE_URL", address)
    with pytest.raises(ProviderRefusedError, match="ACME_BASE_URL must begin with http"):
        credentials("acme", URL)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", "a\x7fb"])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ACME_API_KEY", key)
    with pytest.raises(ProviderRefusedError, match="ACME_API_KEY") as caught:
        credentials("acme", URL)
    assert key not in str(caught.value)


def test_a_key_never_shows() -> None:
    assert "secret" not in repr(Credentials("secret", URL))
