"""Regions: the network's input cut into a grid of about 14×14, ranked by what a heatmap says of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heatcli.pictures.layouts import spread

Array = np.ndarray
ACROSS = 14
"""So many regions, about, lie along each side; along a row of numbers the square of it."""


@dataclass(frozen=True, eq=False)
class Regions:
    """A grid on an input seen in ``shape``, along its ``axes``; all other axes, such as channels, go with them.

    ``index`` has the sides' lengths and holds the number of the region that each place belongs to.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    index: Array

    @property
    def count(self) -> int:
        """How many regions there are."""
        return int(self.index.max()) + 1

    @property
    def sides(self) -> tuple[int, ...]:
        """The lengths of the axes that regions lie along: (height, width), or (length,)."""
        return tuple(self.index.shape)

    def heatmap(self, relevance: Array) -> Array:
        """Return ``relevance``, of the input's size, summed over all axes but the sides: float64."""
        others = tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)
        return relevance.reshape(self.shape).sum(axis=others, dtype=np.float64)

    def ranked(self, heatmap: Array) -> Array:
        """Return the numbers of all regions, (count,) int, the one with the largest mean of ``heatmap`` first."""
        flat = self.index.reshape(-1)
        totals = np.bincount(flat, weights=np.asarray(heatmap, np.float64).reshape(-1), minlength=self.count)
        return np.argsort(-totals / np.bincount(flat, minlength=self.count), kind="stable")

    def replaced(self, x: Array, chosen: Array, filling: Array) -> Array:
        """Return the input ``x`` with what ``filling``, of the same shape, holds in the ``chosen`` regions.

        All channels of a region are replaced.
        """
        hidden = np.zeros(self.count, bool)
        hidden[chosen] = True
        sides = [length if axis in self.axes else 1 for axis, length in enumerate(self.shape)]
        mask = hidden[self.index].reshape(sides)
        return np.where(mask, filling.reshape(self.shape), x.reshape(self.shape)).reshape(x.shape)


def regions_on(
    shape: tuple[int, ...], layout: str, size: tuple[int, int] | None = None, *, across: int = ACROSS
) -> Regions:
    """Lay about ``across``² square regions on an input of ``shape`` (batch axis included), 16 pixels of 224 a side.

    ``size`` is the (height, width) of a picture laid out flat. Where a side is no multiple of the regions' length, some
    are a pixel longer. A row of numbers has as many regions along its one side.
    """
    whole, axes = spread(shape, layout, size)
    sides = [whole[axis] for axis in axes]
    length = max(1, round((math.prod(sides) / across**2) ** (1 / len(sides))))
    counts = [max(1, round(side / length)) for side in sides]
    places = [np.arange(side) * count // side for side, count in zip(sides, counts, strict=True)]
    index = np.asarray(np.ravel_multi_index(tuple(np.meshgrid(*places, indexing="ij")), counts))
    return Regions(whole, axes, index)


def centre(sides: tuple[int, ...]) -> Array:
    """Return the map of an explainer that always points at the middle: 1 there, falling to 0 in the corners."""
    distances = [np.abs(np.arange(side) - (side - 1) / 2) / max(1, side) for side in sides]
    squared = sum(distance**2 for distance in np.meshgrid(*distances, indexing="ij"))
    distance = np.sqrt(squared)
    return 1 - distance / max(float(distance.max()), 1e-12)
