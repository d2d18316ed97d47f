"""Strict reading of TwiML: an HTTP answer in, the document's verbs and problems out.

Names are case-sensitive and attributes camelCase. A document that cannot be read at all raises
`TwimlError` (11750 size, 12100 XML, 12102 root, 12300 content type); what is wrong inside one is
a warning, and the verb is skipped or the attribute has its default. Verbs that Twilio has and the
phone does not carry out are named, never passed over in silence. Source: Twilio's TwiML pages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from phone.elements import SCHEMA, Reader, text_of
from phone.problem import Problem
from phone.schema import GATHER, OTHER_VERBS, SSML
from phone.twiml_connect import read_connect
from phone.twiml_dial import read_dial
from phone.verbs import (
    Gather,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Verb,
)

MAX_BYTES = 64 * 1024
"""The largest answer that Twilio reads."""

_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})
_MAX_SAY = 4096
_TONES = frozenset("0123456789ABCD#*wW")


class TwimlError(Exception):
    """An answer that is no document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


@dataclass(frozen=True, slots=True)
class Document:
    """The verbs to carry out, in order, and what Twilio's debugger says about the rest."""

    verbs: tuple[Verb, ...]
    problems: tuple[Problem, ...] = ()


def read_document(content_type: str | None, body: bytes, url: str) -> Document:
    """Read the answer of ``url``: TwiML, audio to play, or plain text to say."""
    if len(body) > MAX_BYTES:
        raise TwimlError(Problem(11750, f"the answer is larger than {MAX_BYTES} bytes"))
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind in _TWIML_TYPES:
        return parse(body)
    if kind.startswith("audio/"):
        return Document((Play(url),))
    if kind == "text/plain":
        try:
            return parse(body)
        except TwimlError:
            return Document((Say(body.decode(errors="replace")[:_MAX_SAY]),))
    raise TwimlError(Problem(12300, f"Content-Type is {content_type!r}; send text/xml"))


class _Builder(TreeBuilder):
    """Refuses a document type: TwiML has none, and entities could grow without bounds."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise TwimlError(Problem(12100, f"a DOCTYPE ({name}) does not belong in TwiML"))


def parse(body: bytes) -> Document:
    """Read TwiML. Raises `TwimlError` when it is not one XML document with root ``Response``."""
    parser = XMLParser(target=_Builder())  # noqa: S314 - entities need a DOCTYPE, refused above
    try:
        parser.feed(body)
        root = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise TwimlError(Problem(12100, f"not well-formed XML: {error}")) from error
    if root.tag != "Response":
        raise TwimlError(Problem(12102, f"the root is <{root.tag}>; it must be <Response>"))
    reader = Reader()
    reader.no_text(root)
    for name in root.attrib:
        reader.warn(SCHEMA, f"<Response> has no attribute {name!r}")
    verbs = [verb for child in root if (verb := _verb(reader, child)) is not None]
    return Document(_reject_only_first(reader, verbs), tuple(reader.problems))


def _reject_only_first(reader: Reader, verbs: list[Verb]) -> tuple[Verb, ...]:
    kept = [verb for n, verb in enumerate(verbs) if n == 0 or not isinstance(verb, Reject)]
    if len(kept) < len(verbs):
        reader.warn(SCHEMA, "<Reject> must be the first verb: skipped")
    return tuple(kept)


def _verb(reader: Reader, element: Element) -> Verb | None:
    if element.tag in _VERBS:
        return _VERBS[element.tag](reader, element)
    if element.tag in OTHER_VERBS:
        reader.leave_out(f"the phone does not carry out <{element.tag}>")
    else:
        reader.warn(SCHEMA, f"<{element.tag}> is no verb (names are case-sensitive): skipped")
    return None


def _say(reader: Reader, element: Element) -> Say | None:
    reader.check(element, ("voice", "language", "loop"), SSML)
    text = text_of(element)
    if not text:
        reader.warn(13520, "<Say> has no text: skipped")
        return None
    if len(text) > _MAX_SAY:
        reader.warn(13521, f"<Say> has {len(text)} characters: {_MAX_SAY} are spoken")
    return Say(text[:_MAX_SAY], reader.loop(element, 13510))


def _play(reader: Reader, element: Element) -> Play | None:
    reader.check(element, ("loop", "digits"))
    digits, url = element.get("digits", ""), text_of(element)
    if not _TONES.issuperset(digits):
        reader.warn(13430, f"<Play digits={digits!r}>: use 0-9, A-D, #, *, w, W; skipped")
        return None
    if not digits and not url:
        reader.warn(SCHEMA, "<Play> has neither URL nor digits: skipped")
        return None
    return Play(url, digits, reader.loop(element, 13410))


def _pause(reader: Reader, element: Element) -> Pause:
    reader.check(element, ("length",))
    reader.no_text(element)
    return Pause(reader.whole(element, "length", 1, 13910))


def _redirect(reader: Reader, element: Element) -> Redirect:
    reader.check(element, ("method",))
    return Redirect(text_of(element), reader.method(element, 13710))


def _hangup(reader: Reader, element: Element) -> Hangup:
    reader.check(element, ())
    reader.no_text(element)
    return Hangup()


def _reject(reader: Reader, element: Element) -> Reject:
    reader.check(element, ("reason",))
    reader.no_text(element)
    return Reject(reader.choice(element, "reason", ("rejected", "busy"), 13810, "rejected"))


_PROMPTS = ("Say", "Play", "Pause")


def _gather(reader: Reader, element: Element) -> Gather:
    children = reader.check(element, GATHER, _PROMPTS)
    reader.no_text(element)
    takes = frozenset(element.get("input", "dtmf").split())
    if not takes or not takes <= {"dtmf", "speech"}:
        reader.warn(13311, f"<Gather input={element.get('input')!r}>: dtmf, speech, or both")
        takes = frozenset({"dtmf"})
    finish = element.get("finishOnKey", "#")
    if len(finish) > 1 or not frozenset("0123456789#*").issuperset(finish):
        reader.warn(13310, f"<Gather finishOnKey={finish!r}>: one of 0-9, #, * or nothing")
        finish = "#"
    prompts = [verb for child in children if (verb := _verb(reader, child)) is not None]
    return Gather(
        tuple(verb for verb in prompts if isinstance(verb, Say | Play | Pause)),
        action=element.get("action"),
        method=reader.method(element, 13312),
        timeout=reader.whole(element, "timeout", 5, 13313, lowest=1),
        num_digits=reader.whole(element, "numDigits", 0, 13314, lowest=1),
        finish_on_key=finish,
        action_on_empty_result=reader.flag(element, "actionOnEmptyResult", 13338),
        takes=takes,
    )


_VERBS: dict[str, Callable[[Reader, Element], Verb | None]] = {
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Redirect": _redirect,
    "Hangup": _hangup,
    "Reject": _reject,
    "Dial": read_dial,
    "Gather": _gather,
    "Connect": read_connect,
}
