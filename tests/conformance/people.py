"""Who calls the houses of the conformance suite."""

from collections.abc import Callable

from phone import Call
from tests.e2e.cascade import Called, Caller
from tests.fakes.speech import heard_in, speech
from tests.harness import eventually

CALLER_MS = 40.0
"""How long callers take for a letter: slow enough for ears that go by loudness alone."""


class Reader(Caller):
    """Reads the agent's words from the audio that the phone has played.

    ``said`` tells what the record has of a caller's line.
    """

    def __init__(self, stage: Called, call: Call, said: Callable[[str], str]) -> None:
        super().__init__(stage, call)
        self._said = said

    async def lines(self) -> list[tuple[str, str]]:
        """Return the transcript: who, what."""
        lines = await super().lines()
        return [(who, self._said(text) if who == "caller" else text) for who, text in lines]

    async def wrote_down(self, lines: list[tuple[str, str]]) -> None:
        """Return when the transcript is just this."""
        known = [(who, self._said(text) if who == "caller" else text) for who, text in lines]
        await super().wrote_down(known)

    async def says(self, text: str, ms_per_letter: float = CALLER_MS) -> None:
        """Say it; return when it was said."""
        await super().says(text, ms_per_letter)

    def says_on(self, text: str) -> None:
        """Begin to say it."""
        self.call.say_nowait(speech(text, CALLER_MS))

    async def begins_to_hear(self, letter: str) -> None:
        """Return when the first sound of a word that begins so was played."""

        def begun() -> bool:
            words = heard_in(self.call.heard[self._read :])
            return any(word.text.startswith(letter) for word in words)

        await eventually(begun, every=0.01)


class Listener(Reader):
    """Hears that the agent speaks, and looks up what it said: for a voice of mere tones."""

    async def hears(self, text: str, seconds: float = 10.0) -> None:
        """Return when the transcript has it, after what was heard before."""
        wanted = text.split()

        async def written() -> int | None:
            lines = (await self.view()).get("lines", ())  # a call that rings is not known yet
            spoken = (line["text"] for line in lines if line["role"] == "agent")
            self.words = " ".join(spoken).split()
            for start in range(self._seen, len(self.words) - len(wanted) + 1):
                if self.words[start : start + len(wanted)] == wanted:
                    return start + len(wanted)
            return None

        self._seen = await eventually(written, seconds, every=0.05)

    async def wrote_down(self, lines: list[tuple[str, str]]) -> None:
        """Return when the transcript is just this."""
        await super().wrote_down(lines)
        self.words = " ".join(text for who, text in lines if who == "agent").split()

    def listen(self) -> list[str]:
        """Return the words that were looked up last."""
        return self.words

    async def begins_to_hear(self, letter: str) -> None:
        """Return when the agent is heard in reply to the caller."""
        del letter
        await self.call.heard_reply(timeout=10)
