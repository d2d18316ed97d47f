"""A gateway's outbox in a process of its own, to be killed: posts events, says which are durable.

``python -m tests.gateway.outbox.posting FOLDER URL COUNT FIRST``
"""

import asyncio
import sys
from pathlib import Path

from gateway.outbox.event import Endpoint
from gateway.store.engine import open_store
from tests.gateway.outbox.post_office import booking, outbox


async def main(folder: Path, url: str, count: int, first: int) -> None:
    """Post until killed."""
    store = await open_store(None, folder)
    async with outbox(store, Endpoint(url, None)) as box:
        for number in range(first, first + count):
            if await box.posted(booking(number)):
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()
        sys.stdout.write("all\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
