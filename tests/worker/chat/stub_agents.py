"""An agents folder for chats: a scripted model, tools, stages, keys, and what can go wrong."""

DESK = '''
import json
from worker import Agent, HangUp, Stage, ToolError, tool
from worker.providers import OpenAI
from worker.stand_ins import EnergySTT, ToneTTS
from worker.testing import ScriptedLLM, calls, says
from words import GREETING


def model(prompt):
    """A model that knows four sentences."""
    last = prompt.items[-1]
    heard = last.text
    if heard == "book":
        return [says("One moment."), calls("book", people=4)]
    if heard == "bye":
        return [says("Goodbye."), calls("hang_up")]
    if heard == "next":
        return calls("move_to_stage", stage="end")
    return f"I heard {heard}"


class Desk(Agent):
    stt, llm, tts = EnergySTT(), ScriptedLLM(model), ToneTTS()
    instructions = "prompt.md"
    greeting = GREETING
    tools = (HangUp(),)
    stages = {
        "start": Stage(tools=("book", "hang_up"), next=("end",)),
        "end": Stage(tools=("hang_up",)),
    }

    @tool
    def book(self, people: int) -> str:
        """Book."""
        return f"booked for {people} by {self.call.info.from_}"


class Hosted(Desk):
    llm = OpenAI()


class Failing(Desk):
    async def inference(self, message):
        raise LookupError("no such day")


class Speechless(Desk):
    async def on_start(self):
        await self.say("Front desk.")
        raise LookupError("no words")

    greeting = ""


class Other(Agent):
    tts = ToneTTS()
    greeting = "The other number."
'''

FOLDER = {
    "desk.py": DESK,
    "words.py": 'GREETING = "Front desk."\n',
    "prompt.md": "You are at {{ call.to }}.",
    "broken.py": "from worker import Agent\n\nprint(undefined)\n",
    "wrong.txt": "",
    "routes.toml": 'default = "desk:Desk"\n[numbers]\n"+49" = "desk:Other"\n',
}
