"""Maps and objects whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.evaluation.localisation import Located, localisation, locate, window_of

OBJECT = np.zeros((20, 30), bool)
OBJECT[5:15, 10:20] = True  # 100 of 600 pixels


def test_relevance_inside_and_area():
    heatmap = np.zeros((20, 30))
    heatmap[6, 12], heatmap[0, 0], heatmap[19, 29] = 3, 1, -5
    found = locate(heatmap, OBJECT, window=1)
    assert found == Located(hit=True, inside=0.75, area=1 / 6)  # what is negative counts for nothing


def test_the_window_finds_where_most_lies_together():
    heatmap = np.zeros((20, 30))
    heatmap[1, 1] = 4  # the strongest pixel, alone and outside
    heatmap[8:11, 13:16] = 1  # nine together, inside
    assert not locate(heatmap, OBJECT, window=1).hit
    assert locate(heatmap, OBJECT, window=3).hit
    assert locate(heatmap, OBJECT, window=3).inside == pytest.approx(9 / 13)


@pytest.mark.parametrize(
    ("sides", "window"), [((224, 224), 9), ((224, 100), 9), ((128, 128), 5), ((28, 28), 1), ((8, 8), 1)]
)
def test_the_window_grows_with_the_picture(sides, window):
    assert window_of(sides) == window


def test_a_flat_map_has_inside_what_the_area_is():
    assert locate(np.ones((20, 30)), OBJECT, window=1).inside == pytest.approx(1 / 6)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_positive_relevance_points_nowhere(value: float):
    assert locate(np.full((20, 30), value), OBJECT) == Located(hit=False, inside=0.0, area=1 / 6)


def test_means_over_pictures():
    found = localisation("m", [Located(True, 0.8, 0.5), Located(False, 0.4, 0.1), Located(True, 0.6, 0.3)])
    assert (found.pictures, found.hits) == (3, 2)
    assert (found.pointing, found.inside, found.area) == pytest.approx((2 / 3, 0.6, 0.3))
