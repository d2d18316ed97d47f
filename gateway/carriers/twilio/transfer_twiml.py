"""The documents of a warm transfer, as TwiML: two legs of Twilio's that meet in a conference.

    the caller   <Dial><Conference> with our music, until somebody comes in
    the human    <Gather> with the summary ─accepts─> <Dial><Conference> of the same name

The room ends with whoever leaves first, so that nobody is left alone in it; the caller's ``<Dial>``
then asks what is next. Source: Twilio docs, ``<Conference>``, ``<Gather>``; the defaults (beep,
a jitter buffer of up to a second) are for meetings.
"""

from collections.abc import Sequence

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from gateway.carriers.twilio.twiml import RETRIES, document, spoken

ROOM_EVENTS = "start end join leave"

GATHER_SECONDS = 6
"""How long a human may think, after the question, before it is put again."""


def hold(room: str, next_url: str, *, wait_url: str, events_url: str) -> str:
    """Let a caller wait in ``room``, then ask ``next_url``.

    ``wait_url`` tells what is heard meanwhile, ``events_url`` is told who comes and goes. The
    former is asked by GET: what Twilio itself says of the call there is not documented.
    """
    dial = Dial(action=f"{next_url}#{RETRIES}", method="POST")
    _conference(
        dial,
        room,
        start_conference_on_enter=False,
        wait_url=f"{wait_url}#{RETRIES}",
        wait_method="GET",
        # Those of the first who comes in count, and the caller is.
        status_callback=events_url,
        status_callback_event=ROOM_EVENTS,
        status_callback_method="POST",
    )
    response = VoiceResponse()
    response.append(dial)
    return document(response)


def meet(room: str) -> str:
    """Bring a human into ``room``; the call is over when the talk is."""
    dial = Dial()
    _conference(dial, room, start_conference_on_enter=True, wait_url="")
    response = VoiceResponse()
    response.append(dial)
    response.hangup()
    return document(response)


def _conference(dial: Dial, room: str, **more: object) -> None:
    dial.conference(
        room,
        beep="false",
        end_conference_on_exit=True,
        jitter_buffer_size="small",
        max_participants=2,
        **more,
    )


def brief(text: str, answer_url: str, *, language: str, words: Sequence[str]) -> str:
    """Say ``text``, a question, and have the answer, or that there is none, sent to ``answer_url``.

    It is one key, or one of the ``words`` that are likely.
    """
    url = f"{answer_url}#{RETRIES}"
    gather = Gather(
        input="dtmf speech",
        action=url,
        method="POST",
        timeout=GATHER_SECONDS,
        speech_timeout="auto",
        num_digits=1,
        action_on_empty_result=True,
        language=language,
        hints=", ".join(words),
    )
    gather.say(spoken(text), language=language)
    response = VoiceResponse()
    response.append(gather)
    response.redirect(url, method="POST")
    return document(response)


def music(url: str, wait_url: str, *, times: int) -> str:
    """Play a file so many times, then ask ``wait_url`` again.

    Not without end: a gateway that has been started again meanwhile hears of the caller so.
    """
    response = VoiceResponse()
    response.play(url, loop=times)
    response.redirect(f"{wait_url}#{RETRIES}", method="GET")
    return document(response)


def ask_again(next_url: str) -> str:
    """Ask ``next_url`` how the call goes on."""
    response = VoiceResponse()
    response.redirect(f"{next_url}#{RETRIES}", method="POST")
    return document(response)


def last_words(text: str, *, language: str | None = None) -> str:
    """Say ``text`` and hang up."""
    response = VoiceResponse()
    response.say(spoken(text), language=language)
    response.hangup()
    return document(response)
