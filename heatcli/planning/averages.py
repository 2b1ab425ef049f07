"""Methods that average the gradient over many inputs: integrated gradients and SmoothGrad."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from heatcli.errors import HeatcliError, UsageError
from heatcli.explanation import ClassScore
from heatcli.planning.layerwise import LayerPlan
from heatcli.planning.plan import Bounds, Walked, nothing
from heatcli.relevance.ledger import Ledger

Array = np.ndarray

INCOMPLETE = 0.05
"""From which share of f(x) − f(x̄) on integrated gradients that miss it carry a warning."""


class Averaging(ABC):
    """The mean gradient over ``points`` that a method draws for an input; subclasses say which, and what is made of it.

    ``gradient`` is the plan that walks at each of them.
    """

    def __init__(self, gradient: LayerPlan, bounds: Bounds | None) -> None:
        """Take the plan of the gradient; ``bounds`` (l, h) are those of the input, None where they are not known."""
        self.gradient, self.bounds, self.choice = gradient, bounds, gradient.choice
        self.signed, self.steps = self.choice.method.signed, self.choice.own("steps")
        self.notes: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What is on record about the method, in types that JSON has."""
        return self.gradient.settings | {name: self.choice.own(name) for name in self.choice.method.own}

    def forward(self, x: Array, wanted: Sequence[int]) -> dict[str, Array]:
        """Run the network on ``x`` itself; return class scores and output by name."""
        return self.gradient.forward(x, wanted)

    @abstractmethod
    def points(self, x: Array) -> Iterator[Array]:
        """Yield the inputs that the gradient is asked at, of the shape of ``x``, in floating point."""

    @abstractmethod
    def finish(self, x: Array, mean: Array) -> Array:
        """Return the relevance of ``x`` from the ``mean`` gradient, float64."""

    def doubts(self, x: Array, entry: ClassScore, relevance: Array) -> tuple[str, ...]:  # noqa: ARG002
        """Return what speaks against trusting the map."""
        return ()

    def walk(
        self,
        values: dict[str, Array],  # noqa: ARG002 - the gradient at x itself may not be wanted
        x: Array,
        explained: Sequence[ClassScore],
        kept: list[dict[str, Array]] | None = None,
        advance: Callable[[], None] = nothing,
    ) -> list[Walked]:
        """Return for every class to explain the relevance of ``x``; all classes share the points.

        ``advance`` is called after every point. Raises UsageError where layers are to be ``kept``.
        """
        if kept is not None:
            raise UsageError(f"--layers does not go with {self.choice.method.name}, which looks at many inputs")
        indices = [entry.index for entry in explained]
        totals = np.zeros((len(explained), *x.shape))
        for point in self.points(x):
            near = as_input(point, x.dtype)
            slopes = self.gradient.walk(self.gradient.forward(near, indices), near, explained)
            for total, slope in zip(totals, slopes, strict=True):
                total += slope.relevance
            advance()
        found = []
        for entry, total in zip(explained, totals, strict=True):
            relevance = self.finish(x.astype(np.float64), total / self.steps).astype(np.float32)
            if not np.isfinite(relevance).all():
                raise HeatcliError("the relevance is not finite; try another method")
            ledger = Ledger(entry.score, max(0.0, entry.score), pixels=float(relevance.sum(dtype=np.float64)))
            found.append(Walked(relevance, ledger, (*self.gradient.warnings, *self.doubts(x, entry, relevance))))
        return found


class IntegratedGradients(Averaging):
    """R = (x − x̄) ⊙ 1/m Σ_k ∂f/∂x(x̄ + (k − ½)/m (x − x̄)), Sundararajan, Taly, Yan 2017, by the midpoint rule.

    Complete: ΣR = f(x) − f(x̄), up to the error of the sum.
    """

    def __init__(self, gradient: LayerPlan, bounds: Bounds | None) -> None:
        """Settle the baseline x̄: an end or the middle of ``bounds``, 0 where they are not known, or a number."""
        super().__init__(gradient, bounds)
        named, given = self.choice.own("baseline"), self.choice.baseline
        if not isinstance(named, str):
            if abs(named) > float(np.finfo(np.float32).max):
                raise UsageError(f"--baseline {named}: no input is that large; give a value of the input")
            self.baseline = np.full((1,) * len(gradient.network.input.shape), float(named))
        elif bounds is not None:
            low, high = (bound.astype(np.float64) for bound in bounds)
            self.baseline = low + {"black": 0.0, "grey": 0.5, "white": 1.0}[named] * (high - low)
        elif given is not None:
            raise UsageError(f"--baseline {given} needs the range of the input; give it with --range, or a number")
        else:
            self.baseline = np.zeros((1,) * len(gradient.network.input.shape))
        if given is None:
            what = "black" if bounds is not None else "0, the range of the input not being known"
            self.notes = (f"the path begins at {what} and takes {self.steps} steps; change with --baseline, --steps",)

    @property
    def settings(self) -> dict[str, Any]:
        """What is on record about the method; a baseline that was guessed to be 0 as a number."""
        known = self.bounds is not None or self.choice.baseline is not None
        return super().settings | ({} if known else {"baseline": 0.0})

    def points(self, x: Array) -> Iterator[Array]:
        """Yield the middles of equal pieces of the straight way from the baseline to ``x``."""
        return (self.baseline + (step + 0.5) / self.steps * (x - self.baseline) for step in range(self.steps))

    def finish(self, x: Array, mean: Array) -> Array:
        """Return (x − x̄) ⊙ mean."""
        return (x - self.baseline) * mean

    def doubts(self, x: Array, entry: ClassScore, relevance: Array) -> tuple[str, ...]:
        """Compare the map's sum with f(x) − f(x̄)."""
        begin = as_input(np.broadcast_to(self.baseline, x.shape), x.dtype)
        values = self.gradient.forward(begin, [entry.index])
        start = float(values[self.gradient.network.output.logits].reshape(-1)[entry.index])
        if not np.isfinite(start):
            raise UsageError(f"--baseline {self.choice.own('baseline')}: the network's score is not finite there")
        rise = entry.score - start
        missing = rise - float(relevance.sum(dtype=np.float64))
        if abs(missing) <= INCOMPLETE * max(abs(rise), abs(entry.score)):
            return ()
        return (
            f"the map adds up to {rise - missing:.4g}, not to f(x) − f(baseline), {rise:.4g}; more --steps come nearer",
        )


class SmoothGrad(Averaging):
    """R = 1/n Σ_k ∂f/∂x(x + e_k), e_k ~ N(0, σ²), Smilkov et al. 2017; σ is a share of the input's range."""

    def __init__(self, gradient: LayerPlan, bounds: Bounds | None) -> None:
        """Settle the noise, the same for every input."""
        super().__init__(gradient, bounds)
        if self.choice.noise is None or self.choice.steps is None:
            of = "the input's range" if bounds is not None else "the range of its values"
            share = 100 * self.choice.own("noise")
            self.notes = (f"{self.steps} copies with noise of {share:.3g}% of {of}; change with --steps, --noise",)

    def points(self, x: Array) -> Iterator[Array]:
        """Yield copies of ``x`` with noise, the same in every call."""
        random = np.random.default_rng(self.choice.own("seed"))
        low, high = self.bounds if self.bounds is not None else (x.min(), x.max())
        deviation = self.choice.own("noise") * np.abs(np.subtract(high, low, dtype=np.float64))
        return (x + deviation * random.standard_normal(x.shape) for _ in range(self.steps))

    def finish(self, x: Array, mean: Array) -> Array:  # noqa: ARG002 - the gradient alone
        """Return the mean gradient itself."""
        return mean


def as_input(point: Array, dtype: np.dtype[Any]) -> Array:
    """Return ``point`` as the network takes it; whole numbers are rounded to."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(point), limits.min, limits.max).astype(dtype)
    return np.ascontiguousarray(point, dtype)
