"""The methods by name, each with what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heatcli.errors import UsageError
from heatcli.relevance.composites import COMPOSITES, Composite

Array = np.ndarray


def _relevance(r: Array, x: Array) -> Array:
    return r


def _squared(r: Array, x: Array) -> Array:
    return r * r


def _times_input(r: Array, x: Array) -> Array:
    return r * x


@dataclass(frozen=True)
class Method:
    """A way to explain: ``composite`` sends relevance (or the gradient) down, ``finish`` makes the map of it.

    ``conserves`` promises an account that closes, ``signed`` that negative values can occur. Without a ``composite``
    the method asks the network as a whole, whatever it is made of.
    """

    name: str
    composite: Composite | None
    summary: str
    conserves: bool
    signed: bool
    finish: Callable[[Array, Array], Array] = _relevance


METHODS = {
    method.name: method
    for method in (
        Method(
            "deep-taylor",
            COMPOSITES["deep-taylor"],
            "deep Taylor decomposition: zB on the first layer, z+ above; conservative and positive",
            conserves=True,
            signed=False,
        ),
        Method("sensitivity", COMPOSITES["gradient"], "(∂f/∂x)²", conserves=False, signed=False, finish=_squared),
        Method("gradient", COMPOSITES["gradient"], "∂f/∂x", conserves=False, signed=True),
        Method(
            "gradient-x-input", COMPOSITES["gradient"], "x ∂f/∂x", conserves=False, signed=True, finish=_times_input
        ),
        Method("lrp-epsilon", COMPOSITES["lrp-epsilon"], "the ε rule everywhere", conserves=True, signed=True),
        Method(
            "lrp-alpha2-beta1", COMPOSITES["lrp-alpha2-beta1"], "the αβ rule, α 2, β 1", conserves=True, signed=True
        ),
        Method(
            "lrp-epsilon-plus-flat",
            COMPOSITES["lrp-epsilon-plus-flat"],
            "ε on dense layers, z+ on convolutions, flat on the first",
            conserves=True,
            signed=True,
        ),
        Method(
            "lrp-epsilon-gamma-box",
            COMPOSITES["lrp-epsilon-gamma-box"],
            "ε 0.25 on dense layers, γ 0.1 on convolutions, zB on the first",
            conserves=True,
            signed=True,
        ),
        Method("occlusion", None, "f(x) − f(x with a window replaced)", conserves=False, signed=True),
    )
}


def named(name: str) -> Method:
    """Return the method called ``name``; raises UsageError listing the known ones."""
    if name not in METHODS:
        raise UsageError(f"unknown method '{name}'; known: {', '.join(METHODS)}")
    return METHODS[name]
