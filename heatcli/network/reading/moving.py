"""Readers of the moving family: elements change places and keep their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from heatcli.network.layers import (
    Broadcasting,
    Comparison,
    Concatenation,
    Gathering,
    Layer,
    Padding,
    Reshape,
    Slicing,
    Transpose,
)
from heatcli.network.reading.registry import (
    IN_TRAINING,
    Argument,
    Node,
    Unreadable,
    constant,
    data,
    integers,
    operands,
    reads,
)

Ints = Sequence[int]


@reads("Flatten", "Squeeze", "Unsqueeze", "Identity")
def same_order(node: Node, x: Argument, shape: Argument = None, *, axes: Ints | None = None, axis: int = 1) -> Layer:
    return Reshape(name=node.name, operation=node.operation, inputs=(data(x).name,))


@reads("Dropout")
def dropout(
    node: Node,
    x: Argument,
    share: Argument = None,
    training: Argument = None,
    *,
    is_test: int = 1,
    ratio: float = 0.5,
    seed: int = 0,
    consumed_inputs: object = None,
) -> Layer:
    if not is_test or (training is not None and constant(training, "its mode").any()):
        raise Unreadable(IN_TRAINING)
    return Reshape(name=node.name, operation=node.operation, inputs=(data(x).name,))


@reads("Reshape")
def reshape(node: Node, x: Argument, shape: Argument, *, allowzero: int = 0) -> Layer:
    return Reshape(name=node.name, operation=node.operation, inputs=(data(x).name,))


@reads("Cast")
def cast(node: Node, x: Argument, *, to: int, saturate: int = 1, round_mode: str = "up") -> Layer:
    if to == onnx.TensorProto.BOOL:
        return Comparison(name=node.name, operation=node.operation, inputs=(data(x).name,))
    return Reshape(name=node.name, operation=node.operation, inputs=(data(x).name,))


@reads("Transpose")
def transpose(node: Node, x: Argument, *, perm: Ints | None = None) -> Layer:
    x = data(x)
    permutation = tuple(perm) if perm else tuple(reversed(range(len(x.shape))))
    return Transpose(name=node.name, operation=node.operation, inputs=(x.name,), permutation=permutation)


@reads("Concat")
def concat(node: Node, *arguments: Argument, axis: int = 1) -> Layer:
    inputs, entries = operands(arguments)
    return Concatenation(
        name=node.name, operation=node.operation, inputs=inputs, operands=entries, axis=axis % len(node.shape)
    )


@reads("Split")
def split(
    node: Node,
    x: Argument,
    sizes: Argument = None,
    *,
    axis: int = 0,
    split: Ints | None = None,
    num_outputs: int | None = None,
) -> list[Layer]:
    x = data(x)
    axis %= len(x.shape)
    given = split if sizes is None else integers(sizes, "its list of sizes")
    layers: list[Layer] = []
    start = 0
    for place, (name, shape) in enumerate(zip(node.outputs, node.shapes, strict=True)):
        if not given and shape is None:
            raise Unreadable("the shape of an output is not known")
        length = given[place] if given else shape[axis] if shape else 0
        if name:
            slices = tuple(slice(start, start + length) if a == axis else slice(None) for a in range(len(x.shape)))
            layers.append(Slicing(name=name, operation=node.operation, inputs=(x.name,), slices=slices))
        start += length
    return layers


@reads("Slice")
def slice_by_attribute(node: Node, x: Argument, *, starts: Ints, ends: Ints, axes: Ints | None = None) -> Layer:
    return _slicing(node, x, starts, ends, axes, None)


@reads("Slice", since=10)
def slice_by_input(
    node: Node, x: Argument, starts: Argument, ends: Argument, axes: Argument = None, steps: Argument = None
) -> Layer:
    return _slicing(
        node,
        x,
        integers(starts, "its list of starts"),
        integers(ends, "its list of ends"),
        None if axes is None else integers(axes, "its list of axes"),
        None if steps is None else integers(steps, "its list of steps"),
    )


def _slicing(node: Node, x: Argument, starts: Ints, ends: Ints, axes: Ints | None, steps: Ints | None) -> Layer:
    x = data(x)
    slices = [slice(None)] * len(x.shape)
    for place, axis in enumerate(axes if axes is not None else range(len(starts))):
        step = steps[place] if steps else 1
        end: int | None = ends[place]
        if step < 0 and end is not None and end < -x.shape[axis]:
            end = None
        slices[axis] = slice(starts[place], end, step)
    return Slicing(name=node.name, operation=node.operation, inputs=(x.name,), slices=tuple(slices))


@reads("Gather")
def gather(node: Node, x: Argument, indices: Argument, *, axis: int = 0) -> Layer:
    x = data(x)
    picked = constant(indices, "its list of indices")
    axis %= len(x.shape)
    return Gathering(
        name=node.name,
        operation=node.operation,
        inputs=(x.name,),
        axis=axis,
        indices=np.where(picked < 0, picked + x.shape[axis], picked),
    )


@reads("Pad")
def pad_by_attribute(
    node: Node,
    x: Argument,
    *,
    pads: Ints | None = None,
    paddings: Ints | None = None,
    mode: str = "constant",
    value: float = 0.0,
) -> Layer:
    return _padding(node, x, pads or paddings or (), None, mode, value)


@reads("Pad", since=11)
def pad_by_input(
    node: Node, x: Argument, pads: Argument, value: Argument = None, axes: Argument = None, *, mode: str = "constant"
) -> Layer:
    chosen = None if axes is None else integers(axes, "its list of axes")
    filling = 0.0 if value is None else float(constant(value, "its value").reshape(()))
    return _padding(node, x, integers(pads, "its list of pads"), chosen, mode, filling)


def _padding(node: Node, x: Argument, pads: Ints, axes: Ints | None, mode: str, value: float) -> Layer:
    x = data(x)
    if mode != "constant":
        raise Unreadable(f"padding of mode {mode} is not supported")
    rank = len(x.shape)
    frame = [(0, 0)] * rank
    chosen = [axis % rank for axis in axes] if axes is not None else list(range(rank))
    for place, axis in enumerate(chosen):
        frame[axis] = (pads[place], pads[place + len(chosen)])
    return Padding(name=node.name, operation=node.operation, inputs=(x.name,), pads=tuple(frame), value=value)


@reads("Expand")
def expand(node: Node, x: Argument, shape: Argument) -> Layer:
    return Broadcasting(name=node.name, operation=node.operation, inputs=(data(x).name,))
