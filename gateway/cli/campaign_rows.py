"""The rows of a leads file, checked before anything is asked of the gateway."""

from collections.abc import Iterable
from pathlib import Path

from gateway.campaigns.lead_file import BadRow, LeadFileError, Row, read_leads
from gateway.cli.output import fail, note
from gateway.dialer.numbers import NumberRefusedError, NumberRules, callable_number
from shared.settings import Settings

_MOST_SHOWN = 20


def checked(path: Path, column: str | None, settings: Settings, *, skip_bad: bool) -> list[Row]:
    """Return the rows that may be called; tell of the others, and leave unless they are skipped."""
    rules = NumberRules(settings.dial_region, settings.dial_allow, settings.dial_deny)
    try:
        found = read_leads(path.read_bytes(), column)
        good, bad = _sorted(found.rows, rules)
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except LeadFileError as error:
        fail(f"{path}, {error}")
    total = len(good) + len(bad)
    if bad:
        tell_bad(bad, total, skip_bad=skip_bad)
    if not good:
        fail(f"{path} names nobody who can be called")
    return good


def tell_bad(bad: list[BadRow], total: int, *, skip_bad: bool) -> None:
    """List bad rows; leave unless they are skipped."""
    for it in bad[:_MOST_SHOWN]:
        number = f" ({it.phone})" if it.phone and it.phone not in it.reason else ""
        note(f"row {it.line}: {it.reason}{number}", to_stderr=True)
    if len(bad) > _MOST_SHOWN:
        note(f"... and {len(bad) - _MOST_SHOWN} more", to_stderr=True)
    if not skip_bad:
        advice = "mend them, or leave them out with --skip-bad; nobody was called"
        fail(f"{len(bad)} of {total} rows cannot be called: {advice}")
    note(f"{len(bad)} of {total} rows are left out", to_stderr=True)


def _sorted(rows: Iterable[Row | BadRow], rules: NumberRules) -> tuple[list[Row], list[BadRow]]:
    good, bad, seen = list[Row](), list[BadRow](), dict[str, int]()
    for it in rows:
        if isinstance(it, BadRow):
            bad.append(it)
            continue
        try:
            phone = callable_number(it.phone, rules)
        except NumberRefusedError as error:
            bad.append(BadRow(it.line, it.phone, str(error)))
            continue
        if phone in seen:
            bad.append(BadRow(it.line, phone, f"row {seen[phone]} has the same number"))
            continue
        seen[phone] = it.line
        good.append(Row(it.line, phone, it.variables))
    return good, bad
