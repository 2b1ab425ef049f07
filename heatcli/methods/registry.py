"""The methods by name, each with what it promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from heatcli.errors import UsageError
from heatcli.relevance.composites import COMPOSITES, Composite

Array = np.ndarray
GRADIENT = COMPOSITES["gradient"]


def _relevance(r: Array, x: Array) -> Array:
    return r


def _squared(r: Array, x: Array) -> Array:
    return r * r


def _times_input(r: Array, x: Array) -> Array:
    return r * x


@dataclass(frozen=True, eq=False)
class Method:
    """A way to explain: ``composite`` sends relevance (or the gradient) down, ``finish`` makes the map of it.

    ``conserves`` promises an account that closes, ``signed`` that negative values can occur. ``way`` says what is done
    with the network: one walk through its layers, walks at many inputs (a path to the picture, noisy copies of it),
    the search for a root point; or windows, which only run it, and there is no ``composite``. ``own`` are the settings
    that belong to this method, with their defaults; None where the default depends on the input. A ``fitted``
    method goes by relevance models, which are fitted to a network beforehand.
    """

    name: str
    composite: Composite | None
    summary: str
    conserves: bool
    signed: bool
    finish: Callable[[Array, Array], Array] = _relevance
    way: Literal["walk", "path", "copies", "root", "windows"] = "walk"
    own: Mapping[str, object] = field(default_factory=dict)
    fitted: bool = False


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
        Method(
            "deep-taylor-minmax",
            COMPOSITES["deep-taylor"],
            "deep Taylor decomposition by relevance models that `heatcli fit` has trained; positive",
            conserves=True,
            signed=False,
            own={"relevance_model": None},
            fitted=True,
        ),
        Method("sensitivity", GRADIENT, "(∂f/∂x)²", conserves=False, signed=False, finish=_squared),
        Method(
            "simple-taylor",
            COMPOSITES["smooth-gradient"],
            "(x − x̃) ∂f/∂x(x̃) at the nearest root x̃ that a search finds",
            conserves=False,
            signed=True,
            way="root",
            own={"steps": 40, "time_limit": 60.0},
        ),
        Method("gradient", GRADIENT, "∂f/∂x", conserves=False, signed=True),
        Method("gradient-x-input", GRADIENT, "x ∂f/∂x", conserves=False, signed=True, finish=_times_input),
        Method(
            "integrated-gradients",
            GRADIENT,
            "(x − x̄) times the mean ∂f/∂x on the straight way from a baseline x̄ to x",
            conserves=False,
            signed=True,
            way="path",
            own={"steps": 50, "baseline": "black"},
        ),
        Method(
            "smoothgrad",
            GRADIENT,
            "the mean ∂f/∂x over noisy copies of x",
            conserves=False,
            signed=True,
            way="copies",
            own={"steps": 25, "noise": 0.15, "seed": 0},
        ),
        Method(
            "deconvnet",
            COMPOSITES["deconvnet"],
            "the gradient, where rectifiers pass what is positive on its way back",
            conserves=False,
            signed=True,
        ),
        Method(
            "guided-backprop",
            COMPOSITES["guided-backprop"],
            "the gradient, where rectifiers pass what is positive on both ways",
            conserves=False,
            signed=True,
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
        Method(
            "occlusion",
            None,
            "f(x) − f(x with a window replaced)",
            conserves=False,
            signed=True,
            way="windows",
            own={"window": None},
        ),
    )
}


def named(name: str) -> Method:
    """Return the method called ``name``; raises UsageError listing the known ones."""
    if name not in METHODS:
        raise UsageError(f"unknown method '{name}'; known: {', '.join(METHODS)}")
    return METHODS[name]
