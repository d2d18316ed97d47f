"""Our answers to Twilio, as TwiML documents.

Every document ends with an explicit ``<Hangup>``, ``<Redirect>`` or a ``<Dial>`` whose action
decides; nothing stands behind a verb that Twilio never passes. It refuses to know calls: which
answer is given, and why, is decided elsewhere.

Limits and semantics: Twilio docs, "TwiML for Programmable Voice", ``<Connect>``, ``<Stream>``,
``<Dial>``, ``<Redirect>``, "Webhooks: Connection Overrides".
"""

import re
from collections.abc import Mapping

from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

from gateway.carriers.twilio.phrases import USUAL, Phrases

CONTENT_TYPE = "text/xml"

MAX_DOCUMENT_BYTES = 64_000
MAX_INLINE_CHARACTERS = 4_000
"""A document given by REST instead of as the answer of a webhook."""
MAX_PARAMETER_CHARACTERS = 500
"""Name and value of one ``<Parameter>`` together must be shorter."""
MAX_SAY_CHARACTERS = 4_096

RETRIES = "rc=5&rp=ct,rt,5xx&rt=4000"
"""Connection overrides: up to five repeats on connection failure, silence of 4 s or a 5xx, all
within Twilio's 15 s. By default Twilio repeats once, and on connection failure only."""

_REGIONS = {
    it.partition("-")[0]: it
    for it in (
        *("da-DK", "de-DE", "en-US", "es-ES", "fi-FI", "fr-FR", "it-IT", "ja-JP", "ko-KR"),
        *("nb-NO", "nl-NL", "pl-PL", "pt-BR", "ru-RU", "sv-SE", "tr-TR", "zh-CN"),
    )
}
"""Where a language is taken to be from that is named alone."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIGITS = re.compile(r"[0-9A-D#*wW]{1,128}")
_STREAM_URL = re.compile(r"wss?://[^?#\s]+")
_SOCKET_URL = re.compile(r"wss?://[^#\s]+")


class TwimlError(ValueError):
    """An answer that Twilio would not carry out; ``what`` is wrong because of ``why``."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why

    def __str__(self) -> str:
        return f"{self.what[:80]!r} {self.why}"


class TwimlTooLongError(TwimlError):
    """``size`` is over ``limit``, in bytes for a document and in characters else."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(what, f"is {size} long; Twilio takes {limit}: shorten it")
        self.size, self.limit = size, limit


def connect_stream(
    stream_url: str,
    next_url: str,
    *,
    parameters: Mapping[str, str] | None = None,
    status_url: str | None = None,
    digits: str | None = None,
) -> str:
    """Connect the call to a media socket, then ask ``next_url`` how to go on.

    ``parameters`` come back in the stream's start message; ``digits`` are played before
    (``w`` waits half a second). Raises ``TwimlError``.
    """
    if not _STREAM_URL.fullmatch(stream_url):
        raise TwimlError(stream_url, "is no stream URL: wss://, without a query")
    response = VoiceResponse()
    if digits is not None:
        response.play(digits=_dialled(digits))
    connect = Connect()
    stream = connect.stream(url=stream_url, status_callback=status_url)
    for name, value in (parameters or {}).items():
        stream.parameter(name=_clean(name), value=_parameter_value(name, value))
    return _connected(response, connect, next_url)


def connect_elsewhere(
    url: str,
    next_url: str,
    *,
    name: str | None = None,
    status_url: str | None = None,
    say: str = "",
    language: str = "",
) -> str:
    """Connect the call to somebody else's media socket, then ask ``next_url`` how to go on.

    ``say`` is heard before, in ``language`` (BCP 47). ``url`` is as its owner gave it, query
    included (Twilio documents none). Raises ``TwimlError``, which does not show it.
    """
    if not _SOCKET_URL.fullmatch(url) or _clean(url) != url:
        raise TwimlError("the address of the service's media socket", "is none: wss://")
    connect = Connect()
    connect.stream(url=url, name=name, status_callback=status_url)
    response = VoiceResponse()
    if say:
        response.say(spoken(say), language=_voiced(language))
    return _connected(response, connect, next_url)


def _connected(response: VoiceResponse, connect: Connect, next_url: str) -> str:
    response.append(connect)
    response.redirect(f"{next_url}#{RETRIES}", method="POST")
    return document(response)


def _voiced(language: str) -> str | None:
    """Return a tag that ``<Say>`` knows: with a region; all others are its own English."""
    if "-" in language:
        return language
    return _REGIONS.get(language.lower())


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return document(response)


def dial(
    number: str,
    next_url: str,
    *,
    caller_id: str | None = None,
    timeout_s: int = 20,
    message: str | None = None,
) -> str:
    """Connect the caller to a human, then ask ``next_url``, which is told how that went.

    Twilio shows the original caller unless ``caller_id`` names a number of the account, and
    rings about 5 s longer than ``timeout_s`` (5-600). Raises ``TwimlError``.
    """
    response = VoiceResponse()
    if message is not None:
        response.say(spoken(message))
    _add_dial(response, number, caller_id, timeout_s, action=f"{next_url}#{RETRIES}")
    return document(response)


def busy(fallback_number: str | None = None, phrases: Phrases = USUAL) -> str:
    """Say that there is no room for the call, and dial the fallback number if there is one."""
    return _excuse(phrases.busy, fallback_number, phrases)


def failure(fallback_number: str | None = None, phrases: Phrases = USUAL) -> str:
    """Say that something went wrong, and dial the fallback number if there is one."""
    return _excuse(phrases.failed, fallback_number, phrases)


def unconnected(fallback_number: str | None = None, phrases: Phrases = USUAL) -> str:
    """Say that the call could not be connected, and dial the fallback number if there is one."""
    return _excuse(phrases.unconnected, fallback_number, phrases)


def unanswered(phrases: Phrases = USUAL) -> str:
    """Say that nobody takes the call, and end it."""
    return _excuse(phrases.unanswered, None, phrases)


def _excuse(sentence: str, fallback_number: str | None, phrases: Phrases) -> str:
    ending = phrases.connecting if fallback_number else phrases.later
    return apology(f"{sentence} {ending}", fallback_number, language=phrases.language)


def apology(
    message: str, fallback_number: str | None = None, *, language: str | None = None
) -> str:
    """Say ``message``, dial ``fallback_number`` if there is one, and end the call.

    Needs no further webhook, so it also serves when nothing else here works. ``language`` is a
    BCP 47 tag of what is said. Raises ``TwimlError``.
    """
    response = VoiceResponse()
    response.say(spoken(message), language=language)
    if fallback_number:
        _add_dial(response, fallback_number, None, 30, action=None)
    response.hangup()
    return document(response)


def inline(text: str) -> str:
    """Return a document as the REST API takes it. Raises ``TwimlTooLongError``."""
    if len(text) > MAX_INLINE_CHARACTERS:
        raise TwimlTooLongError(text, len(text), MAX_INLINE_CHARACTERS)
    return text


def _add_dial(
    response: VoiceResponse, number: str, caller_id: str | None, timeout_s: int, action: str | None
) -> None:
    if not 5 <= timeout_s <= 600:
        raise TwimlError(str(timeout_s), "seconds of ringing is not between 5 and 600")
    method = "POST" if action else None
    verb = Dial(action=action, method=method, caller_id=caller_id, timeout=timeout_s)
    verb.number(_clean(number))
    response.append(verb)


def _dialled(digits: str) -> str:
    if not _DIGITS.fullmatch(digits):
        raise TwimlError(digits, "cannot be dialled: use 0-9, A-D, #, *, w and W, at most 128")
    return digits


def spoken(message: str) -> str:
    """Return what ``<Say>`` can say of it. Raises ``TwimlError``."""
    text = _clean(message).strip()
    if not text:
        raise TwimlError(message, "leaves nothing to say")
    if len(text) > MAX_SAY_CHARACTERS:
        raise TwimlTooLongError(text, len(text), MAX_SAY_CHARACTERS)
    return text


def _parameter_value(name: str, value: str) -> str:
    size = len(name) + len(value)
    if size >= MAX_PARAMETER_CHARACTERS:
        raise TwimlTooLongError(name, size, MAX_PARAMETER_CHARACTERS - 1)
    return _clean(value)


def _clean(text: str) -> str:
    """Drop what XML cannot hold (a caller's name may be any bytes)."""
    return _NOT_XML.sub("", text)


def document(response: VoiceResponse) -> str:
    """Return the text of a document. Raises ``TwimlTooLongError``."""
    text = str(response)
    size = len(text.encode())
    if size > MAX_DOCUMENT_BYTES:
        raise TwimlTooLongError(text, size, MAX_DOCUMENT_BYTES)
    return text
