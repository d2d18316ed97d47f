"""What was durable is told, at whatever moment the gateway is killed."""

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from tests.fakes.n8n import Answer, N8nFake, Received
from tests.harness import ROOT, eventually

ROUNDS = 5
EACH = 40


async def _posting(folder: Path, url: str, count: int, first: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.gateway.outbox.posting", str(folder), url, str(count), str(first)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.timeout(90)
async def test_nothing_that_was_durable_is_lost_however_often_it_is_killed(tmp_path: Path) -> None:
    dice = random.Random(4711)

    def moody(it: Received) -> Answer:
        return dice.choice([Answer(), Answer(), Answer(500), Answer(cut=True), Answer(delay_s=0.1)])

    durable: set[int] = set()
    async with N8nFake() as n8n:
        n8n.otherwise = moody
        url = f"{n8n.url}/webhook/calls"
        for each in range(ROUNDS):
            process = await _posting(tmp_path, url, EACH, each * EACH)
            assert process.stdout is not None
            until = dice.randint(1, EACH)
            while (line := (await process.stdout.readline()).strip()) != b"all":
                assert line, "it died by itself"
                durable.add(int(line))
                if len(durable) % EACH >= until:
                    break
            await asyncio.sleep(dice.random() * 0.2)
            process.kill()
            durable |= {
                int(line) for line in (await process.stdout.read()).split() if line != b"all"
            }
            await process.wait()
        n8n.otherwise = Answer()
        process = await _posting(tmp_path, url, 0, 0)

        def told() -> set[int]:
            return {body["data"]["number"] for body in n8n.bodies()}

        await eventually(lambda: told() >= durable, 30)
        process.kill()
        await process.wait()
    assert len(durable) > ROUNDS
    by_number: dict[int, set[str]] = {}
    for it in n8n.received:
        by_number.setdefault(it.json["data"]["number"], set()).add(it.key)
    assert all(len(keys) == 1 for keys in by_number.values())
