"""Simple Taylor decomposition (the paper's section 2 and 6.1): the gradient at the nearest root that a search finds.

    R = ∂f/∂x(x̃) ⊙ (x − x̃) ,   x̃ near  argmin ‖ξ − x‖²  with f(ξ) < 0.1 f(x) and l ≤ ξ ≤ h

In a box, and for a given direction g of descent, the nearest point of lower score lies on the ray clip(x − λ g, l, h).
The search finds where f, the network's own, falls below a tenth on that ray, asks for the gradient there, and averages
it into the direction, since the gradient at x alone points to roots that lie farther off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatcli.errors import HeatcliError, UsageError
from heatcli.explanation import ClassScore
from heatcli.planning.averages import as_input
from heatcli.planning.layerwise import LayerPlan
from heatcli.planning.plan import Bounds, Walked, no_evidence, nothing
from heatcli.relevance.ledger import Ledger

Array = np.ndarray

SHARE = 0.1
"""A root is where less than so much of f(x) is left (paper 6.1)."""
DOUBLINGS, HALVINGS = 24, 10
"""How often a ray is followed twice as far until f has fallen, and how often the place is then narrowed down."""

PATIENCE, NEARER = 10, 0.999
"""After so many rounds without a root nearer by so much the search is over."""


@dataclass
class Search:
    """Where the search for one class stands: the direction, the nearest root with its gradient, the lowest point.

    ``late`` is whether the time was up.
    """

    direction: Array
    lowest: Array
    least: float
    rounds: int = 1
    late: bool = False
    root: Array | None = None
    distance: float = np.inf
    gradient: Array | None = None


class SimpleTaylor:
    """The search for the nearest root, and the decomposition there, for one picture after the other."""

    def __init__(self, gradient: LayerPlan, bounds: Bounds | None) -> None:
        """Take the plan of the gradient; ``bounds`` (l, h) are those of the input, None where they are not known."""
        self.gradient, self.choice = gradient, gradient.choice
        self.signed = self.choice.method.signed
        self.rounds: int = self.choice.own("steps")
        self.seconds: float = self.choice.own("time_limit")
        self.notes: tuple[str, ...] = ()
        shape = gradient.network.input.shape
        self.box: Bounds | None = None
        if bounds is None:
            self.notes = ("the root may lie anywhere, the range of the input not being known; give it with --range",)
        else:
            low, high = (np.broadcast_to(bound.astype(np.float64), shape) for bound in bounds)
            self.box = np.minimum(low, high), np.maximum(low, high)

    @property
    def settings(self) -> dict[str, Any]:
        """What is on record about the method, in types that JSON has."""
        return self.gradient.settings | {name: self.choice.own(name) for name in self.choice.method.own}

    def forward(self, x: Array, wanted: Sequence[int]) -> dict[str, Array]:
        """Run the network on ``x`` itself; return class scores and output by name."""
        return self.gradient.forward(x, wanted)

    def walk(
        self,
        values: dict[str, Array],
        x: Array,
        explained: Sequence[ClassScore],
        kept: list[dict[str, Array]] | None = None,
        advance: Callable[[], None] = nothing,
    ) -> list[Walked]:
        """Return for every class to explain the relevance of ``x``, its account and the root.

        ``advance`` is called after every round of the first class. Raises UsageError where layers are to be ``kept``,
        HeatcliError where no root was found.
        """
        if kept is not None:
            raise UsageError("--layers does not go with simple-taylor, which looks at many inputs")
        watched = [advance, *[nothing] * (len(explained) - 1)]
        return [self._decompose(values, x, entry, watch) for entry, watch in zip(explained, watched, strict=True)]

    def _decompose(self, values: dict[str, Array], x: Array, entry: ClassScore, advance: Callable[[], None]) -> Walked:
        if entry.score <= 0:
            empty = np.zeros(x.shape, np.float32)
            return Walked(empty, Ledger(entry.score, 0.0, pixels=0.0), (no_evidence(entry.score),), root=x)
        search = self._search(values, x, entry, advance)
        if search.root is None or search.gradient is None:
            rounds = f"{search.rounds} round{'' if search.rounds == 1 else 's'}"
            raise HeatcliError(
                f"no root was found in {rounds}: f fell from {entry.score:.4g} to {search.least:.4g} at best, and a "
                f"root has less than {SHARE * entry.score:.4g}; {self._remedy(search)}"
            )
        relevance = (search.gradient * (x - search.root.astype(np.float64))).astype(np.float32)
        ledger = Ledger(entry.score, entry.score, pixels=float(relevance.sum(dtype=np.float64)))
        late = "the time was up before the search was; a longer --time-limit may find a nearer root"
        warnings = (*self.gradient.warnings, *((late,) if search.late else ()))
        return Walked(relevance, ledger, warnings, root=search.root)

    def _remedy(self, search: Search) -> str:
        """Return what may help where ``search`` found no root: it ran out of time, of rounds, or of ways down."""
        if search.late:
            return "try a longer --time-limit, or another method"
        if search.rounds == self.rounds:
            return "try more --steps, or another method"
        return "no way leads farther down, so try another method"

    def _search(self, values: dict[str, Array], x: Array, entry: ClassScore, advance: Callable[[], None]) -> Search:
        """Go downwards until there is a root, then look for nearer ones on rays from ``x``.

        Stop after so many rounds, when the time is up, or where nothing is lower.
        """
        begun, target = time.monotonic(), SHARE * entry.score
        search = Search(self._slope(x, entry, values), lowest=x, least=entry.score)
        averaged = nearest = 0
        while search.direction.any():
            origin, far = (search.lowest, self._first(x)) if search.root is None else (x, 0.5 * search.distance)
            point, reached = self._along(origin, search.direction, far, entry)
            lower = reached < search.least
            if lower:
                search.lowest, search.least = point, reached
            slope = self._slope(point, entry)
            away = float(np.linalg.norm(x.astype(np.float64) - point))
            if reached < target and away < search.distance:
                if search.root is None:
                    search.direction = unit(x.astype(np.float64) - point)
                nearest = averaged if away < NEARER * search.distance else nearest
                search.root, search.distance, search.gradient = point, away, slope
            advance()
            stuck = averaged - nearest == PATIENCE if search.root is not None else not lower
            search.late = not stuck and time.monotonic() - begun > self.seconds
            if stuck or search.late or search.rounds == self.rounds:
                break
            search.rounds += 1
            slope = unit(slope if slope.any() else self._slope_nearer(x, point, entry))
            if search.root is None:
                search.direction = slope
            else:
                averaged += 1
                search.direction += (slope - search.direction) / (averaged + 1)
        return search

    def _along(self, origin: Array, direction: Array, far: float, entry: ClassScore) -> tuple[Array, float]:
        """Return the first point against ``direction`` where f is below a tenth, or the lowest there, and f at it.

        ``far`` is the length that is tried first.
        """
        target, direction, near = SHARE * entry.score, unit(direction), 0.0
        lowest = origin, self._score(origin, entry)
        for _ in range(DOUBLINGS):
            point = self._at(origin, far, direction)
            reached = self._score(point, entry)
            if reached < target:
                break
            if reached < lowest[1]:
                lowest = point, reached
            near, far = far, 2 * far
        else:
            return lowest
        for _ in range(HALVINGS):
            middle = 0.5 * (near + far)
            between = self._at(origin, middle, direction)
            score = self._score(between, entry)
            if score < target:
                far, point, reached = middle, between, score
            else:
                near = middle
        return point, reached

    def _slope_nearer(self, x: Array, point: Array, entry: ClassScore) -> Array:
        """Return ∂f/∂x between ``point``, where f is flat, and ``x``, as near to ``point`` as halving finds a slope."""
        for _ in range(HALVINGS):
            point = as_input(0.5 * (x.astype(np.float64) + point), x.dtype)
            slope = self._slope(point, entry)
            if slope.any():
                break
        return slope

    def _first(self, x: Array) -> float:
        """Return a length to begin with: a thousandth of the box, or of x itself."""
        spread = x if self.box is None else self.box[1] - self.box[0]
        return 0.001 * float(np.linalg.norm(spread.astype(np.float64).reshape(-1))) or 0.001

    def _at(self, x: Array, length: float, direction: Array) -> Array:
        """Return clip(x − λ g, l, h) as the network takes it."""
        point = x - length * direction
        return as_input(point if self.box is None else np.clip(point, *self.box), x.dtype)

    def _score(self, point: Array, entry: ClassScore) -> float:
        values = self.gradient.forward(point, [entry.index])
        return float(values[self.gradient.network.output.logits].reshape(-1)[entry.index])

    def _slope(self, point: Array, entry: ClassScore, values: dict[str, Array] | None = None) -> Array:
        """Return ∂f/∂x at ``point``, float64."""
        values = self.gradient.forward(point, [entry.index]) if values is None else values
        return self.gradient.walk(values, point, [entry])[0].relevance.astype(np.float64)


def unit(direction: Array) -> Array:
    """Return ``direction`` at length 1; nothing stays nothing."""
    length = float(np.linalg.norm(direction))
    return direction / length if length else direction
