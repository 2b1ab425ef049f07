"""Windows over maps, against sums that are written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.evaluation.smoothing import box, gaussian, smoothed

MAP = np.random.default_rng(1).normal(size=(7, 10))


@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_box_adds_up_what_it_covers_and_nothing_beyond_the_border(width: int):
    half, found = width // 2, smoothed(MAP, box(width))
    for row in range(7):
        for column in range(10):
            part = MAP[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
            assert found[row, column] == pytest.approx(part.sum())


def test_a_gaussian_leaves_a_flat_map_flat_and_spreads_a_point_as_it_should():
    assert smoothed(np.full((6, 9), 2.5), gaussian(2.0)) == pytest.approx(np.full((6, 9), 2.5))
    point = np.zeros(41)
    point[20] = 1
    spread = smoothed(point, gaussian(1.5))
    assert spread[18] / spread[20] == pytest.approx(np.exp(-4 / (2 * 1.5**2)))
    assert spread.sum() == pytest.approx(1, abs=1e-6)


def test_only_the_axes_that_are_named():
    stack = np.stack([MAP, 2 * MAP])
    assert smoothed(stack, box(3), (1, 2))[1] == pytest.approx(2 * smoothed(MAP, box(3)))
