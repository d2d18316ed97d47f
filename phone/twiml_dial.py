"""Reading ``<Dial>``, its ``<Number>``s and its ``<Conference>``.

Source: Twilio, "TwiML Voice: <Dial>", "<Number>", "<Conference>".
"""

from xml.etree.ElementTree import Element

from phone.elements import SCHEMA, Reader, text_of
from phone.schema import CONFERENCE, DIAL, NUMBER, OTHER_DIAL, ROOM_EVENTS
from phone.verbs import Conference, Dial, Number

_MAX_NUMBERS = 10
_MAX_PARTICIPANTS = 250
_CALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})


def read_dial(reader: Reader, element: Element) -> Dial | None:
    """Read ``<Dial>``; ``None`` when there is nobody the phone could dial."""
    nouns = reader.check(element, DIAL, OTHER_DIAL | {"Number", "Conference"})
    for noun in nouns:
        if noun.tag in OTHER_DIAL:
            reader.leave_out(f"the phone does not carry out <Dial><{noun.tag}>")
    numbers = [_number(reader, noun) for noun in nouns if noun.tag == "Number"]
    plain = (element.text or "").strip()
    if plain:
        numbers.insert(0, Number(plain))
    valid = []
    for number in numbers[:_MAX_NUMBERS]:
        if _is_number(number.number):
            valid.append(number)
        else:
            reader.warn(13223, f"<Dial> of {number.number!r}: use E.164, like +15551234567")
    if len(numbers) > _MAX_NUMBERS:
        reader.warn(13250, f"<Dial> has {len(numbers)} numbers: {_MAX_NUMBERS} are dialled")
    rooms = [room for noun in nouns if (room := _conference(reader, noun)) is not None]
    if len(rooms) > 1 or (rooms and numbers):
        reader.warn(SCHEMA, "<Dial> holds more than its <Conference>: the rest is skipped")
        valid.clear()
    if not numbers and not rooms:
        if not nouns:
            reader.warn(SCHEMA, "<Dial> names nobody to dial: skipped")
        return None
    return Dial(
        tuple(valid),
        action=element.get("action"),
        method=reader.method(element, 13210),
        timeout=min(max(reader.whole(element, "timeout", 30, 13212, lowest=1), 5), 600),
        answer_on_bridge=reader.flag(element, "answerOnBridge", 13219),
        conference=rooms[0] if rooms else None,
    )


def _conference(reader: Reader, element: Element) -> Conference | None:
    if element.tag != "Conference":
        return None
    reader.check(element, CONFERENCE)
    name = text_of(element)
    if not name:
        reader.warn(13230, "<Conference> has no name: skipped")
        return None
    events = frozenset(element.get("statusCallbackEvent", "").split())
    if not events <= ROOM_EVENTS:
        words = " ".join(sorted(ROOM_EVENTS))
        reader.warn(SCHEMA, f"<Conference statusCallbackEvent>: use {words}")
    most = reader.whole(element, "maxParticipants", _MAX_PARTICIPANTS, 13235, lowest=2)
    return Conference(
        name,
        start_on_enter=element.get("startConferenceOnEnter", "true") != "false",
        end_on_exit=reader.flag(element, "endConferenceOnExit", 13231),
        most=min(most, _MAX_PARTICIPANTS),
        wait_url=element.get("waitUrl"),
        wait_method=reader.method(element, 13234, "waitMethod"),
        status_callback=reader.absolute_url(element, "statusCallback"),
        status_callback_method=reader.method(element, 13221, "statusCallbackMethod"),
        status_callback_events=events & ROOM_EVENTS,
    )


def _is_number(text: str) -> bool:
    digits = text.removeprefix("+")
    return digits.isascii() and digits.isdigit() and 1 <= len(digits) <= 15


def _number(reader: Reader, element: Element) -> Number:
    reader.check(element, NUMBER)
    if "url" in element.attrib:
        reader.leave_out("the phone does not carry out <Number url> (a whisper)")
    events = frozenset(element.get("statusCallbackEvent", "completed").split())
    if not events <= _CALL_EVENTS:
        reader.warn(SCHEMA, f"<Number statusCallbackEvent>: use {' '.join(sorted(_CALL_EVENTS))}")
    return Number(
        text_of(element),
        reader.absolute_url(element, "statusCallback"),
        reader.method(element, 13221, "statusCallbackMethod"),
        events & _CALL_EVENTS,
    )
