"""Figures hold the numbers they were given, and are written whole."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.evaluation import figures
from heatcli.evaluation.histograms import histogram
from heatcli.evaluation.perturbation import Perturbation
from heatcli.evaluation.sanity import Sanity, Stage

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
F = np.array([1.0, 2.0, 5.0])
R = np.array([0.5, 0.5, -0.25, 0.0, 3.0, -1.5])


def perturbation(name: str, filling: str) -> Perturbation:
    return Perturbation(name, filling, 3, (0.0, 0.1, 0.3), (0.0, 0.2, 0.7), (0.0, 0.0, 0.1), 0.3, 0.03, 0.27, 0.01)


def test_one_point_a_picture_and_the_diagonal():
    figure = figures.conservation_figure({"a": F, "b": F}, {"a": F, "b": 3 * F}, {"a": R, "b": R})
    above, below = figure.axes[:2], figure.axes[2:]
    for axes, sums, name in zip(above, (F, 3 * F), "ab", strict=True):
        points = np.asarray(axes.collections[0].get_offsets())
        assert points == pytest.approx(np.stack([F, sums], axis=1))
        x, y = axes.lines[0].get_data()
        assert np.array_equal(x, y)
        assert axes.get_title() == name
    assert all(axes.get_yscale() == "log" for axes in below)


def test_bars_are_red_for_positive_values_and_blue_for_negative_ones():
    from matplotlib.colors import to_hex

    figure = figures.conservation_figure({"a": F}, {"a": F}, {"a": histogram(R)})
    bars = figure.axes[1].patches
    counted = dict.fromkeys((figures.RED, figures.BLUE), 0.0)
    for bar in bars:
        colour = to_hex(bar.get_facecolor())
        middle = bar.get_x() + bar.get_width() / 2
        assert colour == (figures.RED if middle > 0 else figures.BLUE)
        counted[colour] += bar.get_height()
    assert counted == {figures.RED: 3, figures.BLUE: 2}  # zero is neither


def test_methods_go_on_in_a_second_row():
    names = [f"method {number}" for number in range(6)]
    figure = figures.conservation_figure(
        dict.fromkeys(names, F), dict.fromkeys(names, F), dict.fromkeys(names, np.array([]))
    )
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == names


def test_both_curves_of_every_order_one_panel_a_filling():
    found = [perturbation(name, filling) for filling in ("mean", "blur") for name in ("deep-taylor", "random")]
    panels = figures.perturbation_figure(found).axes
    assert [panel.get_title() for panel in panels] == ["replaced by: mean", "replaced by: blur"]
    for panel in panels:
        curves = [line for line in panel.lines if len(line.get_xdata()) == 3]
        assert [line.get_linestyle() for line in curves] == ["-", "--"] * 2
        assert list(curves[0].get_xdata()) == pytest.approx([0, 10, 30])
        assert list(curves[0].get_ydata()) == [0.0, 0.2, 0.7]


def test_the_course_of_forgetting_begins_at_one():
    found = Sanity("m", 2, (Stage(1, "top"), Stage(4, "all")), (0.5, float("nan")), (0.4, 0.2), (2, 0))
    left, right = figures.sanity_figure([found]).axes
    assert list(left.lines[0].get_xdata()) == [0, 1, 4]
    assert list(left.lines[0].get_ydata())[:2] == [1.0, 0.5]
    assert list(right.lines[0].get_ydata()) == [1.0, 0.4, 0.2]


def test_files_are_written_whole_and_the_same_each_time(tmp_path: Path):
    contents = []
    for folder in ("one", "two"):
        figure = figures.perturbation_figure([perturbation("deep-taylor", "mean")])
        written = figures.save(figure, tmp_path / folder, "perturbation")
        assert [path.name for path in written] == ["perturbation.png", "perturbation.svg"]
        assert {path.name for path in (tmp_path / folder).iterdir()} == {"perturbation.png", "perturbation.svg"}
        with PIL.Image.open(written[0]) as picture:
            assert min(picture.size) > 400
        contents.append([path.read_bytes() for path in written])
    assert contents[0] == contents[1]


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        figures.save(figures.perturbation_figure([perturbation("a", "mean")]), tmp_path / "file", "x")


def test_without_matplotlib_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="pip install matplotlib"):
        figures.require()
