"""The benchmark of whole conversations, in its smallest form."""

from bench.agents import CASCADE
from bench.cascade import measure
from bench.scene import scene
from bench.zero_delay import providers


async def test_a_conversation_is_answered_interrupted_and_measured() -> None:
    async with providers() as they, scene(CASCADE, they.environment) as stage:
        it = await measure(stage, they, 1, seconds=4.0, warm_up=2.0)
    assert len(it.greetings) == 1
    assert len(it.times.own) >= 1
    assert len(it.times.clear) >= 1
    assert min(it.times.own + it.times.clear) > 0
    assert not it.talks.unanswered
    assert not it.talks.late
    assert it.cpu.calls > 0
    assert it.megabytes > 1
