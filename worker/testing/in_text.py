"""An agent whose speech-to-speech model cannot take part in text: a model of text in its place."""

import functools
from typing import Any

from worker.agent import Agent
from worker.llm import LLM
from worker.testing.text_speech import TextSTT, TextTTS


class NoTextModelError(Exception):
    """``agent`` talks by a speech-to-speech model alone, and text needs another."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        super().__init__(agent)

    def __str__(self) -> str:
        return (
            f"{self.agent} talks by a speech-to-speech model, which cannot be typed to: "
            "give the class an llm as well, or the talk one (llm=...)"
        )


def in_text(agent: type[Agent], llm: LLM | None) -> type[Agent]:
    """Return the class as one that hears, thinks and speaks in text.

    Raises `NoTextModelError` when there is no model of text for it.
    """
    if agent.speech is None:
        return agent
    model = llm if llm is not None else agent.llm
    if model is None:
        raise NoTextModelError(agent.__name__)
    plain: type = agent
    found: type[Agent] = _in_text(plain, _Same(model))
    return found


class _Same:
    """A model as a key: settings are not all hashable."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)


@functools.lru_cache(maxsize=64)
def _in_text(agent: type, llm: _Same) -> Any:
    changes = {
        "__module__": agent.__module__,
        "__doc__": agent.__doc__,
        "speech": None,
        "stt": TextSTT(),
        "tts": TextTTS(),
        "llm": llm.model,
    }
    return type(agent.__name__, (agent,), changes)
