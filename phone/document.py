"""The course of a call through its TwiML documents: a pure state machine.

    fetching --fetched--> running --done--> running | fetching | ended
        |                    |
        +--failed--> fetching (fallback) | ended
        +----------+---------+--hung_up--> ended

Each move returns what to do next: a `Fetch`, a verb to carry out, or the `End`. Verbs run from top
to bottom; the end of the document hangs up. A verb with an ``action`` gives way to the document of
its action, ``<Redirect>`` to another, and what stood behind them is never reached. A document that
cannot be had is replaced, once, by the fallback URL's. `answered` turns true with the first verb
that picks up: the call rings during webhooks, redirects, a leading ``<Pause>`` and a leading
``<Dial answerOnBridge>``.

It does no I/O and knows no clock. A move that does not fit raises `IllegalMoveError` and changes
nothing.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urljoin

from phone.elements import SCHEMA
from phone.events import Ending
from phone.problem import NOT_CARRIED_OUT, Problem
from phone.twiml import Document
from phone.verbs import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Pause,
    Redirect,
    Reject,
    Verb,
)


class State(Enum):
    """Where the call is in its documents."""

    FETCHING = "fetching"
    RUNNING = "running"
    ENDED = "ended"


class IllegalMoveError(RuntimeError):
    """A move that the state does not allow: an error of the program, not of the server."""

    def __init__(self, move: str, state: State) -> None:
        super().__init__(move, state)
        self.move, self.state = move, state

    def __str__(self) -> str:
        return f"{self.move} is not allowed while {self.state.value}"


@dataclass(frozen=True, slots=True)
class Fetch:
    """Request a document; ``parameters`` join the standard ones. ``verb`` is who asks for it."""

    url: str
    method: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    verb: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The call is over with this final status."""

    status: str
    how: Ending


@dataclass(frozen=True, slots=True)
class DialResult:
    """How a ``<Dial>`` ended, in the parameters of its action."""

    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Digits:
    """What a ``<Gather>`` collected: keys, or words, perhaps nothing."""

    digits: str
    speech: str = ""

    @property
    def parameters(self) -> Mapping[str, str]:
        """What its action is told."""
        if self.speech:
            return {"SpeechResult": self.speech, "Confidence": "0.9"}
        return {"Digits": self.digits}


Command = Fetch | Verb | End
Result = DialResult | Digits | None


class Course:
    """One call's way through its documents."""

    def __init__(self, url: str, method: str, fallback_url: str | None, max_documents: int) -> None:
        self._url, self._method = url, method
        self._fallback_url = fallback_url
        self._left = max_documents
        self._verbs: deque[Verb] = deque()
        self._verb: Verb | None = None
        self.state = State.FETCHING
        self.answered = False
        self.problems: list[Problem] = []
        """What was found wrong on the way; the owner takes it out."""

    def start(self) -> Command:
        """Ask for the first document."""
        return self._fetch(self._url, self._method)

    def fetched(self, document: Document) -> Command:
        """The document asked for is here: go through it."""
        self._expect("fetched", State.FETCHING)
        self._verbs = deque(document.verbs)
        self.state = State.RUNNING
        return self._next()

    def failed(self, problem: Problem) -> Command:
        """The document could not be had, or not be read: fallback, else the call ends."""
        self._expect("failed", State.FETCHING)
        if self._fallback_url is None:
            # Twilio answers to tell the caller of the application error.
            self.answered = True
            return self._end("completed", Ending.APPLICATION_ERROR)
        url, self._fallback_url = self._fallback_url, None
        return self._fetch(
            url, self._method, {"ErrorCode": str(problem.code), "ErrorUrl": self._url}, "fallback"
        )

    def done(self, result: Result = None) -> Command:
        """The verb has been carried out."""
        self._expect("done", State.RUNNING)
        if isinstance(result, DialResult) and result.parameters.get("DialBridged") == "true":
            self.answered = True
        match self._verb, result:
            case Connect(action=str(action), method=method), _:
                return self._fetch(action, method, {}, "Connect")
            case Dial(action=str(action), method=method), DialResult(parameters=parameters):
                return self._fetch(action, method, parameters, "Dial")
            case Gather() as gather, Digits() if (
                result.digits or result.speech or gather.action_on_empty_result
            ):
                action = gather.action or ""
                return self._fetch(action, gather.method, result.parameters, "Gather")
        return self._next()

    def hung_up(self, how: Ending = Ending.CALLER) -> End:
        """The caller has gone, or the call's time is up."""
        if self.state is State.ENDED:
            raise IllegalMoveError("hung_up", self.state)
        return self._end("completed" if self.answered else "no-answer", how)

    def redirected(self, document: Document) -> Command:
        """The server has given other instructions by REST: what stood here is never reached."""
        if self.state is State.ENDED:
            raise IllegalMoveError("redirected", self.state)
        self._verbs = deque(document.verbs)
        self.state = State.RUNNING
        return self._next()

    def sent_to(self, url: str, method: str = "POST") -> Command:
        """The server has sent the call to another document by REST."""
        if self.state is State.ENDED:
            raise IllegalMoveError("sent_to", self.state)
        return self._fetch(url, method, {}, "REST")

    def _expect(self, move: str, state: State) -> None:
        if self.state is not state:
            raise IllegalMoveError(move, self.state)

    def _next(self) -> Command:
        while self._verbs:
            verb = self._verb = self._verbs.popleft()
            match verb:
                case Redirect():
                    return self._fetch(verb.url, verb.method, {}, "Redirect")
                case Reject(reason=reason) if not self.answered:
                    status = "busy" if reason == "busy" else "no-answer"
                    return self._end(status, Ending.REJECTED)
                case Reject():
                    text = "<Reject> in a call that was answered: skipped"
                    self.problems.append(Problem(SCHEMA, text, warning=True))
                case Hangup():
                    break
                case _:
                    self.answered = self.answered or _picks_up(verb)
                    return verb
        self.answered = True
        return self._end("completed", Ending.DOCUMENT)

    def _fetch(
        self,
        url: str,
        method: str,
        parameters: Mapping[str, str] | None = None,
        verb: str = "",
    ) -> Command:
        if self._left == 0:
            text = "this many documents look like a redirect loop: the phone gives up"
            self.problems.append(Problem(NOT_CARRIED_OUT, text))
            return self._end("completed", Ending.APPLICATION_ERROR)
        self._left -= 1
        # urljoin of an empty reference keeps the base's query but drops its fragment.
        self._url = urljoin(self._url, url) if url else self._url
        self._method = method
        self._verbs.clear()
        self.state = State.FETCHING
        return Fetch(self._url, method, parameters or {}, verb)

    @property
    def url(self) -> str:
        """The URL of the present document, to which others are relative."""
        return self._url

    def _end(self, status: str, how: Ending) -> End:
        self.state = State.ENDED
        return End(status, how)


def _picks_up(verb: Verb) -> bool:
    if isinstance(verb, Dial):
        return not verb.answer_on_bridge
    return not isinstance(verb, Pause)
