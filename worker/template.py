"""A release's template: loads it, rehearses it, then forks call processes from it.

    confine ─> import ─> prepare ─> rehearse ─> freeze ─> ready ─> fork, fork, reap, fork …
         └────────┴─────────┴──────────┴───────────┴─> refused, with the traceback

Only a template forks. When it says that it is ready it has one kernel task, no event loop, and no
socket but the control socket; from then on it waits in one blocking call. It takes orders from
the gateway alone and lives in a session of its own, so no terminal's signal reaches it.
"""

import faulthandler
import gc
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from aiomultiprocess.types import Unit

from shared import control
from shared.bootstrap import ReleaseSpec
from shared.kernel import kernel_tasks, open_sockets, private_bytes
from shared.messages import VERSION
from worker import call_process, confinement, direct, rehearsal, roles
from worker.call_process import Mold
from worker.errors import ProviderError
from worker.release import LoadedRelease, ReleaseError, isolate, load
from worker.runtime import innermost

_THREAD_GRACE_SECONDS = 0.5
_BUSY = 500  # oom_score_adj: calls go before the gateway does


def serve(unit: Unit, orders: socket.socket, lifeline: int, spec: ReleaseSpec) -> None:
    """Be the template of ``spec``, until the gateway closes the control socket."""
    settle_signals()
    try:
        mold = _get_ready(unit, orders, lifeline, spec)
    except BaseException as error:
        _refuse(orders, error)
        os._exit(1)
    _fork_on_request(orders, mold)
    os._exit(0)


def _get_ready(unit: Unit, orders: socket.socket, lifeline: int, spec: ReleaseSpec) -> Mold:
    Path("/proc/self/oom_score_adj").write_text(str(_BUSY))
    # Loading must not disturb calls in progress; forking is theirs and is done at full weight.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    folder, hidden = Path(spec.folder), tuple(map(Path, spec.hidden))
    began = time.monotonic()
    isolate(folder, (Path(spec.live_folder), *hidden))
    abi = confinement.confine_to(folder, (Path(spec.live_folder), *hidden))
    loaded = load(spec.release, folder, spec.agent)
    imported = time.monotonic()
    control.send(orders, control.Stage("rehearsing"))
    rehearsal.rehearse(list(loaded.agents.values()), spec.release)
    rehearsed = time.monotonic()
    call_process.warm_up()
    border = confinement.border(abi)
    mold = Mold(unit, loaded, lifeline, border, self_seeded_generators(), data_bytes())
    _be_fit_to_fork(orders)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    control.send(
        orders,
        control.Ready(
            VERSION,
            list(loaded.agents),
            (imported - began) * 1000,
            (rehearsed - imported) * 1000,
            private_bytes(),
            [*confinement.notes(abi), *_notes(loaded)],
            *loaded.direct(),
            loaded.direct_agents(),
            loaded.machines(),
        ),
    )
    return mold


def _notes(loaded: LoadedRelease) -> list[str]:
    """Return what an operator should know of the agents."""
    agents = loaded.agents.values()
    return [*roles.notes(agents), *direct.notes(agents)]


def _be_fit_to_fork(orders: socket.socket) -> None:
    """Settle what forks will share, and refuse what they cannot. Raises `ReleaseError`."""
    gc.collect()
    deadline = time.monotonic() + _THREAD_GRACE_SECONDS
    while len(kernel_tasks()) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    tasks = kernel_tasks()
    if len(tasks) > 1:
        raise ReleaseError(
            f"a thread runs after import and rehearsal: {_name_threads(tasks)}. "
            "A fork would lose it: start threads in a hook of the call instead"
        )
    extra = [fd for fd in open_sockets() if fd != orders.fileno()]
    if extra:
        raise ReleaseError(
            f"{len(extra)} network connection(s) are open after import and rehearsal. "
            "Calls would share them: open connections in a hook of the call instead"
        )
    settle_signals()
    # Forks would each write again what is still buffered here.
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()
    # Until a fork turns it on again: a collection here would copy what forks share.
    gc.disable()


def settle_signals() -> None:
    """Give signals back the meaning they have in a template, whatever an import made of them."""
    faulthandler.unregister(signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    # An ignored SIGCHLD would lose every exit status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    # A dump of this kind works in an endless loop, too, and in a hung import.
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    # And what a native library crashes in belongs to a call's last words.
    faulthandler.enable()


def _name_threads(tasks: dict[int, str]) -> str:
    known = {thread.native_id: thread for thread in threading.enumerate()}
    names = []
    for task, comm in tasks.items():
        if task == os.getpid():
            continue
        thread = known.get(task)
        target = getattr(thread, "_target", None)
        where = f" running {target.__module__}.{target.__qualname__}" if target else ""
        names.append(f"{thread.name}{where}" if thread else f"a native thread named {comm!r}")
    return ", ".join(sorted(names))


def _refuse(orders: socket.socket, error: BaseException) -> None:
    inner = innermost(error)
    # What says itself what to do is told in its own words: a key that is missing is no bug.
    clear = isinstance(inner, ReleaseError | ProviderError)
    report = "" if clear else "".join(traceback.format_exception(error, chain=True))
    reason = str(inner) if clear else call_process.last_line(error)
    reason = control.fit(reason, control.MAX_REPORT // 10)
    try:
        control.send(orders, control.Refused(reason, control.fit(report)))
    except OSError:
        sys.stderr.write(report or str(error))


def _fork_on_request(orders: socket.socket, mold: Mold) -> None:
    while True:
        data, fds, _, _ = socket.recv_fds(orders, control.MAX_PACKET, 2)
        if not data:
            return
        match control.decode_order(data):
            case control.Fork() as order:
                _fork(orders, mold, order, fds)
            case control.Reap(pid):
                _reap(orders, pid)


def _fork(orders: socket.socket, mold: Mold, order: control.Fork, fds: list[int]) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        control.send(orders, control.ForkFailed(order.key, str(error)))
    else:
        if pid == 0:
            orders.close()
            call_process.live(mold, order, fds)
        control.send(orders, control.Forked(order.key, pid))
    for fd in fds:
        os.close(fd)


def _reap(orders: socket.socket, pid: int) -> None:
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        control.send(orders, control.Exited(pid, None, 0.0, 0))
        return
    cpu = usage.ru_utime + usage.ru_stime
    control.send(orders, control.Exited(pid, status, cpu, usage.ru_maxrss * 1024))


def self_seeded_generators() -> tuple[Any, ...]:
    """Return the random generators that exist now, to be reseeded in every fork.

    Each fork would otherwise draw the same numbers from them. Modules' generators and those that
    the collector knows are found; the module-level functions of ``random`` look after themselves.
    """
    kinds: list[type] = [random.Random]
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        kinds += [numpy_random.Generator, numpy_random.RandomState]
    wanted = tuple(kinds)
    found: dict[int, Any] = {}
    for holder in gc.get_objects():
        values = tuple(holder.values()) if type(holder) is dict else (holder,)
        for value in values:
            # Not isinstance: it asks ``__class__`` of the value, which makes lazy modules load.
            kind = type(value)
            if issubclass(kind, wanted) and not issubclass(kind, random.SystemRandom):
                found[id(value)] = value
    return tuple(found.values())


def data_bytes() -> int:
    """Return this process's data size in bytes, as ``RLIMIT_DATA`` counts it (proc(5), VmData)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmData in /proc/self/status")
