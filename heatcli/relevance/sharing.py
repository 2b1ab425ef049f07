"""One rule at one linear layer: every fraction of the rule computed from its terms, and booked.

z_j = Σ_t Σ_i a_i v_ij + c_j ,  R_i = Σ_t a_i Σ_j v_ij R_j / z_j, see ``rules``. The same code serves every layer that
is linear in its inputs: convolutions and dense layers, averages, sums, and proportional max pooling, which shares like
a sum over each window. It is written for tensors of either kind, see ``kernels.protocol``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from heatcli.kernels.protocol import SMALLEST, Kernels, LinearMap, Product, Tensor, joined, like, whole
from heatcli.kernels.terms import ALL, NEGATIVE, InputPart, Term, WeightPart
from heatcli.network.layers import Concatenation, DataProduct, Extremum, Layer, MaxPooling, MaxReduction, Summation
from heatcli.relevance.attention import ByData
from heatcli.relevance.rules import GRADIENT, Rule, Share

Array = np.ndarray
Shape = tuple[int, ...]
Bounds = tuple[Array, Array]


@dataclass
class Outcome:
    """Relevance of every data input in order, and what did not reach one: a sum for every entry of the batch, or 0."""

    inputs: list[Tensor]
    biases: Tensor = 0.0
    constants: Tensor = 0.0
    lost: Tensor = 0.0


class Context(Protocol):
    """What a family may ask for: kernels, activations, shapes, denominators, bounds, whether biases are neurons."""

    kernels: Kernels
    biases: bool

    def activation(self, name: str) -> Tensor:
        """Return the captured activation ``name``."""
        ...

    def shape(self, name: str) -> Shape:
        """Return the shape of the tensor ``name`` at batch 1."""
        ...

    def terms(self, layer: Layer, share: Share) -> tuple[Term, ...]:
        """Return the terms of ``share`` that can differ from zero here."""
        ...

    def shares(self, layer: Layer, rule: Rule) -> list[tuple[int, Share]]:
        """Return the shares of ``rule`` that can differ from nothing here, with their places."""
        ...

    def denominator(self, layer: Layer, share: int) -> Tensor | None:
        """Return a denominator that was computed beside the forward pass, if it was."""
        ...

    def nonnegative(self, name: str) -> bool:
        """Whether the tensor ``name`` is never negative."""
        ...

    def lossless(self, layer: Layer) -> bool:
        """Whether no denominator of the layer is zero under relevance."""
        ...

    def bounds(self, layer: Layer) -> Bounds | None:
        """Return the range (l, h) of the layer's input, if known."""
        ...


def by_rule(layer: Layer, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Apply a rule: z_j = Σ_t Σ_i a_i v_ij + c_j, R_i = Σ_t a_i Σ_j v_ij R_j / z_j, share by share."""
    kernels = context.kernels
    if rule is GRADIENT:
        gradient = kernels.map(layer, ALL)
        zeros = [kernels.zeros(context.shape(name)) for name in layer.inputs]
        return Outcome(_of_inputs(layer, gradient.adjoint(whole(r))) if gradient else zeros)
    sources = sources_of(layer)
    outcome = Outcome([None] * len(sources))
    for place, share in context.shares(layer, rule):
        part = r
        if share.where != "everywhere":
            y = context.activation(layer.name)
            bias = getattr(layer, "bias", None)
            if not context.biases and bias is not None:
                y = y - kernels.constant(bias)
            chosen = y > 0 if share.where == "positive" else y <= 0
            part = kernels.kept(whole(r), chosen)
        if share.factor != 1.0:
            part = whole(part) * share.factor
        _share(layer, share, part, context, context.denominator(layer, place), outcome)
    shapes = [
        context.shape(source) if isinstance(source, str) else like(source.shape, context.shape(layer.name))
        for source in sources
    ]
    relevances = [
        kernels.zeros(shape) if part is None else part for part, shape in zip(outcome.inputs, shapes, strict=True)
    ]
    outcome.inputs = _of_inputs(layer, relevances)
    for part, source in zip(relevances, sources, strict=True):
        if not isinstance(source, str):
            outcome.constants = outcome.constants + kernels.total(part)
    return outcome


def denominator(layer: Layer, share: Share, context: Context) -> Tensor | None:
    """Return z_j = Σ_t Σ_i a_i v_ij + c_j, None where all terms are zero everywhere and there is no bias.

    Where nothing can be lost, z_j = 0 means R_j = 0: there z is lifted to the smallest number, and 0/0 becomes 0.
    """
    z = None
    for a, v in context.terms(layer, share):
        linear = map_of(layer, v, context)
        if linear is not None:
            summand = linear.apply(parts_of(layer, a, context))
            z = summand if z is None else z + summand
    lifted = context.lossless(layer)
    c = _bias(layer, share, context, least=SMALLEST if lifted else 0.0)
    if c is not None:
        return context.kernels.zeros(context.shape(layer.name)) + c if z is None else z + c
    return z if z is None or not lifted else np.maximum(z, SMALLEST)


def _share(layer: Layer, share: Share, r: Tensor, context: Context, z: Tensor | None, outcome: Outcome) -> None:
    """Add one share's relevance to ``outcome``; ``z`` is its denominator where that is known already."""
    kernels = context.kernels
    if z is None:
        z = denominator(layer, share, context)
    if z is None:
        outcome.lost = outcome.lost + kernels.total(r)
        return
    s, left, added = kernels.divide(r, z, share.epsilon, lossless=context.lossless(layer))
    if added is not None:
        outcome.lost = outcome.lost + kernels.total(Product(added, s))
    c = _bias(layer, share, context)
    if c is not None:
        outcome.biases = outcome.biases + kernels.total_product(s, c)
    if left is not None and share.otherwise is not None:
        _share(layer, share.otherwise, left, context, None, outcome)
    elif left is not None:
        outcome.lost = outcome.lost + kernels.total(left)
    for a, v in context.terms(layer, share):
        linear = map_of(layer, v, context)
        if linear is not None:
            for place, (x, back) in enumerate(zip(parts_of(layer, a, context), linear.adjoint(s), strict=True)):
                had = outcome.inputs[place]
                given = back if a is InputPart.ONE else Product(x, back)
                outcome.inputs[place] = given if had is None else joined(kernels, had, given)


def _bias(layer: Layer, share: Share, context: Context, *, least: float = 0.0) -> Tensor | None:
    """Return c, the part of the layer's bias that stands in the denominator, or ``least`` where that is more."""
    bias = getattr(layer, "bias", None)
    if bias is None or share.bias is None or not context.biases:
        return None
    part = share.bias.of(bias)
    part = np.maximum(part, part.dtype.type(least)) if least else part
    return context.kernels.constant(part) if part.any() else None


def map_of(layer: Layer, part: WeightPart, context: Context) -> LinearMap | None:
    """Return the linear map of a layer with ``part`` of its weights, None where that is zero everywhere."""
    if not isinstance(layer, DataProduct):
        return context.kernels.map(layer, part)
    assert layer.values is not None
    values, weights = layer.inputs[layer.values], layer.inputs[1 - layer.values]
    if part is NEGATIVE and context.nonnegative(weights):
        return None
    return ByData(context.kernels, context.activation(weights), part, context.shape(values), before=layer.values == 1)


def sources_of(layer: Layer) -> tuple[str | Array, ...]:
    """Return all operands of a layer, data tensors by name and constants as they are; of a product its values alone."""
    if isinstance(layer, DataProduct) and layer.values is not None:
        return (layer.inputs[layer.values],)
    return layer.operands if isinstance(layer, Summation | Concatenation | Extremum) else layer.inputs


def parts_of(layer: Layer, a: InputPart, context: Context) -> list[Tensor]:
    """Return part ``a`` of all operands of a layer; x⁺ of what is never negative is x itself."""
    bounds = context.bounds(layer)
    return [
        x if a is InputPart.POSITIVE and isinstance(source, str) and context.nonnegative(source) else a.of(x, bounds)
        for x, source in zip(operands_of(layer, context), sources_of(layer), strict=True)
    ]


def operands_of(layer: Layer, context: Context) -> list[Tensor]:
    """Return the values of all operands of a layer, constants with as many axes as its output.

    A frame of −∞ around what a max pool sees, as some exporters write it, has no share in anything: it counts as zero.
    """
    if isinstance(layer, MaxPooling | MaxReduction):
        x = context.activation(layer.inputs[0])
        return [x if context.nonnegative(layer.inputs[0]) else context.kernels.finite(x)]
    output = context.shape(layer.name)
    return [
        context.activation(source)
        if isinstance(source, str)
        else context.kernels.constant(source.reshape(like(source.shape, output)))
        for source in sources_of(layer)
    ]


def _of_inputs(layer: Layer, relevances: Sequence[Tensor]) -> list[Tensor]:
    """Keep what belongs to data tensors."""
    return [part for part, source in zip(relevances, sources_of(layer), strict=True) if isinstance(source, str)]
