"""Perturbation: how fast a class loses its probability when the regions that a heatmap names go first, or go last.

Samek, Binder, Montavon, Lapuschkin & Müller, Evaluating the visualization of what a deep neural network has learned,
IEEE TNNLS 28 (2017) 2660–2673. With p the probability of the explained class and x_s the picture without a share s of
its regions, the area over the curve is

    A = mean over the shares s of  p(x) − p(x_s)

once with the most relevant regions going first and once with the least relevant ones. A map that tells the two apart
has a large difference of both areas; the order of chance has none. Where probabilities saturate, the class score f(x)
can stand in for p.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from heatcli.errors import UsageError
from heatcli.evaluation.regions import Regions

Array = np.ndarray
SHARES = tuple(count / 196 for count in (0, 4, 8, 16, 24, 32, 48, 64))
"""Which shares of the regions are taken away: of 14×14, so many."""
OUTPUTS = ("probability", "score")
"""What can be watched while regions go."""


@dataclass(frozen=True, eq=False)
class Drops:
    """p(x) − p(x_s) at every share s, (S,) float64, for one picture, order and filling."""

    most: Array
    least: Array

    @property
    def difference(self) -> float:
        """The area over the curve with the most relevant regions first, less that with the least relevant ones."""
        return float(self.most.mean() - self.least.mean())


@dataclass(frozen=True, eq=False)
class Perturbation:
    """The curves of one way to order the regions, over all pictures: ``most`` and ``least`` relevant first, (S,).

    ``area_most`` and ``area_least`` are the areas over them, ``error`` is the standard error of ``difference``.
    """

    name: str
    filling: str
    pictures: int
    shares: tuple[float, ...]
    most: tuple[float, ...]
    least: tuple[float, ...]
    area_most: float
    area_least: float
    difference: float
    error: float


def drops(
    output: Callable[[Array], float],
    x: Array,
    orders: Mapping[str, Array],
    regions: Regions,
    filling: Array,
    *,
    before: float,
    shares: Sequence[float] = SHARES,
    executor: Executor | None = None,
) -> dict[str, Drops]:
    """Return the drops for every one of the ``orders`` (region numbers, the most relevant first) by name.

    ``output`` runs the network on an input like ``x`` and returns p, or f, of the explained class; ``before`` is
    that of ``x`` itself. What ``filling`` holds takes the place of regions. Where several orders take away the same
    regions the network is run once; with an ``executor`` several runs go on at the same time.
    """
    checked(shares)
    counts = [round(share * regions.count) for share in shares]
    sets: dict[bytes, Array] = {}
    wanted: dict[str, list[list[bytes]]] = {}
    for name, order in orders.items():
        wanted[name] = []
        for direction in (order, order[::-1]):
            chosen = [np.sort(direction[:count]) for count in counts]
            keys = [entry.tobytes() for entry in chosen]
            sets.update(zip(keys, chosen, strict=True))
            wanted[name].append(keys)
    sets.pop(b"", None)  # no region taken away: that is known

    def without(chosen: Array) -> float:
        return output(regions.replaced(x, chosen, filling))

    answers = map(without, sets.values()) if executor is None else executor.map(without, sets.values())
    known = {b"": before, **dict(zip(sets, answers, strict=True))}
    return {
        name: Drops(*(before - np.array([known[key] for key in keys], np.float64) for keys in both))
        for name, both in wanted.items()
    }


def checked(shares: Sequence[float]) -> None:
    """Raise UsageError unless ``shares`` are shares."""
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"shares of regions lie between 0 and 1, not {list(shares)}")


def curves(name: str, filling: str, found: Sequence[Drops], shares: Sequence[float] = SHARES) -> Perturbation:
    """Return the mean over pictures of what ``drops`` ``found`` for one order and filling."""
    most, least = (np.mean([getattr(entry, side) for entry in found], axis=0) for side in ("most", "least"))
    differences = np.array([entry.difference for entry in found])
    error = float(differences.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("nan")
    return Perturbation(
        name,
        filling,
        len(found),
        tuple(shares),
        tuple(most.tolist()),
        tuple(least.tolist()),
        float(most.mean()),
        float(least.mean()),
        float(differences.mean()),
        error,
    )
