from pathlib import Path

import pytest

from gateway.doctor.certificate import check_tls, expiry
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.fakes.certificates import EXPIRED, LOCALHOST, OTHER, Certificate
from tests.gateway.doctor.conftest import Seen

YEAR_2126 = 4_922_899_200.0  # seconds since 1970


def looked_at(folder: Path, certificate: Certificate, url: str | None = None) -> Seen:
    cert, key = certificate.write(folder)
    return Seen(check_tls(Settings(tls_cert_file=cert, tls_key_file=key, public_url=url)))


def test_without_a_certificate_of_our_own_a_proxy_has_one() -> None:
    assert Seen(check_tls(Settings())).worst is Status.OK


def test_a_good_certificate_tells_how_long_it_is_good(tmp_path: Path) -> None:
    assert expiry(*LOCALHOST.write(tmp_path), host=None) == YEAR_2126
    assert looked_at(tmp_path, LOCALHOST).worst is Status.OK


def test_a_certificate_for_the_public_name_is_fine(tmp_path: Path) -> None:
    assert looked_at(tmp_path, LOCALHOST, "https://localhost").worst is Status.OK


def test_a_certificate_for_another_name_fails(tmp_path: Path) -> None:
    seen = looked_at(tmp_path, OTHER, "https://localhost")
    assert seen.worst is Status.FAIL
    assert "Hostname mismatch" in seen.text


def test_an_expired_certificate_fails(tmp_path: Path) -> None:
    seen = looked_at(tmp_path, EXPIRED)
    assert seen.worst is Status.FAIL
    assert "expired" in seen.text
    assert seen.all_have_fixes()


def test_a_certificate_about_to_expire_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.doctor.certificate.time.time", lambda: YEAR_2126 - 5 * 86_400)
    seen = looked_at(tmp_path, LOCALHOST)
    assert seen.worst is Status.WARN
    assert "expires in 5 days" in seen.text


def test_a_key_of_another_certificate_fails(tmp_path: Path) -> None:
    assert looked_at(tmp_path, Certificate(LOCALHOST.chain, OTHER.key)).worst is Status.FAIL


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_file_that_is_no_certificate_fails(tmp_path: Path, text: str) -> None:
    assert looked_at(tmp_path, Certificate(text, LOCALHOST.key)).worst is Status.FAIL


def test_a_missing_file_fails_by_name(tmp_path: Path) -> None:
    cert, key = LOCALHOST.write(tmp_path)
    key.unlink()
    seen = Seen(check_tls(Settings(tls_cert_file=cert, tls_key_file=key)))
    assert seen.worst is Status.FAIL
    assert "No such file" in seen.text
