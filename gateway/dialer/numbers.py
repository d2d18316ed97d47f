"""Which numbers may be called: read as people write them, checked before anybody rings.

    text ──read──> E.164 ──kind──> no emergency, premium, shared-cost, satellite number
                         ──lists─> denied? allowed?

Numbering plans are those of the phonenumbers library (Google's libphonenumber). They lag behind the
real ones, so a number that is only unknown to them may be called: the carrier knows better. What
looks like a costly number is refused even if its length is wrong.

It refuses to know the do-not-call list, which is in the database (`gateway.dialer.do_not_call`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult

LONGEST_TEXT = 40

LONGEST_EMERGENCY = 6
"""Digits of the longest emergency number there is."""

_WRITTEN = re.compile(r"[+\d\s().\-/\u00a0\u2010-\u2015]+")


class Reason(StrEnum):
    """Why a number is not called; the value is for programs."""

    UNREADABLE = "unreadable"
    NO_COUNTRY = "no-country"
    IMPOSSIBLE = "impossible"
    EMERGENCY = "emergency"
    PREMIUM = "premium"
    SHARED_COST = "shared-cost"
    SATELLITE = "satellite"
    SERVICE = "service"
    DENIED = "denied"
    NOT_ALLOWED = "not-allowed"
    DO_NOT_CALL = "do-not-call"
    ITSELF = "itself"


_SENTENCES = {
    Reason.UNREADABLE: "is no phone number; write it like +493012345678",
    Reason.NO_COUNTRY: "names no country: write it like +493012345678, or set DIAL_REGION",
    Reason.IMPOSSIBLE: "cannot be a phone number: it is too long or too short for its country",
    Reason.EMERGENCY: "is an emergency number: it is never called from here",
    Reason.PREMIUM: "is a premium-rate number: it is never called from here",
    Reason.SHARED_COST: "is a shared-cost number: it is never called from here",
    Reason.SATELLITE: "is of a satellite or international network: it is never called from here",
    Reason.SERVICE: "is a pager's or a mailbox's number: nobody answers there",
    Reason.DENIED: "is denied by DIAL_DENY, or by the company's list",
    Reason.NOT_ALLOWED: "is not among the prefixes of DIAL_ALLOW, or of the company's list",
    Reason.DO_NOT_CALL: "is on the do-not-call list",
    Reason.ITSELF: "is the number that would be calling: give another one to call",
}

_KINDS = {
    PhoneNumberType.PREMIUM_RATE: Reason.PREMIUM,
    PhoneNumberType.SHARED_COST: Reason.SHARED_COST,
    PhoneNumberType.PAGER: Reason.SERVICE,
    PhoneNumberType.VOICEMAIL: Reason.SERVICE,
}

_INTERNATIONAL = {800: None, 808: Reason.SHARED_COST, 979: Reason.PREMIUM}
"""Country codes that are no country's, as far as they are no network's: freephone, and what is not
free. Source: ITU-T E.164, list of assigned country codes."""


class NumberRefusedError(Exception):
    """A number that is not called. ``reason`` is for programs, ``str()`` for people."""

    def __init__(self, number: str, reason: Reason) -> None:
        super().__init__(number, reason)
        self.number, self.reason = number, reason

    def __str__(self) -> str:
        return f"{self.number[:LONGEST_TEXT]!r} {_SENTENCES[self.reason]}"


@dataclass(frozen=True, slots=True)
class NumberRules:
    """What the operator, or a company, says of numbers.

    ``region`` (ISO 3166, such as ``DE``) is where numbers without ``+`` are; without it they are
    refused. ``allow`` and ``deny`` are prefixes in E.164, ``+49`` or ``+4930``; an empty ``allow``
    allows all. The longer prefix decides, and of two of one length ``deny``. ``also`` are others
    that a number must please as well.
    """

    region: str | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    also: tuple["NumberRules", ...] = ()

    def narrowed(self, allow: Iterable[str], deny: Iterable[str]) -> "NumberRules":
        """Return these and a company's own: a number must please both."""
        own = NumberRules(self.region, tuple(allow), tuple(deny))
        return replace(self, also=(*self.also, own)) if own.allow or own.deny else self

    def check(self, number: str) -> None:
        """Check an E.164 number against the lists. Raises `NumberRefusedError`."""
        denied = _longest(self.deny, number)
        allowed = _longest(self.allow, number)
        if denied and denied >= allowed:
            raise NumberRefusedError(number, Reason.DENIED)
        if self.allow and not allowed:
            raise NumberRefusedError(number, Reason.NOT_ALLOWED)
        for others in self.also:
            others.check(number)


def prepare() -> None:
    """Read all numbering plans. A tenth of a second, for a thread before the first number."""
    for region in phonenumbers.SUPPORTED_SHORT_REGIONS:
        phonenumbers.is_emergency_number("12345", region)
    for region in phonenumbers.SUPPORTED_REGIONS:
        phonenumbers.PhoneMetadata.metadata_for_region(region)


def queried(text: str) -> str:
    """Return a number of a URL's query with its ``+``, which a decoder takes for a space."""
    bare = text.strip()
    return "+" + bare if text[:1] == " " and bare[:1].isdigit() else bare


def callable_number(text: str, rules: NumberRules) -> str:
    """Return ``text`` in E.164 if it may be called. Raises `NumberRefusedError`."""
    number = read(text, rules.region)
    e164 = _e164(number)
    reason = _forbidden(number)
    if reason is not None:
        raise NumberRefusedError(e164, reason)
    rules.check(e164)
    return e164


def read(text: str, region: str | None = None) -> PhoneNumber:
    """Return what a person has written as a number. Raises `NumberRefusedError`.

    Emergency numbers are refused here already: they are short, so they are no possible numbers.
    """
    text = text.strip()
    if len(text) > LONGEST_TEXT or not _WRITTEN.fullmatch(text):
        raise NumberRefusedError(text, Reason.UNREADABLE)
    if _is_emergency_somewhere(text):
        raise NumberRefusedError(text, Reason.EMERGENCY)
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException as error:
        if error.error_type == NumberParseException.TOO_SHORT_NSN:
            reason = Reason.IMPOSSIBLE
        elif region is None and "+" not in text:
            reason = Reason.NO_COUNTRY
        else:
            reason = Reason.UNREADABLE
        raise NumberRefusedError(text, reason) from error
    if _is_emergency(number):
        raise NumberRefusedError(text, Reason.EMERGENCY)
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        # One that is costly and of the wrong length is told to be costly.
        raise NumberRefusedError(text, _forbidden(number) or Reason.IMPOSSIBLE)
    return number


def _forbidden(number: PhoneNumber) -> Reason | None:
    code = number.country_code or 0
    if code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS or code in _INTERNATIONAL:
        return _INTERNATIONAL.get(code, Reason.SATELLITE)
    return _costly(number)


def _costly(number: PhoneNumber) -> Reason | None:
    """Return what is wrong with its kind, also if its length is that of no such number."""
    kind = phonenumbers.number_type(number)
    if kind in _KINDS:
        return _KINDS[kind]
    if kind != PhoneNumberType.UNKNOWN:
        return None
    digits = phonenumbers.national_significant_number(number)
    for length in range(max(4, len(digits) - 3), len(digits) + 4):
        other = phonenumbers.PhoneNumber(
            country_code=number.country_code,
            national_number=int(digits[:length].ljust(length, "2")),
            italian_leading_zero=number.italian_leading_zero,
        )
        kind = phonenumbers.number_type(other)
        if kind in _KINDS:
            return _KINDS[kind]
        if kind != PhoneNumberType.UNKNOWN:
            return None
    return None


def _is_emergency_somewhere(text: str) -> bool:
    """Whether it is an emergency number as it is written, in whatever country."""
    if sum(letter.isdigit() for letter in text) > LONGEST_EMERGENCY:
        return False
    regions = phonenumbers.SUPPORTED_SHORT_REGIONS
    return any(phonenumbers.is_emergency_number(text, region) for region in regions)


def _is_emergency(number: PhoneNumber) -> bool:
    digits = phonenumbers.national_significant_number(number)
    regions = phonenumbers.region_codes_for_country_code(number.country_code or 0)
    # Exactly, and not its beginning: a number of Paris may begin with 15, France's ambulance.
    return len(digits) <= LONGEST_EMERGENCY and any(
        phonenumbers.is_emergency_number(digits, region) for region in regions if region != "001"
    )


def _longest(prefixes: Iterable[str], number: str) -> int:
    return max((len(prefix) for prefix in prefixes if number.startswith(prefix)), default=0)


def _e164(number: PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
