"""One rule at one linear layer: every fraction of the rule computed from its terms, and booked.

z_j = Σ_t Σ_i a_i v_ij + c_j ,  R_i = Σ_t a_i Σ_j v_ij R_j / z_j, see ``rules``. The same code serves every layer that
is linear in its inputs: convolutions and dense layers, averages, sums, and proportional max pooling, which shares like
a sum over each window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from heatcli.kernels import LinearMap, Term, WeightPart
from heatcli.kernels.terms import ALL
from heatcli.network.layers import Concatenation, Extremum, Layer, MaxPooling, MaxReduction, Summation
from heatcli.relevance.rules import GRADIENT, Rule, Share

Array = np.ndarray
Shape = tuple[int, ...]

SMALLEST = 1e-30
"""Denominators up to this size count as zero: dividing by less could overflow float32."""


@dataclass
class Outcome:
    """Relevance of every data input in order, and what did not reach one."""

    inputs: list[Array]
    biases: float = 0.0
    constants: float = 0.0
    lost: float = 0.0


class Context(Protocol):
    """What a family may ask for: activations, shapes, maps, denominators, bounds and whether biases are neurons."""

    biases: bool

    def activation(self, name: str) -> Array:
        """Return the captured activation ``name``."""
        ...

    def shape(self, name: str) -> Shape:
        """Return the shape of the tensor ``name``."""
        ...

    def map(self, layer: Layer, part: WeightPart) -> LinearMap | None:
        """Return the linear map of ``layer`` with a part of its weights, None where that is zero."""
        ...

    def terms(self, layer: Layer, share: Share) -> tuple[Term, ...]:
        """Return the terms of ``share`` that can differ from zero here."""
        ...

    def denominator(self, layer: Layer, share: int) -> Array | None:
        """Return a denominator that was computed beside the forward pass, if it was."""
        ...

    def bounds(self, layer: Layer) -> tuple[Array, Array] | None:
        """Return the range (l, h) of the layer's input, if known."""
        ...


def by_rule(layer: Layer, rule: Rule, r: Array, context: Context) -> Outcome:
    """Apply a rule: z_j = Σ_t Σ_i a_i v_ij + c_j, R_i = Σ_t a_i Σ_j v_ij R_j / z_j, share by share."""
    if rule is GRADIENT:
        gradient = context.map(layer, ALL)
        zeros = [np.zeros(context.shape(name), r.dtype) for name in layer.inputs]
        return Outcome(_of_inputs(layer, gradient.adjoint(r)) if gradient else zeros)
    xs = operands_of(layer, context)
    outcome = Outcome([np.zeros_like(x) for x in xs])
    for place, share in enumerate(rule.shares):
        part = r
        if share.where != "everywhere":
            y = context.activation(layer.name)
            if not context.biases and getattr(layer, "bias", None) is not None:
                y = y - layer.bias  # type: ignore[attr-defined]
            part = np.where(y > 0 if share.where == "positive" else y <= 0, r, 0)
        if share.factor != 1.0:
            part = part * r.dtype.type(share.factor)
        _share(layer, share, part, xs, context, context.denominator(layer, place), outcome)
    relevances = outcome.inputs
    outcome.inputs = _of_inputs(layer, relevances)
    outcome.constants = sum(
        total(part) for part, operand in zip(relevances, sources_of(layer), strict=True) if not isinstance(operand, str)
    )
    return outcome


def _share(
    layer: Layer, share: Share, r: Array, xs: Sequence[Array], context: Context, z: Array | None, outcome: Outcome
) -> None:
    """Add one share's relevance to ``outcome``; ``z`` is its denominator where that is known already."""
    bias = getattr(layer, "bias", None) if context.biases and share.bias is not None else None
    c = None if bias is None or share.bias is None else share.bias.of(bias).astype(r.dtype, copy=False)
    terms = [(a, linear) for a, v in context.terms(layer, share) if (linear := context.map(layer, v)) is not None]
    bounds = context.bounds(layer)
    parts = [[a.of(x, bounds) for x in xs] for a, _ in terms]
    if z is None:
        z = np.zeros_like(r)
        for part, (_, linear) in zip(parts, terms, strict=True):
            z += linear.apply(part)
        if c is not None:
            z += c
    stabilised = z + np.where(z >= 0, 1, -1).astype(z.dtype) * z.dtype.type(share.epsilon) if share.epsilon else z
    nothing = np.abs(stabilised) <= SMALLEST
    s = np.divide(r, stabilised, out=np.zeros_like(r), where=~nothing)
    if share.epsilon:
        outcome.lost += total(s * (stabilised - z))
    if c is not None:
        outcome.biases += total(s * c)
    if nothing.any():
        left = np.where(nothing, r, 0)
        if share.otherwise is not None and left.any():
            _share(layer, share.otherwise, left, xs, context, None, outcome)
        else:
            outcome.lost += total(left)
    for part, (_, linear) in zip(parts, terms, strict=True):
        for a, back, r_i in zip(part, linear.adjoint(s), outcome.inputs, strict=True):
            back *= a
            r_i += back


def sources_of(layer: Layer) -> tuple[str | Array, ...]:
    """Return all operands of a layer, data tensors by name and constants as they are."""
    return layer.operands if isinstance(layer, Summation | Concatenation | Extremum) else layer.inputs


def operands_of(layer: Layer, context: Context) -> list[Array]:
    """Return the values of all operands of a layer, constants in the dtype of the activations.

    A frame of −∞ around what a max pool sees, as some exporters write it, has no share in anything: it counts as zero.
    """
    dtype = context.activation(layer.inputs[0]).dtype
    if isinstance(layer, MaxPooling | MaxReduction):
        x = context.activation(layer.inputs[0])
        return [x if np.isfinite(x.min()) else np.where(np.isfinite(x), x, 0)]
    return [
        context.activation(operand) if isinstance(operand, str) else operand.astype(dtype, copy=False)
        for operand in sources_of(layer)
    ]


def _of_inputs(layer: Layer, relevances: Sequence[Array]) -> list[Array]:
    """Keep what belongs to data tensors."""
    return [part for part, operand in zip(relevances, sources_of(layer), strict=True) if isinstance(operand, str)]


def total(r: Array) -> float:
    """Return Σ r as a Python float."""
    return float(np.sum(r))
