"""What a fresh fork does before and after its call.

The order matters: own signals first, then the lifeline, then limits; whatever the agent leaves
behind, the process ends by ``os._exit`` after its streams were flushed, so that nothing which the
template registered (exit handlers, finalizers, temporary folders) runs a second time.
"""

import gc
import logging
import os
import resource
import secrets
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import setproctitle
from aiomultiprocess import Process
from aiomultiprocess.types import Unit

from shared.bootstrap import call_loop
from shared.control import Fork
from shared.kernel import arm_lifeline, lifeline_cut, reopen
from shared.messages import VERSION, Hello, decode_event, encode
from worker import confinement
from worker.errors import ProviderError
from worker.release import LoadedRelease
from worker.runtime import innermost, last_line

__all__ = ["last_line", "live", "warm_up"]

_OPEN_FILES = 1024


def warm_up() -> None:
    """Do once what every fork does and a rehearsal does not.

    That is to import uvloop, whose loop only forks may make, and to read an event off the wire.
    """
    import uvloop  # noqa: F401

    decode_event(encode(Hello(VERSION)))


@dataclass(frozen=True, slots=True)
class Mold:
    """What every fork of a template begins with.

    ``border`` parts each from the others (`worker.confinement`); ``generators`` are reseeded in
    each; ``data_bytes`` is the template's own data size, which a fork's memory limit is counted
    on top of.
    """

    unit: Unit
    loaded: LoadedRelease
    lifeline: int
    border: int | None
    generators: tuple[Any, ...]
    data_bytes: int


def live(mold: Mold, order: Fork, fds: list[int]) -> NoReturn:
    """Run one call in this process, which was just forked, and leave it.

    ``fds`` are the call's end of the pipe and the write end for standard error.
    """
    code = 1
    try:
        pipe, stderr = fds
        own_lifeline = _settle_in(mold, order, stderr)
        _reseed(mold.generators)
        gc.enable()
        Process.run_async(
            mold.unit._replace(
                args=(Connection(pipe), mold.loaded),
                initargs=(own_lifeline,),
                initializer=None,
                loop_initializer=call_loop,
            )
        )
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        sys.stderr.write(last_words(error))
    finally:
        _leave(code)


def last_words(error: BaseException) -> str:
    """Return what a call that failed leaves on standard error: a traceback.

    A provider that cannot be had is nobody's bug, and was told already, with what to do.
    """
    if isinstance(innermost(error), ProviderError):
        return ""
    return "".join(traceback.format_exception(error))


def _settle_in(mold: Mold, order: Fork, stderr: int) -> int:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    # It would write a traceback of its own, whatever went wrong.
    logging.getLogger("aiomultiprocess").disabled = True
    logging.getLogger("aiomultiprocess.core").disabled = True
    own_lifeline = reopen(mold.lifeline)
    arm_lifeline(own_lifeline, os.getpid())
    if lifeline_cut(own_lifeline):
        os._exit(1)
    os.dup2(stderr, 1)
    os.dup2(stderr, 2)
    os.close(stderr)
    setproctitle.setproctitle(order.title)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, most_files), most_files))
    if order.memory_limit:
        limit = mold.data_bytes + order.memory_limit
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if mold.border is not None:
        confinement.close_border(mold.border)
    return own_lifeline


def _reseed(generators: tuple[Any, ...]) -> None:
    for generator in generators:
        if hasattr(generator, "bit_generator"):
            bits = generator.bit_generator
            bits.state = type(bits)(secrets.randbits(128)).state
        else:
            generator.seed(secrets.randbits(32))


def _leave(code: int) -> NoReturn:
    try:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
