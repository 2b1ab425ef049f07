"""Run code in a process of its own that could crash or take much memory, and see how much it took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEAK = """
import pathlib as _p
_lines = _p.Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) >> 10 for line in _lines if "VmHWM" in line))
"""
"""Not ``ru_maxrss``: that includes what the process that started this one had."""


def peak(code: str, *arguments: object, timeout: float = 100) -> tuple[list[str], int]:
    """Return the lines that ``code`` prints, and the most memory that its process ever had, in MiB; Linux only."""
    done = subprocess.run(
        [sys.executable, "-c", code + PEAK, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    *lines, most = done.stdout.splitlines()
    return lines, int(most)
