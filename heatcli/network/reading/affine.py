"""Readers of arithmetic: with a constant it is an affine layer, between data tensors a sum or a gate."""

from __future__ import annotations

import numpy as np

from heatcli.network.layers import Affine, Gating, Layer, Summation
from heatcli.network.reading.registry import (
    IN_TRAINING,
    Argument,
    Node,
    Tensor,
    Unreadable,
    constant,
    data,
    operands,
    reads,
)

Array = np.ndarray


def _affine(node: Node, x: str, scale: Array | None = None, shift: Array | None = None) -> Layer:
    return Affine(name=node.name, operation=node.operation, inputs=(x,), scale=scale, shift=shift)


def _per_channel(value: Array) -> bool:
    """Whether a constant varies along at most one axis: then it is a bias, else a tensor of its own."""
    return sum(1 for length in value.shape if length > 1) <= 1


def _sum(node: Node, arguments: tuple[Argument, ...], weights: list[float]) -> Layer:
    inputs, entries = operands(arguments)
    return Summation(
        name=node.name,
        operation=node.operation,
        inputs=inputs,
        operands=entries,
        weights=np.asarray(weights, "float32"),
    )


@reads("Add", "Sub")
def add_or_subtract(node: Node, a: Argument, b: Argument) -> Layer:
    sign = 1.0 if node.operation == "Add" else -1.0
    for x, other, place in ((a, b, 1), (b, a, 0)):
        if isinstance(x, Tensor) and isinstance(other, np.ndarray) and (x.pixels or _per_channel(other)):
            if place == 1:
                return _affine(node, x.name, shift=other if sign > 0 else -other)
            return _affine(node, x.name, scale=None if sign > 0 else np.asarray(-1, other.dtype), shift=other)
    return _sum(node, (a, b), [1.0, sign])


@reads("Sum")
def sum_of_all(node: Node, *arguments: Argument) -> Layer:
    return _sum(node, arguments, [1.0] * len(arguments))


@reads("Mean")
def mean_of_all(node: Node, *arguments: Argument) -> Layer:
    return _sum(node, arguments, [1.0 / len(arguments)] * len(arguments))


@reads("Mul", "Div")
def multiply_or_divide(node: Node, a: Argument, b: Argument) -> Layer:
    divide = node.operation == "Div"
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return Gating(name=node.name, operation=node.operation, inputs=(a.name, b.name), signal=None, divide=divide)
    if isinstance(a, np.ndarray):
        if divide:
            raise Unreadable("a constant divided by data is not supported")
        return _affine(node, data(b).name, scale=a)
    factor = constant(b, "its second operand")
    return _affine(node, data(a).name, scale=1 / factor if divide else factor)


@reads("Neg")
def negate(node: Node, x: Argument) -> Layer:
    return _affine(node, data(x).name, scale=np.asarray(-1, "float32"))


@reads("BatchNormalization")
def batch_normalization(
    node: Node,
    x: Argument,
    scale: Argument,
    bias: Argument,
    mean: Argument,
    var: Argument,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
    is_test: int = 1,
    consumed_inputs: object = None,
) -> Layer:
    x = data(x)
    if not spatial:
        raise Unreadable("statistics for every position instead of every channel (spatial 0) are not supported")
    if training_mode or not is_test:
        raise Unreadable(IN_TRAINING)
    shape = (-1, *(1,) * (len(x.shape) - 2))
    gain = constant(scale, "its scale").astype("float64") / np.sqrt(
        constant(var, "its variance").astype("float64") + epsilon
    )
    shift = constant(bias, "its bias") - constant(mean, "its mean") * gain
    return _affine(node, x.name, gain.astype("float32").reshape(shape), shift.astype("float32").reshape(shape))
