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
DOUBLINGS, HALVINGS = 24, 12
"""How often a ray is followed twice as far until f has fallen, and how often the place is then narrowed down."""


@dataclass
class Search:
    """Where the search for one class stands: the direction so far, and the nearest root."""

    direction: Array
    rounds: int = 1
    root: Array | None = None
    distance: float = np.inf
    gradient: Array | None = None
    least: float = np.inf


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
            raise HeatcliError(
                f"no root was found in {search.rounds} rounds: f fell from {entry.score:.4g} to {search.least:.4g} at "
                f"best, and a root has less than {SHARE * entry.score:.4g}; try more --steps, or another method"
            )
        relevance = (search.gradient * (x - search.root.astype(np.float64))).astype(np.float32)
        ledger = Ledger(entry.score, entry.score, pixels=float(relevance.sum(dtype=np.float64)))
        return Walked(relevance, ledger, self.gradient.warnings, root=search.root)

    def _search(self, values: dict[str, Array], x: Array, entry: ClassScore, advance: Callable[[], None]) -> Search:
        """Follow ray after ray; stop after so many rounds, or when the time is up."""
        begun = time.monotonic()
        search = Search(self._slope(x, entry, values))
        for _ in range(self.rounds):
            point, reached = self._along(x, search, entry)
            slope = self._slope(point, entry)
            search.least = min(search.least, reached)
            if reached < SHARE * entry.score:
                distance = float(np.linalg.norm((x.astype(np.float64) - point).reshape(-1)))
                if distance < search.distance:
                    search.root, search.distance, search.gradient = point, distance, slope
            advance()
            if not slope.any() or time.monotonic() - begun > self.seconds:
                break
            search.rounds += 1
            search.direction += (slope / np.linalg.norm(slope) - search.direction) / search.rounds
        return search

    def _along(self, x: Array, search: Search, entry: ClassScore) -> tuple[Array, float]:
        """Return the first point on the ray where f is below a tenth, or the lowest on it, and f there."""
        target, length = SHARE * entry.score, float(np.linalg.norm(search.direction))
        if not length:
            return x, entry.score
        direction = search.direction / length
        far = 0.5 * search.distance if np.isfinite(search.distance) else self._first(x)
        near, lowest = 0.0, (x, entry.score)
        for _ in range(DOUBLINGS):
            point = self._at(x, far, direction)
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
            between = self._at(x, middle, direction)
            score = self._score(between, entry)
            if score < target:
                far, point, reached = middle, between, score
            else:
                near = middle
        return point, reached

    def _first(self, x: Array) -> float:
        """Return a length to begin with: a hundredth of the box, or of x itself."""
        spread = x if self.box is None else self.box[1] - self.box[0]
        return 0.01 * float(np.linalg.norm(spread.astype(np.float64).reshape(-1))) or 0.01

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
