"""The agents that the benchmarks deploy, as the files of an agents folder."""

SDKS = """\
import cartesia
import deepgram
import openai
from cartesia import AsyncCartesia
from deepgram import AsyncDeepgramClient
from openai import AsyncOpenAI
"""
"""The hosted providers' SDKs, down to the clients that a call would use."""

ECHO = {
    "echo.py": """\
import time

from worker import Agent


class Echo(Agent):
    def __init__(self):
        super().__init__()
        self.state["running_at"] = time.monotonic()

    def on_audio(self, audio):
        self.call.play(audio)
""",
    "routes.toml": 'default = "echo:Echo"\n',
}
"""Plays every frame back; its state says when its code first ran, on the machine's clock."""

LOADED = {**ECHO, "echo.py": SDKS + ECHO["echo.py"]}
"""The same with all three SDKs imported."""

COLLECTING = {
    **ECHO,
    "echo.py": "import gc\n"
    + LOADED["echo.py"]
    + """
    async def on_ringing(self):
        gc.collect()
        self.call.metric("collected", 1)
""",
}
"""The same again; collects its garbage once and says so."""

GREETER = {
    "greeter.py": """\
from worker import Agent
from worker.message import Message


class Session:
    def __init__(self, listener):
        self._listener = listener

    def post(self, message):
        self._listener.audio(Message(message.uuid, bytes(range(160)) * 50, done=True))

    def abort(self, uuid):
        pass

    async def aclose(self):
        pass


class Tone:
    def prepare(self):
        pass

    async def connect(self, listener):
        return Session(listener)

    def stand_in(self):
        return self


class Greeter(Agent):
    tts = Tone()
    greeting = "Hello"
""",
    "routes.toml": 'default = "greeter:Greeter"\n',
}
"""Greets with a second of tone that its voice makes in no time."""

CASCADE = {
    "talker.py": """\
import gc

from worker import Agent
from worker.providers import Cartesia, Deepgram, OpenAI


class Talker(Agent):
    stt = Deepgram()
    llm = OpenAI()
    tts = Cartesia(voice="a-voice")
    greeting = "Hello, how can I help you?"
    instructions = "You answer the phone of a restaurant and book its tables. " * 20

    async def on_dtmf(self, digit):
        gc.collect()

    async def on_keys(self, keys):
        pass
""",
    "routes.toml": 'default = "talker:Talker"\n',
}
"""Hears, thinks and speaks by three providers; collects its garbage when a key is pressed."""


def speaking(model: str) -> dict[str, str]:
    """Return an agent that a speech model hears, thinks and speaks for."""
    source = CASCADE["talker.py"]
    begin, end = source.index("    stt ="), source.index("    greeting")
    source = source[:begin] + f"    speech = {model}\n" + source[end:]
    imported = "Cartesia, Deepgram, OpenAI"
    return {**CASCADE, "talker.py": source.replace(imported, model.partition("(")[0])}
