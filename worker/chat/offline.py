"""The model that is asked when none may be: it says what it was given."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from worker.llm import Answer, Prompt, Said, Text


@dataclass(frozen=True, slots=True)
class OfflineLLM:
    """Repeats the caller's words, and names the tools at hand."""

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self) -> "OfflineLLM":
        """Return itself: it keeps nothing of a call."""
        return self

    def stand_in(self) -> "OfflineLLM":
        """Return itself."""
        return self

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Say it."""
        heard = [it.text for it in prompt.items if isinstance(it, Said) and it.role == "user"]
        yield Text(f'No model is asked. You said: "{heard[-1] if heard else ""}". ')
        told = sum(len(it.text) for it in prompt.items if isinstance(it, Said))
        tools = ", ".join(tool.name for tool in prompt.tools) or "none"
        yield Text(f"The model would get {told} characters; tools at hand: {tools}.")

    async def aclose(self) -> None:
        """Nothing is to be closed."""
