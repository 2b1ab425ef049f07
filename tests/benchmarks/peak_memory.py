"""Explain one input once and print the most memory that this process ever held, in MB.

    python -m tests.benchmarks.peak_memory MODEL INPUT [PRESET]

INPUT is a picture or an .npy tensor. To be run in a process of its own: what was held once is never unsaid.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import heatcli


def peak() -> float:
    """Return this process's peak resident memory in MB (10⁶ bytes).

    Linux keeps it by memory map in /proc; ``ru_maxrss`` there would start at what the parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def peak_of_one_explanation(model: Path, picture: Path, preset: str = "auto") -> float:
    """Return the peak in MB of a fresh process that explains ``picture`` once."""
    command = [sys.executable, "-m", "tests.benchmarks.peak_memory", str(model), str(picture), preset]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


if __name__ == "__main__":
    given, source, *preset = sys.argv[1:]
    explanation = heatcli.load(given, preprocess=preset[0] if preset else "auto", threads=2).explain(source)
    assert explanation.ledger.pixels > 0, "an empty map is no measure"
    print(f"{peak():.1f}")
