"""Twilio's REST resources as it shows them, and its pages of them."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode

from tests.fakes.twilio_account import Account, Call, Number, Recording, Refusal, Transcription
from tests.fakes.twilio_form import Form, one


def shown_call(account: Account, call: Call) -> dict[str, object]:
    """Return a call."""
    shown: dict[str, object] = {
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "status": call.status,
        "date_created": dated(account, call.created),
        "start_time": dated(account, call.started),
        "end_time": dated(account, call.ended),
        "duration": None if call.seconds is None else str(call.seconds),
        "answered_by": call.answered_by,
    }
    return _resource(account, "Calls", call.sid) | shown


def dated(account: Account, at: float | None) -> str | None:
    """Return a time of ours (Unix seconds) as Twilio's clock has it (RFC 2822)."""
    if at is None:
        return None
    return format_datetime(datetime.fromtimestamp(at + account.ahead_s, UTC))


def shown_recording(account: Account, it: Recording) -> dict[str, object]:
    """Return a recording."""
    shown: dict[str, object] = {"call_sid": it.call_sid, "status": it.status, "track": it.track}
    source: dict[str, object] = {"channels": it.channels, "source": "StartCallRecordingAPI"}
    return _resource(account, "Recordings", it.sid) | shown | source


def shown_transcription(account: Account, it: Transcription) -> dict[str, object]:
    """Return a real-time transcription."""
    shown: dict[str, object] = {"call_sid": it.call_sid, "name": it.name, "status": it.status}
    return _resource(account, "Transcriptions", it.sid) | shown


def shown_number(account: Account, it: Number) -> dict[str, object]:
    """Return a number of the account."""
    shown: dict[str, object] = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in it.settings.items()
    }
    return (
        _resource(account, "IncomingPhoneNumbers", it.sid)
        | {"phone_number": it.phone_number}
        | shown
    )


def _resource(account: Account, kind: str, sid: str) -> dict[str, object]:
    uri = f"/2010-04-01/Accounts/{account.sid}/{kind}/{sid}.json"
    return {"sid": sid, "account_sid": account.sid, "api_version": "2010-04-01", "uri": uri}


def paged(
    account: Account, path: str, name: str, form: Form, items: list[dict[str, object]]
) -> dict[str, object]:
    """Return the page of ``items`` that ``form`` asks for, the address of the next one in it."""
    size, page = int(one(form, "PageSize") or 50), int(one(form, "Page") or 0)
    if not 1 <= size <= 1000:
        raise Refusal(400, 20001, f"PageSize {size} is not 1 to 1000")
    shown = items[page * size : (page + 1) * size]
    query = {key: values[0] for key, values in form.items()} | {"PageSize": size, "Page": page + 1}
    following = f"/2010-04-01/Accounts/{account.sid}/{path}.json?{urlencode(query)}"
    more = len(items) > (page + 1) * size
    return {
        name: shown,
        "page": page,
        "page_size": size,
        "next_page_uri": following if more else None,
    }


def page_of(name: str, items: list[dict[str, object]]) -> dict[str, object]:
    """Return all of ``items`` on one page."""
    return {name: items, "page": 0, "page_size": 50, "next_page_uri": None}
