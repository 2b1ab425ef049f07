"""Histograms that add up: values counted by sign and size in bins of one width, a power of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

Array = np.ndarray
BINS = 128
"""Bins of each sign; the largest value lies in the upper half of them."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many values lie in each bin: ``positive[i]`` in [i·w, (i+1)·w), ``negative[i]`` in (−(i+1)·w, −i·w].

    ``exponent`` gives the width w = 2^exponent; zeros are counted apart. Two histograms add up exactly, the finer one
    being brought to the bins of the coarser.
    """

    exponent: int
    positive: Array
    negative: Array
    zeros: int

    @property
    def width(self) -> float:
        """The width of a bin."""
        return 2.0**self.exponent

    def __add__(self, other: Self) -> Histogram:
        """Return the histogram of all values of both."""
        exponent = max(self.exponent, other.exponent)
        one, two = self._coarser(exponent), other._coarser(exponent)
        return Histogram(exponent, one.positive + two.positive, one.negative + two.negative, one.zeros + two.zeros)

    def _coarser(self, exponent: int) -> Histogram:
        places = np.arange(BINS) >> min(exponent - self.exponent, 62)
        positive, negative = (
            np.bincount(places, weights=side, minlength=BINS).astype(np.int64)
            for side in (self.positive, self.negative)
        )
        return Histogram(exponent, positive, negative, self.zeros)


def histogram(values: Array) -> Histogram:
    """Count finite ``values`` of any shape."""
    flat = np.asarray(values, np.float64).reshape(-1)
    _, exponent = np.frexp(np.abs(flat).max(initial=0.0))
    exponent = max(int(exponent) - 7, -1000)  # the largest is below 2^exponent of frexp, which is BINS bins
    positive, negative = (
        np.bincount((side * 2.0**-exponent).astype(np.int64), minlength=BINS)
        for side in (flat[flat > 0], -flat[flat < 0])
    )
    return Histogram(exponent, positive, negative, int((flat == 0).sum()))
