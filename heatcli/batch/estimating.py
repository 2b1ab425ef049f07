"""What a run will take, measured on a few of its pictures: time and room, before anything is written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from heatcli.batch import runner, worker
from heatcli.batch.batch import Batch, evenly
from heatcli.batch.records import line
from heatcli.places import storage
from heatcli.places.items import Item

ROUNDS = 3
"""So many pictures a worker are measured, after one that warms it up."""


@dataclass(frozen=True)
class Estimate:
    """What is known before a run, and what was measured for it.

    ``seconds`` are those of all workers together for one picture, ``bytes`` what one leaves, its records included;
    both are None where no picture of the sample could be explained. ``free`` is the room where heatmaps go, None where
    that is not known.
    """

    inputs: int
    finished: int
    workers: int
    measured: int
    failed: int
    seconds: float | None
    bytes: float | None
    free: int | None

    @property
    def remaining(self) -> int:
        """How many inputs are still to do."""
        return self.inputs - self.finished

    @property
    def total_seconds(self) -> float | None:
        """How long all that remain take."""
        return None if self.seconds is None else self.seconds * self.remaining

    @property
    def total_bytes(self) -> float | None:
        """How much room they take."""
        return None if self.bytes is None else self.bytes * self.remaining

    def record(self) -> dict[str, Any]:
        """Return all of it in types that JSON has."""
        return {
            "inputs": self.inputs,
            "finished": self.finished,
            "remaining": self.remaining,
            "workers": self.workers,
            "measured": self.measured,
            "measured_failed": self.failed,
            "seconds_a_picture": self.seconds,
            "seconds": self.total_seconds,
            "bytes_a_picture": self.bytes,
            "bytes": self.total_bytes,
            "free_bytes": self.free,
        }


def estimate(
    batch: Batch, items: Sequence[Item], *, inputs: int, advance: Callable[[], None] = lambda: None
) -> Estimate:
    """Explain a few of the ``items`` that are to do, spread evenly, and write nothing.

    ``inputs`` counts those that were finished before too. Every worker is warmed up by one picture first, which loads
    its network. ``advance`` is called after each picture.
    """
    workers = batch.workers.count
    job = replace(batch.job, dry=True, drawing=replace(batch.job.drawing, scale="per-image"))
    sample = evenly(items, ROUNDS * workers)
    warm = (sample * workers)[:workers]
    size, done, failed, begun = 0.0, 0, 0, 0.0
    outcomes = runner.run([*warm, *sample], partial(worker.make, job), batch.workers, ahead=2 * workers)
    for place, outcome in enumerate(outcomes, 1):
        advance()
        if place <= len(warm):
            begun = time.perf_counter()
        elif outcome.result is None:
            failed += 1
        else:
            done += 1
            size += sum(made.size + len(line(made.record)) + 1 for made in outcome.result)
    seconds = time.perf_counter() - begun
    free = None if batch.job.plan.folder is None else _free(batch.job.plan.folder)
    return Estimate(
        inputs,
        inputs - len(items),
        workers,
        done,
        failed,
        seconds / (done + failed) if done else None,
        size / done if done else None,
        free,
    )


def steps(batch: Batch, items: Sequence[Item]) -> int:
    """Return how many pictures ``estimate`` explains."""
    return batch.workers.count + min(len(items), ROUNDS * batch.workers.count) if items else 0


def _free(folder: str) -> int | None:
    """Return the free bytes where ``folder`` is or will be."""
    if storage.is_remote(folder):
        return None
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free
