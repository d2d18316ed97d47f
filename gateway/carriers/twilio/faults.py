"""What went wrong in a REST request, as one of the carrier's errors.

Twilio's codes: docs, "Error and Warning Dictionary". Branching is on the code; HTTP statuses only
tell classes apart. It refuses to know requests, and whether they are repeated.
"""

from gateway.carriers.control import (
    CallGoneError,
    CarrierError,
    CarrierRefusedError,
    CarrierUnavailableError,
)

_NOT_IN_PROGRESS = 21220
_NOT_FOUND = frozenset({404, 20404})

_ADVICE = {
    20001: "Twilio does not accept one of the parameters; its message in the Console says which",
    20003: "Twilio does not accept the credentials; check TWILIO_ACCOUNT_SID and "
    "TWILIO_AUTH_TOKEN, or the company's account_sid and auth_token, which differ per region",
    20004: "Twilio does not allow this request; is TWILIO_BASE_URL the right server",
    20005: "the Twilio account is not active; look at its state in the Console",
    20008: "test credentials cannot do this; use those of the live account",
    20009: "the call is still in progress; wait until it has ended",
    20409: "it conflicts with what is going on already; wait until that has ended",
    21201: "there is no number to call; write it like +493012345678",
    21205: "Twilio does not accept the URL; set PUBLIC_URL to an address Twilio can reach",
    21206: "these digits cannot be pressed; use 0-9, #, * and w, at most 32",
    21208: "the ring time is not accepted; take 1 to 600 seconds",
    21209: "the webhook's method is not accepted; it is GET or POST",
    21210: "the calling number is not verified; use a number of the account",
    21211: "the number to call is not valid; write it like +493012345678",
    21212: "the calling number is not valid; set TWILIO_PHONE_NUMBER, or the company's own",
    21213: "there is no calling number; set TWILIO_PHONE_NUMBER, or the company's own",
    21214: "the number cannot be reached from Twilio",
    21215: "calls to that country are off; allow them in the account's geographic permissions",
    21216: "Twilio blocks that number",
    21217: "the number does not look valid; write it like +493012345678",
    21218: "the application is not valid; remove it from the number in the Console",
    21219: "a trial account calls verified numbers only; verify it or upgrade the account",
    21262: "the answering machine detection has nowhere to report to; set PUBLIC_URL",
    21263: "the answering machine detection's callback is not accepted; set PUBLIC_URL",
    21266: "the number would call itself; give another number to call",
    10001: "the Twilio account is disabled; look at its state in the Console",
    10002: "a trial account cannot do this; upgrade the account",
    10004: "the account has as many calls as Twilio allows it; ask Twilio for more",
    13214: "the calling number is not valid; set TWILIO_PHONE_NUMBER",
    13223: "the number to dial is not valid; write it like +493012345678",
    13224: "the number to dial cannot be reached from Twilio",
    13225: "Twilio blocks that number",
    13227: "calls to that country are off; allow them in the account's geographic permissions",
    16108: "the call is being recorded already",
    16113: "the recording has no file with two channels; fetch it with one",
}
"""20001, 20009, 21262, 21263 and 21266 are by analogy or from memory, the others documented."""

OF_THE_ACCOUNT = frozenset({20003, 20005, 20008, 21205, 21210, 21212, 21213, 10001, 10002})
"""Errors that any other call of the account, from the same number, would meet as well."""

OF_THE_MOMENT = frozenset({10004})
"""Errors that pass when another call ends."""


def of_response(operation: str, sid: str, status: int, code: int | None) -> CarrierError:
    """Return the error for an answer with an HTTP status of 400 or more."""
    number = code or status
    if number == _NOT_IN_PROGRESS or number in _NOT_FOUND:
        return CallGoneError(operation, sid, number)
    if status == 429:  # documented as never processed
        reason = "Twilio takes no more requests at once"
        return CarrierUnavailableError(operation, reason, perhaps_done=False)
    if status >= 500:
        reason = f"Twilio failed with status {status}"
        return CarrierUnavailableError(operation, reason, perhaps_done=True)
    sentence = _ADVICE.get(number, "Twilio refused it; its error dictionary explains the number")
    return CarrierRefusedError(operation, number, sentence)


def of_silence(operation: str, timeout_s: float) -> CarrierError:
    """Return the error for a request that was not answered in time."""
    return CarrierUnavailableError(
        operation, f"Twilio did not answer within {timeout_s:g} s", perhaps_done=True
    )


def of_network(operation: str, *, connected: bool) -> CarrierError:
    """Return the error for a connection that could not be made, or was lost."""
    reason = "the connection to Twilio broke" if connected else "Twilio cannot be reached"
    return CarrierUnavailableError(operation, reason, perhaps_done=connected)


def of_nonsense(operation: str) -> CarrierError:
    """Return the error for an answer that is not what Twilio sends."""
    reason = "what answered does not speak Twilio's language; is there a proxy in between"
    return CarrierUnavailableError(operation, reason, perhaps_done=True)
