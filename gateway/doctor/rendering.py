"""The report for human eyes."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.doctor.finding import Finding, Report, SettingRow, Status

_STYLE = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


def render(report: Report, console: Console) -> None:
    """Write the settings, the findings and a last line that sums up."""
    if report.settings:
        console.print(_settings(report.settings))
    console.print(_findings(report.findings))
    count = dict.fromkeys(Status, 0)
    for finding in report.findings:
        count[finding.status] += 1
    verdict = "cannot work yet" if report.exit_code else "ready"
    console.print(
        f"{verdict}: {count[Status.OK]} ok, {count[Status.WARN]} warn, {count[Status.FAIL]} fail",
        highlight=False,
    )


def _settings(rows: tuple[SettingRow, ...]) -> Table:
    table = Table(title="Settings", title_justify="left", box=None, pad_edge=False)
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("source")
    for row in rows:
        style = "dim" if row.source == "default" else ""
        table.add_row(Text(row.variable), Text(row.value or "-"), Text(row.source), style=style)
    return table


def _findings(findings: tuple[Finding, ...]) -> Table:
    table = Table(title="\nChecks", title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("seen; what to do", overflow="fold")
    for finding in findings:
        text = Text(finding.text)
        if finding.fix:
            text.append(f"\n→ {finding.fix}", style="cyan")
        table.add_row(Text(finding.status, _STYLE[finding.status]), Text(finding.subject), text)
    return table
