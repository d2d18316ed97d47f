"""Something that an agent says: spoken, written down, and returned as it was heard."""

from collections.abc import AsyncIterable

from worker.speaker import Speaker
from worker.transcript import Transcript


async def say(
    text: str | AsyncIterable[str],
    speaker: Speaker,
    transcript: Transcript,
    interruptible: bool,
    reply: bool,
) -> str:
    """Speak ``text``, or a stream of it as it comes; return what was heard of it.

    ``reply``: it belongs to the turn in progress. Raises `ProviderError`, and what a stream does.
    """
    utterance = speaker.begin(interruptible=interruptible, reply=reply)
    line = text.strip() if isinstance(text, str) else ""
    transcript.follow(transcript.history.agent(line), utterance)
    try:
        if isinstance(text, str):
            utterance.feed(text)
        else:
            await utterance.follow(text)
        utterance.finish()
        return (await utterance.heard()).text
    finally:
        speaker.drop(utterance)
