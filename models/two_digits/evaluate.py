"""Measure the detector and its heatmaps by the paper's four methods on MNIST's test digits; torch is not needed.

    python -m models.two_digits.evaluate --mnist DIR     about a minute and a half on one core

The exit code is 1 where a goal is missed or a method cannot be used, 2 where MNIST is not there.
"""

# ruff: noqa: T201 - a script that prints its figures

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heatcli.errors import HeatcliError
from models.two_digits.maps import METHODS, MODEL, Maps, maps_of, open_explainer, scores_of
from models.two_digits.mnist import SIDE, read_digits
from models.two_digits.pairs import BLACK, WHITE, PairMaker, Pairs

Array = np.ndarray
Figures = dict[str, float]
SEED = 9_000_001
SCORED, EXPLAINED = 10_000, 200
THRESHOLD = 50.0
"""Half-way between the two targets of training."""
ROOT = 0.1
"""Share of f(x) below which a point counts as a root (paper 6.1)."""

ERROR, ACCURACY, SILENT = "mean square error", "accuracy at 50", "negatives with f = 0"
RATIO, OFF, WORST = "ΣR / f, mean", "|ΣR − f| / f, mean", "|ΣR − f| / f, highest"
FOLLOWS, ALONE = "correlation, mixed", "correlation, one target"
LOWEST, NEGATIVE, EMPTY = "lowest R", "negative share of |R|", "highest |R| where f = 0"
INSIDE, LEAST = "target's half, mean", "target's half, least"
ROOTS, TIME = "roots found", "milliseconds a map"

SCORE_GOALS = {ERROR: ("≤", 180.0), ACCURACY: ("≥", 0.98)}
GOALS = {
    "simple-taylor": {ROOTS: ("≥", 0.99), NEGATIVE: ("≤", 0.01), RATIO: ("≤", 1.0)},
    "deep-taylor-minmax": {LOWEST: ("≥", 0.0), OFF: ("≤", 0.15), FOLLOWS: ("≥", 0.97)},
    "deep-taylor": {
        WORST: ("≤", 1e-5),
        LOWEST: ("≥", 0.0),
        EMPTY: ("≤", 0.0),
        INSIDE: ("≥", 0.65),
        LEAST: ("≥", 0.5),
    },
}


@dataclass(frozen=True, eq=False)
class Trial:
    """What is explained: pairs with ``one`` target, ``mixed`` pairs as in training, and pairs with ``none``."""

    one: Pairs
    mixed: Pairs
    none: Pairs


def trial(maker: PairMaker, count: int = EXPLAINED, model: Path = MODEL) -> Trial:
    """Draw ``count`` pairs of each kind, the first ones; of those with one target f > 0, of those with none f = 0.

    Without evidence there is nothing to explain: what the network misses is counted among the scores, not here.
    """
    one, mixed = maker.single(_rng(1), 2 * count), maker.mixed(_rng(2), 6 * count)
    evidence = scores_of(one.x, model) > 0
    silent = ~mixed.targets.any(axis=1) & (scores_of(mixed.x, model) == 0)
    return Trial(
        _those(one, np.flatnonzero(evidence)[:count]),
        _those(mixed, np.arange(count)),
        _those(mixed, np.flatnonzero(silent)[:count]),
    )


def _rng(number: int) -> np.random.Generator:
    return np.random.default_rng((SEED, number))


def _those(pairs: Pairs, chosen: Array) -> Pairs:
    return Pairs(pairs.x[chosen], pairs.digits[chosen])


def score_figures(pairs: Pairs, model: Path = MODEL) -> Figures:
    """Return how well f tells pairs with a target from those without."""
    scores, present = scores_of(pairs.x, model), pairs.targets.any(axis=1)
    return {
        ERROR: float(np.mean((scores - pairs.wanted) ** 2)),
        ACCURACY: float(np.mean((scores > THRESHOLD) == present)),
        SILENT: float(np.mean(scores[~present] == 0)),
    }


def target_share(maps: Maps, pairs: Pairs) -> Array:
    """Return how much of Σ|R| lies on the half with the one target, (N,) float64."""
    halves = np.abs(maps.relevance.astype(np.float64)).reshape(-1, SIDE, 2, SIDE).sum(axis=(1, 3))
    shares: Array = halves[pairs.targets] / halves.sum(axis=1)
    return shares


def found(maps: Maps, model: Path = MODEL) -> Array:
    """Say for each pair whether its root point is one: f at most a tenth of f(x), within the box; (N,) bool."""
    assert maps.roots is not None
    inside = ((maps.roots >= BLACK) & (maps.roots <= WHITE)).all(axis=(1, 2))
    return ~maps.failed & inside & (scores_of(maps.roots[:, None], model) <= ROOT * maps.scores)


def map_figures(one: Maps, mixed: Maps, none: Maps, tried: Trial, model: Path = MODEL) -> Figures:
    """Return the figures of one method's maps of the three kinds of pairs in ``tried``."""
    absolute = np.abs(one.relevance.astype(np.float64)).sum(axis=(1, 2))
    off = np.abs(one.sums - one.scores) / one.scores
    shares = target_share(one, tried.one)
    figures = {
        RATIO: float(np.mean(one.sums / one.scores)),
        OFF: float(off.mean()),
        WORST: float(off.max()),
        FOLLOWS: float(np.corrcoef(mixed.scores, mixed.sums)[0, 1]),
        ALONE: float(np.corrcoef(one.scores, one.sums)[0, 1]),
        LOWEST: float(min(maps.relevance.min() for maps in (one, mixed, none))),
        NEGATIVE: float(np.mean(-np.minimum(one.relevance, 0).sum(axis=(1, 2), dtype=np.float64) / absolute)),
        EMPTY: float(np.abs(none.relevance).max()),
        INSIDE: float(shares.mean()),
        LEAST: float(shares.min()),
        TIME: 1000 * one.seconds,
    }
    return figures if one.roots is None else figures | {ROOTS: float(found(one, model).mean())}


def measured(tried: Trial, model: Path = MODEL) -> tuple[dict[str, Figures], dict[str, str]]:
    """Return the figures of every method that can be used, and for the others why not."""
    explainer = open_explainer(model)
    figures, missing = {}, {}
    for method in METHODS:
        try:
            one, mixed, none = (
                maps_of(pairs.x, method, explainer, model) for pairs in (tried.one, tried.mixed, tried.none)
            )
            figures[method] = map_figures(one, mixed, none, tried, model)
        except HeatcliError as error:
            missing[method] = str(error)
    return figures, missing


def _goals(figures: Figures, goals: dict[str, tuple[str, float]], about: str) -> list[tuple[bool, str]]:
    """Return for every goal whether it is met, and the line that says so."""
    lines = []
    for name, (sign, goal) in goals.items():
        met = figures[name] >= goal if sign == "≥" else figures[name] <= goal
        said = f"{about}: {name}"
        lines.append((bool(met), f"{said:56} {_number(figures[name]):>8}  {sign} {goal:<5g} {'yes' if met else 'NO'}"))
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value == 0 or 0.001 <= abs(value) < 10:
        return f"{value:.3f}".replace("0.000", "0")
    return f"{value:.1e}" if abs(value) < 0.001 or abs(value) >= 1e6 else f"{value:.1f}"


def _table(header: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> list[str]:
    """Return lines of 80 columns at most for a header of up to four titles."""
    lines = [" " * 24 + "".join(f"{title:>14}" for title in header)]
    return lines + [f"{name:24}" + "".join(f"{_number(value):>14}" for value in values) for name, values in rows]


def report(mnist: Path, model: Path = MODEL) -> tuple[str, bool]:
    """Return all figures as text, and whether every method could be used and met its goals."""
    digits = read_digits(mnist, "test")
    moved, centred = (score_figures(PairMaker(digits, shift).mixed(_rng(0), SCORED), model) for shift in (2, 0))
    tried = trial(PairMaker(digits), model=model)
    figures, missing = measured(tried, model)
    goals = _goals(moved, SCORE_GOALS, "scores, digits moved") + _goals(centred, SCORE_GOALS, "scores, not moved")
    for method, expected in GOALS.items():
        goals += _goals(figures[method], expected, method) if method in figures else []
    names = (RATIO, OFF, WORST, FOLLOWS, ALONE, NEGATIVE, LOWEST, EMPTY, INSIDE, LEAST, ROOTS, TIME)
    titles = [method.replace("deep-taylor-minmax", "minmax") for method in METHODS]
    lines = [
        f"{SCORED} mixed pairs of test digits",
        "",
        *_table(("moved", "not moved"), [(name, (moved[name], centred[name])) for name in moved]),
        "",
        f"Maps of {len(tried.one.x)} pairs with one target and f > 0, {len(tried.mixed.x)} mixed ones and",
        f"{len(tried.none.x)} with f = 0, digits moved; the correlation is that of ΣR with f",
        "",
        *_table(titles, [(name, [figures.get(method, {}).get(name) for method in METHODS]) for name in names]),
        "",
        "Goals",
        "",
        *(line for _, line in goals),
        *(f"{method}: not measured, {reason}" for method, reason in missing.items()),
    ]
    return "\n".join(lines), not missing and all(met for met, _ in goals)


def main() -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, metavar="DIR", help="folder of the four files of MNIST")
    parser.add_argument("--model", type=Path, default=MODEL, help="the ONNX file (default: beside this script)")
    given = parser.parse_args()
    try:
        text, reached = report(given.mnist, given.model)
    except HeatcliError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(text)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
