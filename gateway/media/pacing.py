"""Lets one round of the event loop find several frames, when there are many streams.

Every frame of every call wakes the gateway twice, once from the carrier and once from the call's
process. Falling asleep and being woken costs more than all that is done with the frame. With many
streams the loop is therefore held to a round every 1.5 ms, so that a round handles what has
come meanwhile, as network cards do with their interrupts.

    few streams     frame, frame . frame ......... frame      a round each, at once
    many streams    |frame frame frame|frame frame|frame|     a round every 1.5 ms

The price is up to 1.5 ms each way, of the 20 ms that a frame lasts. A round that has been
busy for that long is followed by the next at once, so nothing is lost under load.
"""

import asyncio
import time

MANY = 32
"""Streams from which on rounds are held: below, waking for each frame costs little."""

ROUND_SECONDS = 0.0015


class Pacing:
    """Counts the streams of a server and holds its loop's rounds while there are many."""

    def __init__(self, many: int = MANY) -> None:
        self._many = many
        self._streams = 0
        self._held = False
        self._resumed = 0.0

    @property
    def held(self) -> bool:
        """Whether rounds are held now."""
        return self._held

    def join(self) -> None:
        """A stream began."""
        self._streams += 1
        if self._streams >= self._many and not self._held:
            self._held = True
            self._resumed = time.monotonic()
            asyncio.get_running_loop().call_soon(self._round)

    def leave(self) -> None:
        """A stream ended."""
        self._streams -= 1

    def _round(self) -> None:
        if self._streams < self._many:
            self._held = False
            return
        # Blocking on purpose, and for 1.5 ms at most: to return to the loop is to look
        # for frames, which is what is put off here.
        rest = self._resumed + ROUND_SECONDS - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        self._resumed = time.monotonic()
        asyncio.get_running_loop().call_soon(self._round)
