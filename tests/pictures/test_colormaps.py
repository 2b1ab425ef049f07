"""Colour maps as short strings."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.errors import UsageError
from heatcli.pictures.colormaps import DIVERGING, SEQUENTIAL, colormap


def test_a_string_of_three_colours() -> None:
    table = colormap("000,f00,fff").table
    assert table.shape == (255, 3)
    assert table[0].tolist() == [0, 0, 0]
    assert table[-1].tolist() == [255, 255, 255]
    assert np.abs(table[127].astype(int) - [255, 0, 0]).max() == 0
    assert np.array_equal(table, colormap("#000000,#FF0000,#ffffff").table)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_maps_go_one_way(name: str) -> None:
    light = colormap(name).table @ [0.2126, 0.7152, 0.0722]
    steps = np.diff(light)
    assert np.all(steps >= -1.1) or np.all(steps <= 1.1)
    assert abs(light[-1] - light[0]) > 120


@pytest.mark.parametrize("name", DIVERGING)
def test_diverging_maps_have_zero_in_the_middle(name: str) -> None:
    chosen = colormap(name)
    middle = chosen.table[127].tolist()
    assert middle in ([0, 0, 0], [255, 255, 255])
    assert chosen.table[190, 0] > chosen.table[190, 2]  # above zero: red
    assert chosen.table[65, 2] > chosen.table[65, 0]  # below: blue
    assert chosen.positive[0].tolist() == middle
    assert np.array_equal(chosen.positive[-1], chosen.table[-1])


@pytest.mark.parametrize("text", ["jet2", "", "000", "00,fff", "000,ggg", "000 fff"])
def test_anything_else_lists_the_known(text: str) -> None:
    with pytest.raises(UsageError, match="hot, red, viridis, grey, seismic"):
        colormap(text)
