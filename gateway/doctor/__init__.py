"""``callfarm doctor``: every setting with its source, and whether this installation can work.

It asks nobody but ``PUBLIC_URL`` and the database, changes nothing, and can run beside a serving
gateway.
"""

from collections.abc import Callable, Iterable

from gateway.doctor.accounts import (
    check_own_secrets,
    check_placing,
    check_providers,
    check_twilio,
)
from gateway.doctor.answering import check_answering
from gateway.doctor.certificate import check_tls
from gateway.doctor.database import check_database
from gateway.doctor.dialling import check_dialling
from gateway.doctor.engines import check_engines
from gateway.doctor.files import check_agents, check_data_dir, check_env_file
from gateway.doctor.finding import Finding, Report, SettingRow, Status, fail
from gateway.doctor.machine import (
    check_clock,
    check_descriptors,
    check_kernel,
    check_memory,
    check_python,
)
from gateway.doctor.network import check_port, check_public_url
from gateway.doctor.rendering import render
from shared.settings import Settings, SettingsError
from shared.settings.fields import variable

__all__ = ["Finding", "Report", "Status", "render", "report_of", "run_doctor"]

Check = Callable[[Settings], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    check_python,
    check_kernel,
    check_memory,
    check_descriptors,
    check_clock,
    check_data_dir,
    check_database,
    check_dialling,
    check_agents,
    check_env_file,
    check_tls,
    check_public_url,
    check_port,
    check_twilio,
    check_placing,
    check_own_secrets,
    check_providers,
    check_answering,
    check_engines,
)


def run_doctor(settings: Settings, checks: Iterable[Check] = CHECKS) -> Report:
    """Look at everything; takes a second, and three more where the network does not answer."""
    rows = (
        SettingRow(variable(field), settings.shown(field), str(settings.source(field)))
        for field in Settings.model_fields
    )
    return Report(tuple(rows), tuple(f for check in checks for f in _findings(check, settings)))


def report_of(error: SettingsError) -> Report:
    """Return the report when there are no settings to look at, because they are wrong."""
    findings = (
        fail(problem.variable or "settings", str(problem), "correct it and run the doctor again")
        for problem in error.problems
    )
    return Report((), tuple(findings))


def _findings(check: Check, settings: Settings) -> list[Finding]:
    try:
        return list(check(settings))
    except OSError as error:
        subject = check.__name__.removeprefix("check_").replace("_", " ")
        return [fail(subject, f"could not be looked at: {error}", "check files and permissions")]
