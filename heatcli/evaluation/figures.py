"""Figures of an evaluation, by matplotlib: the paper's Fig. 6, perturbation curves, the course of forgetting.

Every function returns a matplotlib figure; ``save`` writes it as PNG and as SVG. They take plain arrays by method name,
so that a script can draw what it has measured itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heatcli.errors import UsageError
from heatcli.evaluation.histograms import Histogram, histogram
from heatcli.evaluation.perturbation import Perturbation
from heatcli.evaluation.sanity import Sanity
from heatcli.replacing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
Numbers = Array | Sequence[float]
RED, BLUE, GREY = "#c8102e", "#1f5fbf", "#777777"
COLOURS = ("#c8102e", "#1f5fbf", "#e69f00", "#2a9d5c", "#8e44ad", "#56b4e9", "#8c564b", "#444444")
"""One a method, in the order of the methods."""
ACROSS = 4
"""So many methods stand side by side."""
FORMATS = ("png", "svg")
MISSING = "figures are drawn by matplotlib, which is not installed: python -m pip install matplotlib"


def require() -> None:
    """Raise UsageError where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UsageError(MISSING) from error


def conservation_figure(
    scores: Mapping[str, Numbers], sums: Mapping[str, Numbers], relevance: Mapping[str, Array | Histogram]
) -> Figure:
    """Draw the paper's Fig. 6: for every method the sums against f(x), and below how often each value of R_p occurs.

    By method name: ``scores`` f(x) (N,) and ``sums`` Σ_p R_p (N,) of N pictures, and the ``relevance`` R_p of all of
    them, in an array of any shape or counted in a histogram. Maps that are conservative lie on the diagonal; the counts
    are logarithmic, positive values red, negative ones blue.
    """
    names = list(scores)
    across = min(ACROSS, len(names))
    blocks = -(-len(names) // across)
    figure = _figure(2.5 * across + 0.6, 4.9 * blocks)
    axes = figure.subplots(2 * blocks, across, squeeze=False)
    for place in range(blocks * across):
        above, below = axes[2 * (place // across), place % across], axes[2 * (place // across) + 1, place % across]
        if place >= len(names):
            above.set_axis_off()
            below.set_axis_off()
            continue
        name, first = names[place], place % across == 0
        _scatter(above, np.asarray(scores[name], np.float64), np.asarray(sums[name], np.float64))
        values = relevance[name]
        _counts(below, values if isinstance(values, Histogram) else histogram(values))
        above.set_title(name, fontsize=10)
        above.set_xlabel("f(x)")
        below.set_xlabel("$R_p$")
        if first:
            above.set_ylabel(r"$\sum_p R_p$")
            below.set_ylabel("how often")
    return figure


def perturbation_figure(
    curves: Sequence[Perturbation], baselines: Sequence[str] = ("random", "centre"), *, output: str = "probability"
) -> Figure:
    """Draw how far the ``output`` has fallen at every share of the regions, one panel a filling.

    Full lines take the most relevant regions first, dashed ones the least relevant; the larger the gap between the two,
    the better a map orders the regions. ``baselines`` are grey.
    """
    fillings = list(dict.fromkeys(curve.filling for curve in curves))
    figure = _figure(5.0 * len(fillings) + 0.4, 4.8)
    axes = figure.subplots(1, len(fillings), squeeze=False, sharey=True)[0]
    colours = _colours([curve.name for curve in curves], baselines)
    for panel, filling in zip(axes, fillings, strict=True):
        for curve in (entry for entry in curves if entry.filling == filling):
            shares = 100 * np.asarray(curve.shares)
            colour, width = colours[curve.name], 1.0 if curve.name in baselines else 1.6
            label = f"{curve.name} {curve.difference:+.3f}"
            panel.plot(shares, curve.most, color=colour, linewidth=width, marker=".", label=label)
            panel.plot(shares, curve.least, color=colour, linewidth=width, marker=".", linestyle="--")
        panel.axhline(0, color="#bbbbbb", linewidth=0.6)
        panel.set_title(f"replaced by: {filling}", fontsize=10)
        panel.set_xlabel("regions replaced, %")
        panel.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.14),
            ncols=2,
            fontsize=7.5,
            frameon=False,
            title="full: most relevant first; dashed: least relevant first; number: difference of the areas",
            title_fontsize=7,
        )
    axes[0].set_ylabel(f"mean drop of the {output}")
    return figure


def sanity_figure(checked: Sequence[Sanity]) -> Figure:
    """Draw how alike the maps stay while the network forgets from the scores down: Spearman's ρ, and SSIM, of |R|."""
    figure = _figure(9.0, 4.4)
    axes = figure.subplots(1, 2, sharey=True)
    colours = _colours([entry.method for entry in checked], ())
    for panel, title, figures in zip(
        axes,
        ("rank correlation", "structural similarity"),
        ([entry.spearman for entry in checked], [entry.ssim for entry in checked]),
        strict=True,
    ):
        for entry, values in zip(checked, figures, strict=True):
            layers = [0, *(stage.layers for stage in entry.stages)]
            panel.plot(layers, [1.0, *values], marker=".", color=colours[entry.method], label=entry.method)
        panel.axhline(0, color="#bbbbbb", linewidth=0.6)
        panel.set_title(f"{title} of |R| with the map before", fontsize=10)
        panel.set_xlabel("layers forgotten, from the scores down")
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write ``figure`` to ``folder`` as NAME.png and NAME.svg, each whole or not at all; return the paths.

    The same figure gives the same bytes. Raises UsageError where it cannot be written.
    """
    import matplotlib as mpl

    written = []
    for form in FORMATS:
        path = Path(folder) / f"{name}.{form}"
        metadata: dict[str, Any] = {"Date": None} if form == "svg" else {"Software": None}
        try:
            with replacing(path) as stream, mpl.rc_context({"svg.hashsalt": "heatcli"}):
                figure.savefig(stream, format=form, dpi=150, metadata=metadata)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
        written.append(path)
    return written


def _figure(width: float, height: float) -> Figure:
    require()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _scatter(axes: Axes, scores: Array, sums: Array) -> None:
    """Draw one point a picture, and the diagonal over the range of f(x)."""
    low, high = min(0.0, float(scores.min(initial=0))), max(1e-12, float(scores.max(initial=0)))
    axes.plot([low, high], [low, high], color="#999999", linewidth=0.8, zorder=1)
    axes.scatter(scores, sums, s=9, color="#222222", alpha=0.6, linewidths=0, zorder=2)
    axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _counts(axes: Axes, counted: Histogram) -> None:
    """Draw how often values occur, by bins: negative ones to the left in blue, positive ones to the right in red."""
    bins = np.arange(counted.positive.size)
    for side, sign, colour in ((counted.positive, 1, RED), (counted.negative, -1, BLUE)):
        there = side > 0
        axes.bar(
            sign * (bins[there] + 0.5) * counted.width, side[there], width=counted.width, color=colour, linewidth=0
        )
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.axvline(0, color="#999999", linewidth=0.6, zorder=0)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))


def _colours(names: Sequence[str], baselines: Sequence[str]) -> dict[str, str]:
    methods = [name for name in dict.fromkeys(names) if name not in baselines]
    return {**dict(zip(methods, cycle(COLOURS), strict=False)), **dict(zip(baselines, (GREY, "#bbbbbb"), strict=False))}
