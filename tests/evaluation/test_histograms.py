"""Histograms against NumPy's, and added up in any order."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.evaluation.histograms import BINS, Histogram, histogram

RANDOM = np.random.default_rng(0)
PARTS = [RANDOM.normal(size=300) * scale for scale in (1, 0.01, 30)] + [np.zeros(7), np.array([])]


def same(a: Histogram, b: Histogram) -> bool:
    sides = np.array_equal(a.positive, b.positive) and np.array_equal(a.negative, b.negative)
    return sides and (a.exponent, a.zeros) == (b.exponent, b.zeros)


def test_counts_are_those_of_numpy():
    values = np.concatenate(PARTS)
    found = histogram(values)
    edges = np.arange(BINS + 1) * found.width
    assert np.array_equal(found.positive, np.histogram(values[values > 0], edges)[0])
    assert np.array_equal(found.negative, np.histogram(-values[values < 0], edges)[0])
    assert found.zeros == 7
    assert found.positive.sum() + found.negative.sum() + found.zeros == values.size
    assert BINS * found.width / 2 <= np.abs(values).max() < BINS * found.width


def test_parts_add_up_to_the_whole_in_any_order():
    whole = histogram(np.concatenate(PARTS))
    for order in (PARTS, PARTS[::-1], PARTS[2:] + PARTS[:2]):
        first, *rest = map(histogram, order)
        for part in rest:
            first = first + part
        assert same(first, whole)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_extreme_values_are_counted(scale: float):
    found = histogram(np.array([1, -0.5, 0.25]) * scale)
    assert (found.positive.sum(), found.negative.sum()) == (2, 1)
    assert (found + histogram(np.array([1.0]))).positive.sum() == 3
