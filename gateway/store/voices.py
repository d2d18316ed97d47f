"""What companies say of the voice that holds their calls, read from their rows.

Its face is `Companies`, which keeps it in memory: a call is answered without the database.
"""

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import RowMapping

from gateway.store.company import Speech
from gateway.store.secrets import SecretError, Secrets
from gateway.store.tables import companies

log = structlog.get_logger(__name__)

_c = companies.c
COLUMNS = (
    *(_c.id, _c.speech_key, _c.speech_url, _c.system_prompt),
    *(_c.model, _c.voice, _c.first_speaker),
)


def speech_of(row: RowMapping, secrets: Secrets) -> Speech:
    """Return what a row that has `COLUMNS` says. Raises ``SecretError``."""
    key = row["speech_key"]
    return _speech(row, secrets.shown(key) if key is not None else None)


def _speech(row: RowMapping, key: str | None) -> Speech:
    return Speech(
        row["id"],
        key,
        row["speech_url"],
        row["system_prompt"],
        row["model"],
        row["voice"],
        row["first_speaker"],
    )


def speech_by_company(rows: Sequence[RowMapping], secrets: Secrets) -> Mapping[int, Speech]:
    """Return what each company says. Slow: it decrypts.

    One whose key cannot be decrypted has an empty one, and the log has it.
    """
    found = {}
    for row in rows:
        try:
            found[row["id"]] = speech_of(row, secrets)
        except SecretError as error:
            log.error("a company's voice fails", company=row["id"], reason=str(error))  # noqa: TRY400
            found[row["id"]] = _speech(row, "")
    return found
