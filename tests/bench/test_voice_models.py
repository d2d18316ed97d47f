"""The benchmark of the speech models, in its smallest form."""

import asyncio

from bench.agents import speaking
from bench.scene import scene
from bench.voice_models import MODELS, Round, measure
from bench.zero_delay import providers


async def _measured(model: str) -> Round:
    async with providers() as they, scene(speaking(model), they.environment) as stage:
        return await measure(stage, they, 1, seconds=4.0, warm_up=2.0)


async def test_every_model_holds_a_conversation_that_is_measured() -> None:
    for name, it in zip(
        MODELS, await asyncio.gather(*map(_measured, MODELS.values())), strict=True
    ):
        assert len(it.greetings) == 1, name
        assert len(it.own) >= 1, name
        assert len(it.clear) >= 1, name
        assert min(it.own + it.clear) > 0, name
        assert not it.held.talks.unanswered, name
        assert not it.held.talks.late, name
        assert it.held.cpu.calls > 0, name
        assert it.held.megabytes > 1, name
