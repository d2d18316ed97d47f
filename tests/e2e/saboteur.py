"""Agents that do what they are told by a key: the sources that the end-to-end tests deploy."""

SABOTEUR = '''
import asyncio
import ctypes
import mmap
import os
import signal
import subprocess
import sys

from worker import Agent


class Saboteur(Agent):
    """An echo that breaks in the way that the key asks for."""

    def on_audio(self, audio):
        self.call.play(audio)

    async def on_dtmf(self, digit):
        if self.call.rehearsal:
            return
        print(f"the caller pressed {digit}", file=sys.stderr, flush=True)
        await DEEDS[digit](self)

    async def be_killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    async def touch_nothing(self):
        ctypes.string_at(0)

    async def leave(self):
        os._exit(7)

    async def loop_forever(self):
        while True:
            pass

    async def take_a_gigabyte(self):
        self.hoard = b"x" * (1 << 30)

    async def grow(self):
        self.hoard = []
        while True:
            self.hoard.append(b"x" * 50_000)
            await asyncio.sleep(0)

    async def grow_unseen(self):
        """Memory that no limit of the kernel's counts for a process."""
        self.hoard = []
        for _ in range(100):
            self.hoard.append(mmap.mmap(-1, 1 << 20))
            self.hoard[-1].write(b"x" * (1 << 20))
            await asyncio.sleep(0)

    async def raise_an_error(self):
        raise LookupError("a mistake of its author")

    async def start_a_program(self):
        subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000"])


DEEDS = {
    "1": Saboteur.be_killed,
    "2": Saboteur.touch_nothing,
    "3": Saboteur.leave,
    "4": Saboteur.loop_forever,
    "5": Saboteur.take_a_gigabyte,
    "6": Saboteur.grow,
    "7": Saboteur.grow_unseen,
    "8": Saboteur.raise_an_error,
    "9": Saboteur.start_a_program,
}
'''
SABOTEURS = {"saboteur.py": SABOTEUR, "routes.toml": 'default = "saboteur:Saboteur"\n'}

CLERK = '''
import os

from worker import Agent, RequestError

LAST_WORDS = bytes(range(160)) * 25


class Clerk(Agent):
    """Remembers its streams, and hangs up, transfers or presses keys on request."""

    def on_audio(self, audio):
        self.call.play(audio)

    async def on_start(self):
        self.state["pid"] = os.getpid()
        self.state["streams"] = self.state.get("streams", 0) + 1

    async def on_dtmf(self, digit):
        if self.call.rehearsal:
            return
        self.state["keys"] = self.state.get("keys", "") + digit
        try:
            match digit:
                case "1":
                    self.call.play(LAST_WORDS)
                    await self.call.hangup()
                case "2":
                    self.call.play(LAST_WORDS)
                    await self.call.transfer("desk")
                case "3":
                    await self.call.transfer("nowhere")
                case "4":
                    await self.call.transfer("+15550009999")
                case "5":
                    await self.call.send_digits("12#")
                    self.state["pressed"] = True
                case "6":
                    os._exit(9)
        except RequestError as error:
            self.state["refused"] = error.code
'''
LAST_WORDS = bytes(range(160)) * 25
CLERKS = {"clerk.py": CLERK, "routes.toml": 'default = "clerk:Clerk"\n'}
