import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from gateway.doctor import CHECKS, Finding, Status, render, report_of, run_doctor
from gateway.doctor.finding import fail, ok, warn
from shared.settings import Settings, SettingsError, load_settings
from shared.settings.fields import variable


def broken(_settings: Settings) -> Iterator[Finding]:
    yield fail("x", "is broken", "mend it")


def worrying(_settings: Settings) -> Iterator[Finding]:
    yield warn("y", "[red]is worrying[/red]", "look at it")


def fine(_settings: Settings) -> Iterator[Finding]:
    yield ok("z", "is fine")


def unreadable(_settings: Settings) -> Iterator[Finding]:
    raise PermissionError(13, "Permission denied", "/x")


def test_a_sound_installation_has_no_failure(sound: Settings) -> None:
    report = run_doctor(sound, [check for check in CHECKS if check.__name__ != "check_memory"])
    assert [finding for finding in report.findings if finding.status is Status.FAIL] == []
    assert report.exit_code == 0


def test_every_setting_is_listed_with_its_source_and_no_secret(sound: Settings) -> None:
    settings = sound.model_copy(update={"api_token": SecretStr("0123456789abcdef")})
    report = run_doctor(settings, [])
    assert [row.variable for row in report.settings] == list(map(variable, Settings.model_fields))
    shown = {row.variable: row.value for row in report.settings}
    assert shown["API_TOKEN"] == "****cdef"
    assert "0123456789" not in json.dumps(report.as_json())


@pytest.mark.parametrize(
    ("checks", "code"), [([fine], 0), ([fine, worrying], 0), ([worrying, broken], 1), ([], 0)]
)
def test_only_a_failure_makes_the_exit_code_one(
    sound: Settings, checks: list[object], code: int
) -> None:
    report = run_doctor(sound, checks)  # type: ignore[arg-type]
    assert report.exit_code == code


def test_a_check_that_may_not_look_is_a_finding(sound: Settings) -> None:
    report = run_doctor(sound, [unreadable, fine])
    assert [finding.status for finding in report.findings] == [Status.FAIL, Status.OK]
    assert "Permission denied" in report.findings[0].text


def test_wrong_settings_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load_settings({"port": "x", "tls_cert_file": "c"})
    report = report_of(caught.value)
    assert report.exit_code == 1
    assert "PORT" in [finding.subject for finding in report.findings]


def test_the_json_form_has_settings_findings_and_a_verdict(sound: Settings) -> None:
    data = json.loads(json.dumps(run_doctor(sound, [broken]).as_json()))
    assert data["ok"] is False
    assert data["findings"] == [
        {"status": "fail", "subject": "x", "text": "is broken", "fix": "mend it"}
    ]
    assert data["settings"][0] == {"variable": "HOST", "value": "127.0.0.1", "source": "default"}


def test_the_text_form_shows_what_to_do_and_sums_up(sound: Settings) -> None:
    out = io.StringIO()
    render(run_doctor(sound, [fine, worrying, broken]), Console(file=out, width=80))
    text = out.getvalue()
    assert "[red]is worrying[/red]" in text  # shown, not obeyed
    assert "→ mend it" in text
    assert text.splitlines()[-1] == "cannot work yet: 1 ok, 1 warn, 1 fail"


def test_the_text_form_fits_a_narrow_terminal_and_needs_no_settings() -> None:
    out = io.StringIO()
    error = SettingsError(())
    render(report_of(error), Console(file=out, width=30))
    assert "ready" in out.getvalue()
