"""Interrupts, of the keyboard and others: the first ends a command in order, a later one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""
ECHO = 0.25
"""Seconds in which a second signal is the first once more: `timeout`, shells and terminals send it in several ways."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(BaseException):
    """KeyboardInterrupt by another name, since typer makes an exit code of that one; it holds what was said of it."""


def listen() -> None:
    """Have a request to end and a lost terminal raise KeyboardInterrupt as the keyboard does, and each of them once.

    What whoever started us had ignored stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _interrupted)


def heard() -> bool:
    """Whether there was one: what is raised afterwards is its doing, such as the failing import it came into."""
    return _First.at is not None


class _First:
    at: float | None = None


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    if _First.at is None:
        _First.at = now
        raise KeyboardInterrupt
    if now - _First.at > ECHO:
        end_at_once()


def end_at_once() -> None:
    """End this process and with it its threads and workers, which watch it; no half-written file stays."""
    from heatcli.replacing import drop_unfinished

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # RuntimeError: it was being written to
            stream.flush()
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():  # a progress bar had hidden it
            os.write(sys.stderr.fileno(), SHOW_CURSOR)
    drop_unfinished()
    os._exit(INTERRUPTED)
