"""Which words belong to which turn of the caller. Pure.

The server makes an *item* of each stretch of speech and transcribes it; several may be on their
way, and their words may come in any order. A turn ends when the caller is silent and every item
of it is answered, in the order in which they were committed:

    speech     ▂▂▂▂▂▂▂▂▂▂        ▂▂▂▂▂▂▂
    items                ├ item 1       ├ item 2
    words                   · · two of us    · outside
    events     Started       Stopped   Started  Stopped   EndOfTurn("two of us outside")

A turn that we end is *sealed*: what is said afterwards belongs to the next, and its end does not
wait for silence.
"""

from dataclasses import dataclass, field

from worker.stt import EndOfTurn, Hearing, Partial, SpeechStarted, SpeechStopped


@dataclass(slots=True)
class _Item:
    text: str = ""
    answered: bool = False
    by_us: bool = False
    """We asked for the commit."""
    committed: bool = False


@dataclass(slots=True, eq=False)
class Turn:
    """One turn on its way."""

    items: dict[str, _Item] = field(default_factory=dict)
    due: int = 0
    """Commits that we asked for and that no item has come of."""
    sealed: bool = False
    at_ms: float | None = None

    @property
    def text(self) -> str:
        """All words so far."""
        return " ".join(item.text.strip() for item in self.items.values() if item.text.strip())

    @property
    def is_answered(self) -> bool:
        """Nothing of it is on its way."""
        return self.due == 0 and all(item.answered for item in self.items.values())


class Turns:
    """Takes what the server says, gives out what the call hears."""

    def __init__(self) -> None:
        self._turns = [Turn()]
        self._speaking = False
        self._voice = ""
        """The item that speech in progress will become, where that is known."""
        self._overdue = 0
        """Commits for turns that were given up."""
        self._forgotten: set[str] = set()
        """Items of turns that are over: further words of theirs come too late."""

    @property
    def is_busy(self) -> bool:
        """There is speech, or words of it are on their way."""
        return self._speaking or any(turn.items or turn.due or turn.sealed for turn in self._turns)

    def started(self, item: str = "") -> list[Hearing]:
        """Speech began; ``item`` is what it will become."""
        self._speaking, self._voice = True, item
        return [SpeechStarted(lasting=True)]

    def stopped(self, at_ms: float | None) -> list[Hearing]:
        """Speech ended; its item is still to be committed."""
        self._turns[-1].at_ms = at_ms
        return [SpeechStopped(at_ms)]

    def asked(self) -> None:
        """We asked for a commit of what was said: speech is over, the turn perhaps not."""
        self._speaking = False
        self._turns[-1].due += 1

    def seal(self, asked: bool) -> Turn:
        """End the turn; ``asked``: a commit was asked for. Call `over` after it."""
        turn = self._turns[-1]
        turn.sealed = True
        turn.due += asked
        if self._voice and asked:
            turn.items.setdefault(self._voice, _Item(by_us=True))
            turn.due -= 1
        self._speaking, self._voice = False, ""
        self._turns.append(Turn())
        return turn

    def committed(self, item: str) -> bool:
        """The server made an item. Tell whether we asked for it."""
        if item == self._voice:
            self._speaking, self._voice = False, ""
        turn = self._turn_of(item)
        if turn is None and (self._overdue or item in self._forgotten):
            self._overdue -= item not in self._forgotten
            self._forgotten.add(item)
            return True
        if turn is None:
            turn = self._waiting()
            turn.items[item] = _Item()
        found = turn.items.pop(item)
        if turn.due and not found.by_us and not found.committed:  # its words came first
            found.by_us, turn.due = True, turn.due - 1
        found.committed = True
        waiting = [name for name, other in turn.items.items() if not other.committed]
        turn.items[item] = found
        for name in waiting:  # words that came before their commit go behind those that have it
            turn.items[name] = turn.items.pop(name)
        return found.by_us

    def refused(self) -> list[Hearing]:
        """The server had nothing to commit."""
        if self._overdue:
            self._overdue -= 1
            return []
        for turn in self._turns:
            if turn.due:
                turn.due -= 1
                if not (turn.sealed or turn.items or self._speaking):
                    self.seal(asked=False)
                break
            empty = [name for name, item in turn.items.items() if item.by_us and not item.committed]
            if empty:
                del turn.items[empty[0]]
                break
        return self.over()

    def delta(self, item: str, text: str) -> list[Hearing]:
        """Further words of an item."""
        if item in self._forgotten or (self._overdue and self._turn_of(item) is None):
            return []
        turn = self._turn_of(item) or self._waiting()
        turn.items.setdefault(item, _Item()).text += text
        return self._partial(item)

    def answered(self, item: str, text: str) -> list[Hearing]:
        """All words of an item; empty when there were none, or when they could not be had.

        An item that nobody knows is of a turn that is over: its words come too late.
        """
        turn = self._turn_of(item)
        if turn is None or (found := turn.items[item]).answered:
            return []
        changed = found.text.strip() != text.strip()
        found.text, found.answered = text, True
        partial = self._partial(item) if changed else []
        return self.over() or partial

    def over(self) -> list[Hearing]:
        """Give out the end of every turn that has ended."""
        events: list[Hearing] = []
        while True:
            turn = self._turns[0]
            is_silent = turn.sealed or not self._speaking
            has_ended = turn.sealed or bool(turn.items)
            if not (turn.is_answered and is_silent and has_ended):
                return events
            events += self._end(turn)

    def give_up(self, turn: Turn) -> list[Hearing]:
        """End a sealed turn with what is known of it, if it has not ended."""
        if turn not in self._turns:
            return []
        events: list[Hearing] = []
        while turn in self._turns:
            late = self._turns[0]
            self._overdue += late.due
            events += self._end(late)
        return events + self.over()

    def lost(self, forgets_speech: bool) -> None:
        """The connection is gone: what was not answered will be sent, and committed, again.

        ``forgets_speech``: the server will find speech in progress again.
        """
        self._speaking, self._voice = self._speaking and not forgets_speech, ""
        for turn in self._turns:
            gone = [name for name, item in turn.items.items() if not item.answered]
            turn.due += sum(turn.items.pop(name).by_us for name in gone)

    def _end(self, turn: Turn) -> list[Hearing]:
        self._turns.pop(0)
        self._forgotten.update(turn.items)
        if not self._turns:
            self._turns.append(Turn())
        return [EndOfTurn(turn.text, turn.at_ms)]

    def _turn_of(self, item: str) -> Turn | None:
        return next((turn for turn in self._turns if item in turn.items), None)

    def _waiting(self) -> Turn:
        """Return the turn that an item belongs to which nobody knows yet."""
        return next((turn for turn in self._turns if turn.due), self._turns[-1])

    def _partial(self, item: str) -> list[Hearing]:
        turn = self._turns[0]
        text = turn.text if item in turn.items else ""
        return [Partial(text)] if text else []
