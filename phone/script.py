"""A scripted caller: says its phrases, waits for the replies, hangs up.

A script is data; `run_script` plays it on one call. A step that waits in vain for the agent goes
on with the next one, as a person would, and the report shows the missing reply; a call that ends
early ends the script.
"""

from dataclasses import dataclass, replace

from phone.call import Call
from phone.caller import Voice, speak_all
from phone.journal import CallEndedError, Listener
from phone.phone import Phone
from phone.report import Report


@dataclass(frozen=True, slots=True)
class SayText:
    """Speak ``text``; ``audio`` (μ-law) is made from it before the call."""

    text: str
    audio: bytes | None = None


@dataclass(frozen=True, slots=True)
class SayAudio:
    """Speak μ-law ``audio``; ``label`` names it in the report."""

    audio: bytes
    label: str


@dataclass(frozen=True, slots=True)
class PressKeys:
    """Press keys."""

    keys: str


@dataclass(frozen=True, slots=True)
class AwaitReply:
    """Wait until the agent has begun to reply, and then until it has finished.

    It has finished after ``quiet_ms`` of silence.
    """

    timeout_s: float = 10.0
    quiet_ms: float = 800.0
    longest_s: float = 120.0


@dataclass(frozen=True, slots=True)
class AwaitSpeech:
    """Wait only until the agent has begun to reply: to interrupt it."""

    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Be silent for ``ms`` of the agent's and the caller's time."""

    ms: float


Step = SayText | SayAudio | PressKeys | AwaitReply | AwaitSpeech | Wait


@dataclass(frozen=True, slots=True)
class Script:
    """The caller's part, from the first stream on; at its end the caller hangs up."""

    steps: tuple[Step, ...]
    connect_s: float = 30.0
    """How long to wait for a stream before giving up."""

    async def spoken(self, voice: Voice | None = None) -> "Script":
        """Return the script with the audio of all its texts, by ``voice`` or the embedded one."""
        texts = [s.text for s in self.steps if isinstance(s, SayText) and s.audio is None]
        audio = await speak_all(texts, voice)
        return replace(
            self,
            steps=tuple(
                SayText(step.text, audio[step.text])
                if isinstance(step, SayText) and step.audio is None
                else step
                for step in self.steps
            ),
        )


async def run_script(
    phone: Phone,
    script: Script,
    *,
    voice: Voice | None = None,
    to: str | None = None,
    on_event: Listener | None = None,
) -> Report:
    """Place one call, play the caller's part, hang up and return the report."""
    script = await script.spoken(voice)
    async with phone.dial(to=to, on_event=on_event) as call:
        try:
            await call.connected(timeout=script.connect_s)
            for step in script.steps:
                await _play(call, step)
        except (CallEndedError, TimeoutError):
            # The call is over, or no stream came: both are in the report.
            pass
        await call.hangup()
        return await call.ended()


async def _play(call: Call, step: Step) -> None:
    match step:
        case SayText(text=text, audio=audio):
            await call.say(audio or b"", text)
        case SayAudio(audio=audio, label=label):
            await call.say(audio, label)
        case PressKeys(keys=keys):
            await call.press(keys)
        case Wait(ms=ms):
            await call.wait(ms)
        case AwaitSpeech() | AwaitReply():
            await _await(call, step)


async def _await(call: Call, step: AwaitSpeech | AwaitReply) -> None:
    try:
        await call.heard_reply(step.timeout_s)
        if isinstance(step, AwaitReply):
            await call.heard_silence(step.quiet_ms, step.longest_s)
    except TimeoutError:
        # No reply: a person would go on talking. The report has a reply without a time.
        return
