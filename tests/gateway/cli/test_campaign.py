"""What ``callfarm campaign`` refuses before it asks the gateway, and how it shows things."""

import csv
import io
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.campaign_bar import Rate, counts, eta, outcomes
from gateway.cli.campaign_report import _as_csv

PROGRESS = {
    "total": 10,
    "waiting": 4,
    "dialling": 1,
    "in_progress": 1,
    "done": 3,
    "failed": 1,
    "skipped": 0,
    "cancelled": 0,
    "attempts": 6,
    "outcomes": {"busy": 1, "answered": 3},
    "next_at": None,
}


def run(tmp_path: Path, *options: str, text: str = "phone\n+4930123456\n") -> tuple[int, str]:
    file = tmp_path / "leads.csv"
    file.write_text(text)
    words = ["campaign", "run", str(file), "--data-dir", str(tmp_path), *options]
    result = CliRunner().invoke(app, words, env={"TERM": "dumb"})
    return result.exit_code, result.output + result.stderr


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--hours", "18-9"), "before the end"),
        (("--hours", "morning"), "9-18"),
        (("--days", "someday"), "mon-fri"),
        (("--attempts", "0"), "attempts is 0"),
        (("--machine", "shout"), "machine"),
        (("--zone", "Mars/Olympus"), "Europe/Berlin"),
        (("--holiday", "christmas"), "holidays"),
        (("--phone-column", "fax"), "no column 'fax'"),
        (("--var", "name"), "--var name=value"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    tmp_path: Path, options: tuple[str, ...], part: str
) -> None:
    code, told = run(tmp_path, *options)
    assert code == 1
    assert part in told


def test_a_dry_run_calls_nobody_and_needs_no_gateway(tmp_path: Path) -> None:
    assert run(tmp_path, "--dry-run") == (0, "1 could be called; nobody was.\n")


def test_a_file_in_which_nobody_can_be_called_is_refused(tmp_path: Path) -> None:
    code, told = run(tmp_path, "--skip-bad", text="phone\n112\n")
    assert code == 1
    assert "line 2:" in told
    assert "names nobody" in told


def test_where_a_campaign_stands_is_said_in_a_line() -> None:
    assert (
        counts(PROGRESS) == "4 of 10 over  1 dialling  1 in progress  3 done  1 failed  4 waiting"
    )
    assert outcomes(PROGRESS) == "6 calls: 3 answered, 1 busy"


def test_how_long_it_will_take_is_reckoned_from_the_last_minutes() -> None:
    rate = Rate()
    rate.see(0.0, 0)
    assert rate.a_minute == 0
    rate.see(30.0, 3)
    assert eta(PROGRESS, rate.a_minute) == "6 a minute, about 1 min left"
    rate.see(1000.0, 3)
    assert eta(PROGRESS, rate.a_minute) == ""
    waits = PROGRESS | {"dialling": 0, "in_progress": 0, "next_at": time.time() + 90_000}
    assert eta(waits, 0).startswith("next call 20")


def test_a_report_holds_no_formula_for_a_spreadsheet() -> None:
    lead = dict.fromkeys(("state", "outcome", "attempts", "status", "answered_by", "seconds"))
    lead |= {"number": 0, "phone": "+49301", "call_sid": None, "error": "=1+1"}
    lead["variables"] = {"note": "@SUM(A1)", "age": "-3"}
    out = io.StringIO()
    assert _as_csv(out, iter([lead]), ["note", "age"]) == 1
    _, row = csv.reader(io.StringIO(out.getvalue()))
    assert row[1] == "+49301"
    assert row[9:] == ["'=1+1", "'@SUM(A1)", "-3"]
