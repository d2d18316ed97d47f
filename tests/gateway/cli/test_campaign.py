"""What ``callfarm campaign`` refuses before it asks the gateway, and how it shows things."""

import csv
import io
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.campaign_bar import Rate, counts, eta, outcomes
from gateway.cli.campaign_report import _COLUMNS, _as_csv, _opened

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
    assert "row 2:" in told
    assert "names nobody" in told


def test_where_a_campaign_stands_is_said_in_a_line() -> None:
    assert (
        counts(PROGRESS) == "4 of 10 over  1 dialling  1 in progress  3 done  1 failed  4 waiting"
    )
    assert outcomes(PROGRESS) == "6 calls; people: 3 answered, 1 busy"


def test_how_long_it_will_take_is_reckoned_from_the_last_minutes() -> None:
    rate = Rate()
    rate.see(0.0, 0)
    assert rate.a_minute == 0
    rate.see(30.0, 3)
    assert eta(PROGRESS, rate.a_minute) == "6 a minute, about 1 min left"
    assert eta(PROGRESS, 7.0) == "7 a minute, less than a minute left"
    rate.see(1000.0, 3)
    assert eta(PROGRESS, rate.a_minute) == ""
    waits = PROGRESS | {"dialling": 0, "in_progress": 0, "next_at": time.time() + 90_000}
    assert eta(waits, 0).startswith("next call 20")


def test_a_report_holds_no_formula_for_a_spreadsheet() -> None:
    row = reported(error="=1+1", variables={"note": "@SUM(A1)", "age": "-3"})
    assert row["phone"] == "+49301"
    assert (row["error"], row["variables.note"], row["variables.age"]) == (
        *("'=1+1", "'@SUM(A1)", "-3"),
    )


def test_a_report_has_times_that_a_spreadsheet_takes_for_times_and_whole_seconds() -> None:
    at = time.mktime((2026, 11, 27, 9, 5, 0, 0, 0, -1))
    row = reported(called=at + 0.3, next_at=None, seconds=19.97)
    assert row["number"] == "1", "people count from 1"
    assert (row["called"], row["next_at"], row["seconds"]) == ("2026-11-27 09:05:00", "", "20")


def reported(**values: object) -> dict[str, str]:
    """Return a lead's row as a spreadsheet reads it."""
    lead: dict[str, Any] = dict.fromkeys(_COLUMNS)
    lead |= {"number": 0, "phone": "+49301", "variables": {}, **values}
    out = io.StringIO()
    assert _as_csv(out, iter([lead]), list(lead["variables"])) == 1
    (row,) = csv.DictReader(io.StringIO(out.getvalue()))
    return row


def test_what_is_said_of_bad_rows_does_not_get_between_the_lines_of_json(tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    file.write_text("phone\n+4930123456\n112\n")
    words = ["campaign", "run", str(file), "--dry-run", "--skip-bad", "--json"]
    result = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])
    assert json.loads(result.stdout)["leads"] == 1
    assert "row 3:" in result.stderr


def test_a_report_that_cannot_be_finished_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    file.write_text("before")
    with suppress(ZeroDivisionError), _opened(file, "utf-8-sig") as out:
        out.write("half")
        raise ZeroDivisionError
    assert file.read_text() == "before"
    with _opened(file, "utf-8-sig") as out:
        out.write("Köln")
    assert file.read_bytes() == b"\xef\xbb\xbfK\xc3\xb6ln"
    assert [each.name for each in tmp_path.iterdir()] == ["report.csv"]
