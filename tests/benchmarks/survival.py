"""Kills folder runs at random moments, a hundred times in each way of working, and says what was left.

python -m tests.benchmarks.survival [KILLS] [SEED]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.batch.disturbed import Folder, kill_again_and_again

WAYS = {
    "processes": ("--jobs", "2"),
    "threads": ("--jobs", "2", "--workers", "threads"),
    "processes, one scale for all, two classes, --save npz": (
        *("--jobs", "2", "--scale", "shared", "--target", "top-2", "--save", "npz"),
    ),
}


def main(kills: int = 100, seed: int = 0) -> None:
    """Print a line for each way; a run that does not survive raises AssertionError."""
    for name, options in WAYS.items():
        with tempfile.TemporaryDirectory(prefix="heatcli-survival-") as place:
            several = "top-2" in options
            endings = (".heatmap.png", ".heatmap.npz") if several else (".heatmap.png",)
            folder = Folder(Path(place), options=options, heatmaps=1 + several, endings=endings)
            begun = time.monotonic()
            tally = kill_again_and_again(folder, kills, seed, each=True)
            print(f"{name}: {tally}; {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
