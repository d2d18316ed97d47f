"""A call's line to the model has no thread: one more for each call would be one for nothing."""

import threading

import pytest

from tests.fakes.openai import KEY, OpenAIFake
from worker.llm import Prompt, Said
from worker.llm.openai import OpenAI


async def test_a_line_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpenAIFake() as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        model = OpenAI()
        model.prepare()
        before = set(threading.enumerate())
        session = await model.connect()
        assert [item async for item in session.reply(Prompt((Said("user", "Hello"),)))]
        assert set(threading.enumerate()) == before
        await session.aclose()
