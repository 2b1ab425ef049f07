"""A terminal of its own for a command: what it shows there, on both streams."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest


def shown(command: Sequence[str], columns: int) -> str:
    """Return what ``command`` shows on a terminal so many columns wide; it must end with 0."""
    pty = pytest.importorskip("pty", reason="there are no pseudo terminals here")
    process, stream = pty.fork()
    if process == 0:
        os.environ |= {"COLUMNS": str(columns), "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[1])}
        os.execv(command[0], command)
    raw = b""
    while True:
        try:
            part = os.read(stream, 65536)
        except OSError:  # the other end has closed
            break
        if not part:
            break
        raw += part
    text = raw.decode()
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, text[-2000:]
    return text
