"""Regions: where they lie on inputs of every arrangement, how they rank, what replacing one changes."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.evaluation.regions import centre, regions_on


@pytest.mark.parametrize(
    ("shape", "layout", "size", "count", "lengths"),
    [
        ((1, 3, 224, 224), "NCHW", None, 14 * 14, {16}),
        ((1, 224, 224, 3), "NHWC", None, 14 * 14, {16}),
        ((1, 3, 227, 227), "NCHW", None, 14 * 14, {16, 17}),
        ((1, 1, 28, 28), "NCHW", None, 14 * 14, {2}),
        ((1, 784), "flat", None, 14 * 14, {2}),
        ((1, 1568), "flat", (28, 56), 9 * 19, {2, 3, 4}),
        ((1, 3, 8, 8), "NCHW", None, 64, {1}),
    ],
)
def test_about_fourteen_squares_a_side(shape, layout, size, count, lengths):
    regions = regions_on(shape, layout, size)
    assert regions.count == count
    for axis in range(2):
        line = np.take(regions.index, 0, axis=1 - axis)
        assert set(np.unique(line, return_counts=True)[1].tolist()) <= lengths


def test_a_row_of_numbers_is_cut_along_its_length():
    regions = regions_on((1, 1, 392), "tensor")
    assert regions.sides == (392,)
    assert np.array_equal(regions.index, np.arange(392) // 2)
    assert regions_on((1, 5), "flat").count == 5


@pytest.mark.parametrize(("shape", "layout"), [((1, 3, 28, 28), "NCHW"), ((1, 28, 28, 3), "NHWC"), ((1, 2352), "flat")])
def test_all_channels_of_a_region_are_replaced_and_nothing_else(shape, layout):
    regions = regions_on(shape, layout)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    filling = np.full_like(x, 9)
    found = regions.replaced(x, np.array([0, 15]), filling)
    assert found.shape == x.shape
    changed = found != x
    picture = changed.reshape(28, 28, 3) if layout == "NHWC" else changed.reshape(3, 28, 28).transpose(1, 2, 0)
    expected = np.zeros((28, 28), bool)
    expected[0:2, 0:2] = expected[2:4, 2:4] = True  # the first region; the second one of the second row
    assert np.array_equal(picture, np.repeat(expected[:, :, None], 3, axis=2))
    assert (found[changed] == 9).all()


def test_the_region_with_most_relevance_is_first_and_equal_ones_keep_their_order():
    regions = regions_on((1, 1, 28, 28), "NCHW")
    heatmap = np.zeros((28, 28))
    heatmap[10, 13] = 1  # region 5·14 + 6
    heatmap[0, 27] = -2  # region 13
    order = regions.ranked(heatmap)
    assert order[0] == 76
    assert order[-1] == 13
    assert order[1:4].tolist() == [0, 1, 2]
    assert sorted(order) == list(range(196))


def test_regions_of_other_sizes_rank_by_their_mean():
    regions = regions_on((1, 3), "flat", across=1)
    assert regions.count == 1
    uneven = regions_on((1, 1, 1, 5), "tensor", across=2)  # 5 numbers in 4 regions: one has two
    sizes = np.bincount(uneven.index)
    two = int(sizes.argmax())
    heatmap = np.where(uneven.index == two, 0.6, 1.0)
    assert uneven.ranked(heatmap)[-1] == two  # 1.2 in all, but 0.6 each


def test_relevance_is_summed_over_channels():
    relevance = np.random.default_rng(2).normal(size=(3, 8, 8))
    assert regions_on((1, 3, 8, 8), "NCHW").heatmap(relevance) == pytest.approx(relevance.sum(axis=0))
    assert regions_on((1, 8, 8, 3), "NHWC").heatmap(relevance.transpose(1, 2, 0)) == pytest.approx(
        relevance.sum(axis=0)
    )


def test_the_centre_bias_falls_from_the_middle_to_the_corners():
    map = centre((5, 9))
    assert np.unravel_index(map.argmax(), map.shape) == (2, 4)
    assert map[0, 0] == map.min() == 0
    assert map[2, 3] > map[2, 2] > map[2, 0]
    assert map == pytest.approx(map[::-1, ::-1])
