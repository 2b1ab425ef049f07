"""The parts that rules are made of: a part of the input times a part of the weights.

A rule's numerators are Σ_t a_i v_ij over terms t = (a, v), where a is a part of the input x (such as x⁺) and v a part
of the weights w (such as w⁺). Its denominators are their sums over i, plus a part of the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import DTypeLike

from heatcli.network.layers import Layer

Array = np.ndarray


class InputPart(Enum):
    """A part a of a layer's input x; l and h are the bounds of its range."""

    X = "x"
    POSITIVE = "x⁺"
    NEGATIVE = "x⁻"
    ABOVE_LOW = "x−l"
    BELOW_HIGH = "x−h"
    ONE = "1"

    def of(self, x: Array, bounds: tuple[Array, Array] | None = None) -> Array:
        """Return this part of ``x``; ``bounds`` (l, h) broadcast to x and are needed for z^B alone."""
        match self:
            case InputPart.X:
                return x
            case InputPart.POSITIVE:
                return np.maximum(x, 0)
            case InputPart.NEGATIVE:
                return np.minimum(x, 0)
            case InputPart.ONE:
                return np.ones_like(x)
        if bounds is None:
            raise ValueError(f"{self.value} needs the bounds of the input's range")
        return x - bounds[0] if self is InputPart.ABOVE_LOW else x - bounds[1]


@dataclass(frozen=True)
class WeightPart:
    """A part v of weights or bias: an elementwise function under a name, such as w⁺ = max(0, w)."""

    name: str
    of: Callable[[Array], Array]

    def present(self, weights: Array) -> bool:
        """Whether this part of ``weights`` is anything but zero; the first few rows mostly tell."""
        return any(bool(self.of(row).any()) for row in weights) if weights.ndim else bool(self.of(weights).any())


ALL = WeightPart("w", lambda w: w)
POSITIVE = WeightPart("w⁺", lambda w: np.maximum(w, 0))
NEGATIVE = WeightPart("w⁻", lambda w: np.minimum(w, 0))
SQUARED = WeightPart("w²", np.square)
ONE = WeightPart("1", np.ones_like)


def boosted(gamma: float, sign: int) -> WeightPart:
    """Return w + γw⁺ (``sign`` +1) or w + γw⁻ (−1)."""
    if sign > 0:
        return WeightPart(f"w+{gamma:g}w⁺", lambda w: w + w.dtype.type(gamma) * np.maximum(w, 0))
    return WeightPart(f"w+{gamma:g}w⁻", lambda w: w + w.dtype.type(gamma) * np.minimum(w, 0))


Term = tuple[InputPart, WeightPart]


class WeightParts:
    """Parts of the weights of a network's layers in one ``dtype``, each made once, at first use."""

    def __init__(self, dtype: DTypeLike) -> None:
        """Start with nothing."""
        self.dtype = np.dtype(dtype)
        self._made: dict[tuple[str, str], Array | None] = {}

    def get(self, layer: Layer, part: WeightPart) -> Array | None:
        """Return ``part`` of the weights of ``layer``, None where that is zero; 1 where the layer has no weights."""
        key = (layer.name, part.name)
        if key not in self._made:
            weights = getattr(layer, "weights", None)
            values = part.of(np.ones(1, self.dtype) if weights is None else weights.astype(self.dtype, copy=False))
            self._made[key] = values if values.any() else None
        return self._made[key]
