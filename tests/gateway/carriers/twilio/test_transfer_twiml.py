"""Documents of warm transfers, read as the phone, which is strict, reads them."""

from gateway.carriers.twilio import transfer_twiml as documents
from phone.twiml import parse
from phone.verbs import Conference, Dial, Gather, Hangup, Play, Redirect, Say

NEXT = "https://you.example/twilio/next"


def verbs(document: str) -> tuple[object, ...]:
    """Return the verbs; nothing in the document may be wrong or left out."""
    it = parse(document.encode())
    assert it.problems == ()
    return it.verbs


def test_the_caller_waits_in_a_room_that_ends_with_them_and_tells_who_comes() -> None:
    wait, events = "https://you.example/twilio/hold", "https://you.example/twilio/room"
    (dial,) = verbs(documents.hold("room-1", NEXT, wait_url=wait, events_url=events))
    assert isinstance(dial, Dial)
    assert dial.action == f"{NEXT}#rc=5&rp=ct,rt,5xx&rt=4000"
    assert dial.conference == Conference(
        "room-1",
        start_on_enter=False,
        end_on_exit=True,
        most=2,
        wait_url=f"{wait}#rc=5&rp=ct,rt,5xx&rt=4000",
        wait_method="GET",
        status_callback=events,
        status_callback_events=frozenset({"start", "end", "join", "leave"}),
    )


def test_no_beep_and_no_second_of_delay() -> None:
    for document in (documents.meet("r"), documents.hold("r", NEXT, wait_url="w", events_url="e")):
        assert 'beep="false"' in document
        assert 'jitterBufferSize="small"' in document


def test_the_human_starts_the_talk_and_the_call_is_over_with_it() -> None:
    dial, hangup = verbs(documents.meet("room-1"))
    assert isinstance(dial, Dial)
    assert dial.conference == Conference("room-1", end_on_exit=True, most=2, wait_url="")
    assert dial.action is None
    assert hangup == Hangup()


def test_the_human_is_asked_for_a_key_or_a_word_and_silence_is_told_too() -> None:
    url = "https://you.example/twilio/briefing?dial=k1&n=1"
    document = documents.brief(
        "Ada <calls> & waits. Yes?", url, language="en-US", words=("yes", "no")
    )
    gather, redirect = verbs(document)
    assert isinstance(gather, Gather)
    assert gather.takes == {"dtmf", "speech"}
    assert (gather.num_digits, gather.action_on_empty_result) == (1, True)
    assert gather.prompts == (Say("Ada <calls> & waits. Yes?"),)
    assert gather.action == f"{url}#rc=5&rp=ct,rt,5xx&rt=4000"
    assert redirect == Redirect(gather.action)
    assert 'hints="yes, no"' in document


def test_music_is_asked_for_again_when_it_has_played() -> None:
    wait = "https://you.example/twilio/hold?call=CA1"
    assert verbs(documents.music("https://you.example/a.wav", wait, times=2)) == (
        Play("https://you.example/a.wav", loop=2),
        Redirect(f"{wait}#rc=5&rp=ct,rt,5xx&rt=4000", "GET"),
    )


def test_a_call_can_be_made_to_ask_what_is_next() -> None:
    assert verbs(documents.ask_again(NEXT)) == (Redirect(f"{NEXT}#rc=5&rp=ct,rt,5xx&rt=4000"),)


def test_last_words_are_the_last() -> None:
    assert verbs(documents.last_words("Goodbye.", language="de-DE")) == (Say("Goodbye."), Hangup())
