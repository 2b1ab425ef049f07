"""Classifiers with one logit f: class 1 is f and class 0 is −f, each with a share of its own in the last linear layer.

−f = x(−W) − b is what explains class 0, so the last linear layer x W + b becomes x [−W, W] + [−b, b]: exact, and every
rule does with class 0 what it would do in the negated network. Averages, constants and activations with a mirror image
take both classes side by side after that layer. Behind anything else, such as a rectifier, −f is no sum of evidence:
there f stays alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper

from heatcli.network.layers import (
    Activation,
    Affine,
    AveragePooling,
    Convolution,
    Dense,
    Gathering,
    Layer,
    OutputSpec,
    Reduction,
    Reshape,
)

Array = np.ndarray
Shape = tuple[int, ...]

ODD = ("Tanh", "Softsign", "Erf", "Sign")
BETWEEN = ("Clip", "Quantize")
"""Activations that are −f(x) at −x, and those that keep x between a lower and an upper bound."""


def two_classes(
    layers: list[Layer], output: OutputSpec, graph: onnx.GraphProto, shapes: dict[str, Shape]
) -> tuple[list[Layer], OutputSpec, str]:
    """Return ``layers`` and ``output`` with two classes, and what is to be said about it.

    ``graph`` and ``shapes`` get the tensors of both classes, in place, and their probabilities by the sigmoid. Where
    there are layers and f does not come from a linear one, layers and output stay as they are.
    """
    made = {layer.name: layer for layer in layers}
    last = output.logits
    while isinstance(moved := made.get(last), Reshape):  # one number, however it is shaped
        last = moved.inputs[0]
    tail = _tail(last, made, shapes)
    if layers and not tail:
        said = f"comes from {made[last].operation} and not from a linear layer: it is explained as the only class"
        return layers, output, f"the output {output.declared} is one number, which {said}"
    for name, axis in [(layer.name, axis) for layer, axis in tail] or [(last, len(shapes[last]) - 1)]:
        both, negative = _both(name), f"{_both(name)}/negative"
        shapes[both] = tuple(2 if place == axis else d for place, d in enumerate(shapes[name]))
        graph.node.append(helper.make_node("Neg", [name], [negative]))
        graph.node.append(helper.make_node("Concat", [negative, name], [both], axis=axis))
    chances = _both("probabilities")
    graph.node.append(helper.make_node("Sigmoid", [both], [chances]))
    shapes[chances] = shapes[both]
    begin = layers.index(tail[0][0]) if tail else 0
    side_by_side = [_doubled(layer, axis, shapes[layer.name]) for layer, axis in tail]
    found = replace(output, name=chances, kind="sigmoid", classes=2, logits=both, single=True)
    said = f"the output {output.declared} is one number f: class 1 is f, class 0 is −f"
    return [*layers[:begin], *side_by_side], found, said


def _tail(name: str, made: Mapping[str, Layer], shapes: Mapping[str, Shape]) -> list[tuple[Layer, int]]:
    """Return the last linear layer and all from there to ``name``, each with the axis of its one class.

    Empty where something lies between that does not keep two classes apart, or that −1 does not pass.
    """
    layer = made.get(name)
    if layer is None:
        return []
    shape = shapes[name]
    if isinstance(layer, Dense) or type(layer) is Convolution:
        axis = len(shape) - 1 if isinstance(layer, Dense) else 1
        return [(layer, axis)] if shape[axis] == 1 else []
    mirrored = isinstance(layer, Activation) and layer.function in (*ODD, *BETWEEN)
    if not mirrored and not isinstance(layer, Affine | AveragePooling | Gathering | Reduction | Reshape):
        return []
    tail = _tail(layer.inputs[0], made, shapes)
    after = _axis_after(layer, tail[-1][1], shapes[layer.inputs[0]], shape) if tail else None
    return [] if after is None else [*tail, (layer, after)]


def _axis_after(layer: Layer, axis: int, before: Shape, shape: Shape) -> int | None:
    """Return where the class ``axis`` of a layer's input lies in its output, None where it is lost."""
    match layer:
        case Reduction():
            gone = sum(1 for place in layer.axes if place < axis) if len(shape) < len(before) else 0
            return None if axis in layer.axes else axis - gone
        case Gathering():
            return axis if layer.axis != axis and layer.indices.ndim == 1 else None
        case AveragePooling():
            return axis if axis < 2 else None
        case Reshape():
            outer = math.prod(before[:axis])
            places = [p for p, d in enumerate(shape) if d == 1 and math.prod(shape[:p]) == outer]
            return places[-1] if places else None
        case _:
            return axis if shape == before else None


def _doubled(layer: Layer, axis: int, shape: Shape) -> Layer:
    """Return a layer of the tail with −f beside f along ``axis``."""
    signs = np.array([-1, 1]).reshape(2, *(1,) * (len(shape) - 1 - axis))
    name = _both(layer.name)
    match layer:
        case Dense() | Convolution():
            outputs = 1 if isinstance(layer, Dense) else 0
            weights = np.concatenate([-layer.weights, layer.weights], axis=outputs)
            bias = None if layer.bias is None else layer.bias * signs.astype(layer.bias.dtype)
            return replace(layer, name=name, weights=weights, bias=bias)
        case Activation() if layer.function in BETWEEN:
            low, high = layer.constants
            ends = np.where(signs < 0, -high, low), np.where(signs < 0, -low, high)
            return replace(layer, name=name, inputs=(_both(layer.inputs[0]),), constants=ends)
        case Affine():
            shift = None if layer.shift is None else layer.shift * signs.astype(layer.shift.dtype)
            return replace(layer, name=name, inputs=(_both(layer.inputs[0]),), shift=shift)
        case _:
            return replace(layer, name=name, inputs=(_both(layer.inputs[0]),))


def _both(name: str) -> str:
    return f"heatcli/two/{name}"
