"""What is seen of a network only when its layers stand together: what is one layer, what is a gate, what leads where.

No pattern names an architecture or an exporter: what counts is only what the layers compute.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatcli.network.chains import Made, elementwise, exponential
from heatcli.network.folding import fold_affine, fold_affine_forward
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
    Gating,
    Layer,
    LocalResponseNormalization,
    MaxPooling,
    MaxReduction,
    Moving,
    Padding,
    Reduction,
    Selection,
    Softmax,
    Summation,
)
from heatcli.network.normalisations import normalisation, softmax, takes_root, widen_chains

Shape = tuple[int, ...]
GATES = ("Sigmoid", "HardSigmoid", "Tanh", "Erf")
LIMITS = ("Relu", "Max", "Min", "Clip", "Reciprocal", "Quantize")
"""Activations that are no gates, but may stand behind one."""
LARGEST = 65504
"""Bounds from here on cut nothing off: the largest number of half precision, that of single precision."""


def recognise(layers: list[Layer], shapes: dict[str, Shape], logits: str, picture: str) -> list[Layer]:
    """Return the layer list with every pattern recognised and every layer dropped that does not lead to ``logits``."""
    layers = fold_affine(layers, shapes)
    layers = reachable(join_chains(layers, shapes), logits)
    layers = reachable(widen_chains(layers, shapes), logits)
    layers = fold_affine_forward(layers, shapes, picture)
    return settle_gates(layers, shapes)


def join_chains(layers: list[Layer], shapes: dict[str, Shape]) -> list[Layer]:
    """Join every layer that ends a chain with what is between it and the one tensor that it is a function of.

    Layers inside a chain stay in the list, for something else may use them.
    """
    made: Made = {}
    for layer in layers:
        joined = (kind(layer, made, shapes) for kind in (exponential, elementwise, softmax, normalisation))
        made[layer.name] = next(filter(None, joined), layer)
    return list(made.values())


# gates ----------------------------------------------------------------------------------------------------------------


def settle_gates(layers: list[Layer], shapes: dict[str, Shape]) -> list[Layer]:
    """Decide for every product of two tensors which is the signal: the other came through a gate or is broadcast.

    Of a matrix product the values are the signal, and the weights of attention came through a gate.
    """
    made = {layer.name: layer for layer in layers}
    weights = _weights(layers)
    settled: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Gating | DataProduct):
            gates = [name in weights or _is_gate(name, made) for name in layer.inputs]
            other = gates.index(False) if gates[0] != gates[1] else None
            if isinstance(layer, DataProduct):
                layer = replace(layer, values=other)
            else:
                layer = replace(layer, signal=_signal(layer, other, made, shapes))
        settled.append(layer)
    return settled


def _weights(layers: list[Layer]) -> set[str]:
    """Return the tensors to which the picture comes through softmax and comparison alone: weights of something else.

    What is computed of weights, across heads or to make them add up to one again, is weights too.
    """
    found: set[str] = set()
    for layer in layers:
        if isinstance(layer, Softmax | Comparison) or (layer.inputs and all(name in found for name in layer.inputs)):
            found.add(layer.name)
    return found


def _signal(layer: Gating, other: int | None, made: dict[str, Layer], shapes: dict[str, Shape]) -> int | None:
    """Return the place of the signal; ``other`` is that of what came through no gate, if one did."""
    if layer.divide:
        return 0
    if other is not None:
        return other
    sizes = [_size(name, made, shapes) for name in layer.inputs]
    return int(sizes[1] > sizes[0]) if sizes[0] != sizes[1] else None


def _size(name: str, made: dict[str, Layer], shapes: dict[str, Shape]) -> int:
    """Return how many elements a tensor has that are not repetitions."""
    while isinstance(layer := made.get(name), Broadcasting):
        name = layer.inputs[0]
    return int(np.prod(shapes[name]))


def _is_gate(name: str, made: dict[str, Layer]) -> bool:
    """Whether a tensor came through what bounds it on both sides, or is a norm or a deviation."""
    low = high = False
    while (layer := made.get(name)) is not None:
        before = layer.inputs
        match layer:
            case Chain(operation="Sigmoid"):
                return True
            case Reduction() | MaxReduction():
                return _is_even(made.get(layer.inputs[0]))
            case Activation():
                below, above = _bounds(layer)
                low, high = low or below, high or above
                if layer.function in GATES or (low and high):
                    return True
                if takes_root(layer):
                    return _is_statistic(layer.inputs[0], made)
                if layer.function not in LIMITS:
                    return False
            case Selection():  # such as 0 where a is not a number, else a
                before = tuple(operand for operand in layer.operands if isinstance(operand, str))
            case Affine() | Moving():
                pass
            case _:
                return False
        if len(before) != 1:
            return False
        name = before[0]
    return False


def _bounds(layer: Activation) -> tuple[bool, bool]:
    """Return whether an activation cuts values off below and above."""
    ends = [bool(np.all(np.abs(bound) < LARGEST)) for bound in layer.constants]
    match layer.function:
        case "Clip":
            return ends[0], ends[1]
        case "Min":
            return False, any(ends)
        case _:
            return layer.function == "Relu" or (layer.function == "Max" and any(ends)), False


def _is_even(layer: Layer | None) -> bool:
    """Whether a layer forgets the sign: squares and absolute values."""
    if isinstance(layer, Activation):
        return layer.function == "Abs" or (layer.function == "Pow" and bool(np.all(layer.constants[0] % 2 == 0)))
    return isinstance(layer, Chain) and layer.operation == "Mul"  # x · x


def _is_statistic(name: str, made: dict[str, Layer]) -> bool:
    """Whether every way to a tensor leads through a reduction, with nothing but arithmetic behind it."""
    layer = made.get(name)
    if isinstance(layer, Activation | Affine | Moving | Summation | Gating | Chain):
        return all(_is_statistic(before, made) for before in layer.inputs)
    return isinstance(layer, Reduction | MaxReduction)


# what leads where, and what cannot be negative ------------------------------------------------------------------------


def reachable(layers: list[Layer], logits: str) -> list[Layer]:
    """Return the layers that ``logits`` depends on, in the same order."""
    wanted = {logits}
    kept = []
    for layer in reversed(layers):
        if layer.name in wanted:
            wanted.update(layer.inputs)
            kept.append(layer)
    return kept[::-1]


NONNEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softplus", "Abs", "Exp", "Sqrt")


def nonnegative(layers: list[Layer]) -> frozenset[str]:
    """Return the names of tensors that hold no negative value, whatever the picture."""
    known: set[str] = set()
    for layer in layers:
        if _stays_nonnegative(layer, known):
            known.add(layer.name)
    return frozenset(known)


def _stays_nonnegative(layer: Layer, known: set[str]) -> bool:
    inputs = all(name in known for name in layer.inputs)
    match layer:
        case Activation(function="Clip" | "Quantize"):
            return bool(np.all(layer.constants[0] >= 0))
        case Activation(function="Max"):
            return any(bool(np.all(bound >= 0)) for bound in layer.constants) or inputs
        case Activation():
            return layer.function in NONNEGATIVE
        case Affine():
            positive = layer.scale is None or bool(np.all(layer.scale >= 0))
            return inputs and positive and (layer.shift is None or bool(np.all(layer.shift >= 0)))
        case Summation() | Concatenation() | Extremum():
            constants = all(bool(np.all(part >= 0)) for part in layer.operands if isinstance(part, np.ndarray))
            return inputs and constants and bool(np.all(getattr(layer, "weights", np.ones(1)) >= 0))
        case Padding():
            return inputs and layer.value >= 0
        case Comparison():
            return True
        case Selection():
            return all(part in known if isinstance(part, str) else bool(np.all(part >= 0)) for part in layer.operands)
        case Averaging():
            return inputs and bool(np.all(layer.weights >= 0))
        case MaxPooling() | MaxReduction() | Moving() | Gating():
            return inputs
        case LocalResponseNormalization() | DataProduct():
            return inputs
        case Softmax():
            return True
        case _:
            return False
