import asyncio
import os
import socket
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from shared.bootstrap import ReleaseSpec, TemplateProcess
from tests.harness import eventually


async def _refused_template() -> int | None:
    """Start a template for a release that is not there; return how it ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    lifeline, owner = Pipe(duplex=False)
    with ours, theirs, lifeline, owner, Connection(write, readable=False) as stderr:
        spec = ReleaseSpec("none", "/nowhere", "/nowhere", None, {})
        process = TemplateProcess(theirs, lifeline, stderr, spec)
        await asyncio.to_thread(process.start)
        code: int = await eventually(process.reap)
    os.close(read)
    return code


async def test_a_template_that_has_ended_leaves_no_descriptor_behind() -> None:
    assert await _refused_template() == 1  # the first starts multiprocessing's own tracker
    before = len([*Path("/proc/self/fd").iterdir()])
    assert await _refused_template() == 1
    assert len([*Path("/proc/self/fd").iterdir()]) == before
