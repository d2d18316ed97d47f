"""What a process per call is good for.

No bridge and no worker is written: every call is a process of its own. Here one caller's call
computes for seconds, or crashes; the others do not miss a frame.
"""

import os
import signal

from worker import Agent, Message
from worker.providers import Espeak, PocketSphinx

GRAMMAR = """#JSGF V1.0;
grammar calculator;
public <wish> = work | crash | goodbye;
"""


class Calculator(Agent):
    """Works when told to, and crashes when told to."""

    stt = PocketSphinx(grammar=GRAMMAR)
    tts = Espeak()
    greeting = "Say work, or crash."

    async def inference(self, message: Message[str]) -> None:
        """Do as told; nothing here is good manners, and nobody else notices."""
        if message.data == "work":
            total = sum(number * number for number in range(3_000_000))
            await self.say(f"The sum has {len(str(total))} digits.")
        elif message.data == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif message.data == "goodbye":
            await self.say("Goodbye.")
            await self.call.hangup()
