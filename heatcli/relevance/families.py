"""What each family of layers does with the relevance that arrives at its output.

``redistribute`` takes a layer, its rule and the relevance R of its output, and returns an ``Outcome``: the relevance of
every data input, and what was booked under biases, constants and lost. What a layer reads of the forward pass it asks
of the ``Context``; ``needs`` names it beforehand, so that nothing else is captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import singledispatch

import numpy as np

from heatcli.kernels.derivatives import STEPS, derivative, lrn_adjoint, normalization_adjoint, passes, smooth
from heatcli.kernels.protocol import Tensor, whole
from heatcli.network.layers import (
    Activation,
    Affine,
    Averaging,
    Broadcasting,
    Chain,
    Comparison,
    Concatenation,
    DataProduct,
    Extremum,
    Gathering,
    Gating,
    Layer,
    Linear,
    LocalResponseNormalization,
    MaxPooling,
    MaxReduction,
    Normalization,
    NormalizationChain,
    Padding,
    Reshape,
    Selection,
    Slicing,
    Softmax,
    Summation,
    Transpose,
)
from heatcli.relevance.attention import gradients
from heatcli.relevance.rules import DECONVNET, GRADIENT, GUIDED, PASS, SMOOTH, WINNER, Rule
from heatcli.relevance.sharing import Context, Outcome, by_rule, operands_of


def needs(layer: Layer, rule: Rule) -> Iterable[str]:
    """Return the names of the activations that the layer reads under this rule."""
    if isinstance(layer, Chain):
        return [name for step in layer.steps for name in needs(step, rule)] if rule is GRADIENT else ()
    if isinstance(layer, MaxPooling | MaxReduction | Extremum):
        return (*layer.inputs, layer.name)
    if isinstance(layer, Activation):
        return layer.inputs if rule in (GRADIENT, GUIDED, SMOOTH) else ()
    if isinstance(layer, Gating | LocalResponseNormalization | Normalization):
        return layer.inputs if rule is GRADIENT else ()
    if isinstance(layer, DataProduct) and rule is GRADIENT:
        return layer.inputs
    if isinstance(layer, Softmax):
        return (layer.name,) if rule is GRADIENT else ()
    if isinstance(layer, Selection):
        return (layer.condition,) if isinstance(layer.condition, str) else ()
    if isinstance(layer, Linear | Averaging | Summation | DataProduct):
        if rule is GRADIENT:
            return ()
        return (
            (*layer.inputs, layer.name) if any(share.where != "everywhere" for share in rule.shares) else layer.inputs
        )
    return ()


def takes_products(layer: Layer, rule: Rule) -> bool:
    """Whether the layer takes relevance that is not multiplied out: it divides it, or hands it on unchanged."""
    if isinstance(layer, Activation | Chain | LocalResponseNormalization | Normalization):
        return rule is PASS
    shares = isinstance(layer, Linear | Averaging | Summation | MaxPooling | MaxReduction)
    return shares and rule not in (GRADIENT, WINNER)


@singledispatch
def redistribute(layer: Layer, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Share the relevance ``r`` of the layer's output among its inputs."""
    raise TypeError(f"no family for {type(layer).__name__}")


# linear: the rules ----------------------------------------------------------------------------------------------------


@redistribute.register(Linear)
@redistribute.register(Averaging)
@redistribute.register(Summation)
def _(layer: Linear, rule: Rule, r: Tensor, context: Context) -> Outcome:
    return by_rule(layer, rule, r, context)


# pooling --------------------------------------------------------------------------------------------------------------


@redistribute.register
def _(layer: MaxPooling, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule not in (WINNER, GRADIENT):
        return by_rule(layer, rule, r, context)
    x, y = context.activation(layer.inputs[0]), context.activation(layer.name)
    return Outcome([context.kernels.largest_of_windows(x, y, r, layer.window)])


@redistribute.register
def _(layer: MaxReduction, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule not in (WINNER, GRADIENT):
        return by_rule(layer, rule, r, context)
    return Outcome([context.kernels.largest_of_axes(context.activation(layer.inputs[0]), r, layer.axes)])


# merging, gating ------------------------------------------------------------------------------------------------------


@redistribute.register
def _(layer: Extremum, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Give everything to the operand that won, the first of equals."""
    kernels, y, left = context.kernels, context.activation(layer.name), r
    outcome = Outcome([])
    for x, operand in zip(operands_of(layer, context), layer.operands, strict=True):
        won = kernels.kept(left, np.equal(x, y))
        left = left - won
        if isinstance(operand, str):
            outcome.inputs.append(kernels.unbroadcast(won, context.shape(operand)))
        else:
            outcome.constants = outcome.constants + kernels.total(won)
    outcome.lost = kernels.total(left)
    return outcome


@redistribute.register
def _(layer: Gating, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Give everything to the signal, the gate being a constant; half each where both are signals."""
    kernels, shapes = context.kernels, [context.shape(name) for name in layer.inputs]
    if rule is GRADIENT:
        a, b = (context.activation(name) for name in layer.inputs)
        parts = [r / b, -r * a / (b * b)] if layer.divide else [r * b, r * a]
        return Outcome([kernels.unbroadcast(part, shape) for part, shape in zip(parts, shapes, strict=True)])
    if layer.signal is None:
        return Outcome([kernels.unbroadcast(r * 0.5, shape) for shape in shapes])
    return Outcome(
        [
            kernels.unbroadcast(r, shape) if place == layer.signal else kernels.zeros(shape)
            for place, shape in enumerate(shapes)
        ]
    )


# attention ------------------------------------------------------------------------------------------------------------


@redistribute.register
def _(layer: DataProduct, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Share by the rule among the values, the weights being constants; half each where nothing says which is which."""
    if rule is GRADIENT:
        a, b = (context.activation(name) for name in layer.inputs)
        return Outcome(gradients(context.kernels, a, b, r, [context.shape(name) for name in layer.inputs]))
    if layer.values is None:
        halves = [by_rule(replace(layer, values=place), rule, r * 0.5, context) for place in (0, 1)]
        return Outcome([half.inputs[0] for half in halves], lost=halves[0].lost + halves[1].lost)
    outcome = by_rule(layer, rule, r, context)
    outcome.inputs.insert(1 - layer.values, None)
    return outcome


@redistribute.register
def _(layer: Softmax, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule is GRADIENT:
        y, length = context.activation(layer.name), context.shape(layer.name)[layer.axis]
        r = y * (r - context.kernels.mean(y * r, (layer.axis,)) * float(length))
    return Outcome([r])


# elementwise: relevance passes unchanged (paper 6.2) ------------------------------------------------------------------


@redistribute.register
def _(layer: Affine, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule is GRADIENT and layer.scale is not None:
        r = r * context.kernels.constant(layer.scale)
    return Outcome([context.kernels.unbroadcast(r, context.shape(layer.inputs[0]))])


@redistribute.register
def _(layer: Activation, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule in (GUIDED, DECONVNET):
        r = np.maximum(r, 0)
    if rule in (GRADIENT, GUIDED, SMOOTH):
        x = context.activation(layer.inputs[0])
        constants = [context.kernels.constant(value) for value in layer.constants]
        if layer.function in STEPS and rule is not SMOOTH:
            r = context.kernels.kept(r, passes(layer.function, x, constants))
        else:
            slope = derivative(layer.function, x, constants)
            if rule is SMOOTH:
                axes = tuple(range(1, len(context.shape(layer.name))))
                slope = smooth(x, slope, context.kernels.mean(np.abs(x), axes))
            something = np.logical_not(np.logical_or(np.equal(r, 0), np.equal(slope, 0)))
            kept = context.kernels.kept  # ∞ times nothing is nothing
            r = kept(r, something) * kept(slope, something)
    shape = context.shape(layer.inputs[0])
    return Outcome([r if shape == context.shape(layer.name) else context.kernels.unbroadcast(whole(r), shape)])


@redistribute.register
def _(layer: Chain, rule: Rule, r: Tensor, context: Context) -> Outcome:
    return _back(layer.steps, layer.inputs[0], r, context) if rule is GRADIENT else Outcome([r])


@redistribute.register
def _(layer: NormalizationChain, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Let relevance follow the elements of the signal, the statistics being constants."""
    if rule is GRADIENT:
        return _back(layer.steps, layer.inputs[0], r, context)
    for step in reversed(layer.moves):
        (r,) = redistribute(step, rule, whole(r), context).inputs
    return Outcome([r])


def _back(steps: Sequence[Layer], source: str, r: Tensor, context: Context) -> Outcome:
    """Send a gradient through all ways from the last of ``steps`` to ``source``."""
    found: dict[str, Tensor] = {steps[-1].name: r}
    for step in reversed(steps):
        arrived = found.pop(step.name, None)
        if arrived is None:
            continue
        for name, part in zip(step.inputs, redistribute(step, GRADIENT, arrived, context).inputs, strict=True):
            found[name] = found[name] + part if name in found else part
    return Outcome([found[source]])


@redistribute.register
def _(layer: LocalResponseNormalization, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule is GRADIENT:
        x, near = context.activation(layer.inputs[0]), context.kernels.near_channels
        r = lrn_adjoint(x, r, near, layer.size, layer.alpha, layer.beta, layer.bias)
    return Outcome([r])


@redistribute.register
def _(layer: Normalization, rule: Rule, r: Tensor, context: Context) -> Outcome:
    if rule is GRADIENT:
        kernels, x = context.kernels, context.activation(layer.inputs[0])
        scale = kernels.constant(layer.scale)

        def mean(values: Tensor) -> Tensor:
            return kernels.mean(values, layer.axes)

        r = normalization_adjoint(x, r, mean, scale, layer.epsilon, centred=layer.centred)
    return Outcome([r])


# moving: relevance follows its element --------------------------------------------------------------------------------


@redistribute.register
def _(layer: Reshape, rule: Rule, r: Tensor, context: Context) -> Outcome:
    return Outcome([context.kernels.reshape(r, context.shape(layer.inputs[0]))])


@redistribute.register
def _(layer: Transpose, rule: Rule, r: Tensor, context: Context) -> Outcome:
    return Outcome(
        [context.kernels.transpose(r, [layer.permutation.index(axis) for axis in range(len(layer.permutation))])]
    )


@redistribute.register
def _(layer: Concatenation, rule: Rule, r: Tensor, context: Context) -> Outcome:
    outcome = Outcome([])
    start = 0
    for operand in layer.operands:
        length = (context.shape(operand) if isinstance(operand, str) else operand.shape)[layer.axis]
        part = r[(*(slice(None),) * layer.axis, slice(start, start + length))]
        start += length
        if isinstance(operand, str):
            outcome.inputs.append(part)
        else:
            outcome.constants = outcome.constants + context.kernels.total(part)
    return outcome


@redistribute.register
def _(layer: Slicing, rule: Rule, r: Tensor, context: Context) -> Outcome:
    shape = context.shape(layer.inputs[0])
    return Outcome([context.kernels.embed(r, shape, _of_any_length(layer.slices, shape))])


@redistribute.register
def _(layer: Gathering, rule: Rule, r: Tensor, context: Context) -> Outcome:
    return Outcome([context.kernels.put_back(r, context.shape(layer.inputs[0]), layer.axis, layer.indices)])


@redistribute.register
def _(layer: Padding, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Return what lies within the frame; what arrived at the frame itself went to a constant."""
    kernels, shape = context.kernels, context.shape(layer.inputs[0])
    kept = tuple(
        slice(max(0, -before), length + min(0, after))
        for length, (before, after) in zip(shape, layer.pads, strict=True)
    )
    source = tuple(
        slice(max(0, before), max(0, before) + (part.stop - part.start))
        for part, (before, _) in zip(kept, layer.pads, strict=True)
    )
    source = _of_any_length(source, context.shape(layer.name))
    within = r[source]
    frame = r - kernels.embed(within, context.shape(layer.name), source)
    return Outcome([kernels.embed(within, shape, _of_any_length(kept, shape))], constants=kernels.total(frame))


def _of_any_length(place: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the same place with open slices along whole axes: the batch may be longer than ``shape`` says."""
    return tuple(
        slice(None) if part.indices(length) == (0, length, 1) else part
        for part, length in zip(place, shape, strict=True)
    )


@redistribute.register
def _(layer: Selection, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Give every element back to the operand that it was taken from."""
    kernels, condition = context.kernels, layer.condition
    chosen = context.activation(condition) if isinstance(condition, str) else kernels.truth(condition)
    outcome = Outcome([None] if isinstance(condition, str) else [])
    parts: list[Tensor] = [kernels.kept(r, chosen), kernels.kept(r, np.logical_not(chosen))]
    for part, operand in zip(parts, layer.operands, strict=True):
        if isinstance(operand, str):
            outcome.inputs.append(kernels.unbroadcast(part, context.shape(operand)))
        else:
            outcome.constants = outcome.constants + kernels.total(part)
    return outcome


@redistribute.register
def _(layer: Comparison, rule: Rule, r: Tensor, context: Context) -> Outcome:
    """Book what arrives as lost: a step has no share in how large its inputs are."""
    return Outcome([None] * len(layer.inputs), lost=context.kernels.total(r))


@redistribute.register
def _(layer: Broadcasting, rule: Rule, r: Tensor, context: Context) -> Outcome:
    return Outcome([context.kernels.unbroadcast(r, context.shape(layer.inputs[0]))])
