"""How a worker process ends: with the process that started it, or when it is told to; never in half a file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from heatcli.batch import remarks
from heatcli.replacing import drop_unfinished

TOLD = 3
"""The exit code of a worker that was told to end."""
TOO_LITTLE = 4
"""The exit code of a worker whose limit on memory leaves it no room."""
ROOM = 100 * 10**6
"""Bytes of address space that a worker needs beside its libraries, whatever it does."""
PATIENCE = 0.5
"""Seconds in which a worker that was told to end does so; one that is still being started may not hear it."""
BROKEN = "SIGSEGV"
"""What code that is broken ends by, and code that lacks memory seldom."""
UNHEARD = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""What a terminal sends to all processes: workers leave it to the one that started them."""


def begin(memory: int | None = None) -> None:
    """Do what a worker does first: leave interrupts to its parent, watch for its own end, and mind its limit.

    ``memory`` is how many bytes of address space it may have, where the system knows such a limit.
    """
    remarks.ignore()
    for number in UNHEARD:
        signal.signal(number, signal.SIG_IGN)
    until: list[Any] = []
    if sys.platform != "win32":  # the byte is written at once, also while the interpreter is deep in a computation
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        until.append(told)
    if (parent := multiprocessing.parent_process()) is not None:
        until.append(parent.sentinel)
    threading.Thread(target=_end_after, args=(until,), daemon=True).start()
    if memory is not None and sys.platform != "win32":
        import resource

        # what comes from files is to be fenced in, and not our own libraries
        from heatcli import load  # noqa: F401
        from heatcli.batch import worker  # noqa: F401

        if memory < _taken() + ROOM:  # threads would die at their birth, and who waits for them would wait for long
            os._exit(TOO_LITTLE)
        with suppress(OSError, ValueError):  # a lower one is in force already
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _taken() -> int:
    """Return the bytes of address space that this process has, 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _end_after(until: list[Any]) -> None:
    wait(until)
    drop_unfinished()
    os._exit(TOLD)


def end(processes: Iterable[BaseProcess]) -> None:
    """Tell workers to end, and kill those that do not."""
    waited = {process.sentinel: process for process in processes if process.is_alive()}
    for process in waited.values():
        process.terminate()
    while waited and (ended := wait(list(waited), PATIENCE)):
        for sentinel in ended:
            del waited[sentinel]  # type: ignore[arg-type]
    for process in waited.values():
        process.kill()


def told(processes: Iterable[BaseProcess]) -> str | None:
    """Return how a worker ended that was not told to, such as ``killed by signal 11 (SIGSEGV)``; None if unknown."""
    watched = {process.sentinel: process for process in processes}
    for sentinel in wait(list(watched), PATIENCE):
        code = _exit_code(watched[sentinel])  # type: ignore[index]
        if code is None or code in (0, TOLD, -signal.SIGTERM):
            continue
        if code > 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "a real-time signal"
        perhaps = "; out of memory perhaps" if name == "SIGKILL" else ""
        return f"killed by signal {-code} ({name}{perhaps})"
    return None


def _exit_code(process: BaseProcess) -> int | None:
    """Return the exit code of a process whose files are closed, which is a moment before its end is known."""
    process.join(PATIENCE)
    until = time.monotonic() + PATIENCE
    while process.exitcode is None and time.monotonic() < until:  # another thread has waited for it and not said so yet
        time.sleep(0.001)
    return process.exitcode
