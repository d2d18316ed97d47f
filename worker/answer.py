"""One request to the model, and what is said of it while it streams.

It knows nothing of turns: whether the answer is wanted is decided by `worker.mind`.
"""

import asyncio
from collections.abc import Callable

from shared.turn_stages import Stage
from worker.llm import Call, Item, LLMSession, Prompt, Text, Usage
from worker.turn_times import TurnTimes
from worker.utterance import Utterance


class Answer:
    """An answer in the making: its words go to ``utterance`` as they come.

    ``make`` is called when the request goes out, a moment later: what has happened until then on
    the line, such as the end of a sentence that was cut, is in it.
    """

    def __init__(
        self,
        session: LLMSession,
        make: Callable[[], Prompt],
        utterance: Utterance,
        times: TurnTimes,
    ) -> None:
        self.utterance = utterance
        self.text = ""
        self.calls: list[Call] = []
        self.usage: Usage | None = None
        self._session, self._make, self._times = session, make, times
        self._prompt: Prompt | None = None
        self.begun = asyncio.Event()
        """The model has said its first word, or will say none."""
        self.task = asyncio.get_running_loop().create_task(self._read())
        """Done when the answer is whole. Raises what making the prompt and the model raise."""

    def fits(self, items: tuple[Item, ...]) -> bool:
        """Tell whether one line was asked about after this conversation, and it has not failed."""
        if self._prompt is None:
            return False
        asked = self._prompt.items[:-1]
        lead = len(asked) - len(items)  # the instructions, if there are any
        if lead not in (0, 1) or asked[lead:] != items:
            return False
        return not self.task.done() or not (self.task.cancelled() or self.task.exception())

    async def _read(self) -> None:
        prompt = self._prompt = self._make()
        self._times.reached(Stage.MODEL_ASKED)
        stream = self._session.reply(prompt)
        try:
            async for item in stream:
                match item:
                    case Text(delta):
                        self._times.reached(Stage.FIRST_TOKEN)
                        self.text += delta
                        self.begun.set()
                        self.utterance.feed(delta)
                    case Call():
                        self.begun.set()
                        self.calls.append(item)
                    case Usage():
                        self.usage = item
        finally:
            self.begun.set()
            await stream.aclose()
        self.utterance.finish()

    def cancel(self) -> None:
        """Close the stream, if it is still open."""
        self.task.cancel()
