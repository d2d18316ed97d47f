"""Reading ``<Connect><Stream>``. Source: Twilio, "TwiML Voice: <Connect>", "<Stream>"."""

from xml.etree.ElementTree import Element

from phone.elements import SCHEMA, Reader
from phone.schema import OTHER_CONNECT, STREAM
from phone.verbs import Connect, Stream

_MAX_PARAMETER = 500


def read_connect(reader: Reader, element: Element) -> Connect | None:
    """Read ``<Connect>``; ``None`` when it holds no stream."""
    nouns = reader.check(element, ("action", "method"), OTHER_CONNECT | {"Stream"})
    reader.no_text(element)
    if len(nouns) != 1:
        reader.warn(SCHEMA, f"<Connect> holds {len(nouns)} nouns: one is needed; skipped")
        return None
    if nouns[0].tag != "Stream":
        reader.leave_out(f"the phone does not carry out <Connect><{nouns[0].tag}>")
        return None
    stream = _stream(reader, nouns[0])
    if stream is None:
        return None
    return Connect(stream, element.get("action"), reader.method(element, SCHEMA))


def _stream(reader: Reader, element: Element) -> Stream | None:
    children = reader.check(element, STREAM, ("Parameter",))
    reader.no_text(element)
    for name in ("connectorName", "audioFormat", "sampleRate"):
        if name in element.attrib:
            reader.leave_out(f"the phone does not carry out <Stream {name}>")
    url = element.get("url", "").strip()
    if not url:
        reader.warn(SCHEMA, "<Stream> has no url: skipped")
        return None
    return Stream(
        url,
        name=element.get("name"),
        track=element.get("track", "inbound_track"),
        status_callback=reader.absolute_url(element, "statusCallback"),
        status_callback_method=reader.method(element, SCHEMA, "statusCallbackMethod"),
        parameters=_parameters(reader, children),
    )


def _parameters(reader: Reader, elements: list[Element]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for element in elements:
        reader.check(element, ("name", "value"))
        name, value = element.get("name", ""), element.get("value", "")
        if not name:
            reader.warn(SCHEMA, "<Parameter> has no name: skipped")
        elif len(name) + len(value) >= _MAX_PARAMETER:
            reader.warn(
                SCHEMA, f"<Parameter name={name[:40]!r}>: name and value must be under 500 long"
            )
        else:
            parameters[name] = value
    return parameters
