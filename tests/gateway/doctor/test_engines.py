import pytest

from gateway.doctor import engines
from gateway.doctor.finding import Status
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


def test_the_offline_engines_load() -> None:
    assert Seen(engines.check_engines(Settings())).worst is Status.OK


def test_an_engine_that_does_not_load_fails_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libespeak-ng.so: cannot open shared object file")

    monkeypatch.setattr(engines, "_load_espeak", broken)
    findings = list(engines.check_engines(Settings()))
    assert [finding.status for finding in findings] == [Status.OK, Status.FAIL]
    assert findings[1].subject == "espeak-ng"
