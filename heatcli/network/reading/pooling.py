"""Readers of the pooling family: windows, whole axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from heatcli.network.layers import AveragePooling, Layer, MaxPooling, MaxReduction, Reduction, Resampling, Window
from heatcli.network.reading.linear import begin_pads
from heatcli.network.reading.registry import Argument, Node, Unreadable, constant, data, integers, reads
from heatcli.network.resampling import NotByAxis, settled

Ints = Sequence[int]


def _window(
    node: Node,
    shape: Ints,
    kernel: Ints,
    strides: Ints | None,
    dilations: Ints | None,
    pads: Ints | None,
    auto_pad: str,
) -> Window:
    strides = tuple(strides or (1,) * len(kernel))
    dilations = tuple(dilations or (1,) * len(kernel))
    begin = begin_pads(shape[2:], node.shape[2:], kernel, strides, dilations, pads, auto_pad)
    return Window(kernel=tuple(kernel), strides=strides, dilations=dilations, pads=begin)


def _met(window: Window, size: Ints, output: Ints) -> Window:
    """Return ``window`` without the places at its ends that meet padding alone, where it is longer than the input.

    A file can ask for windows of any length, and kernels take the places one by one.
    """
    kernel, pads = list(window.kernel), list(window.pads)
    for axis, (k, s, d, pad, n, o) in enumerate(
        zip(kernel, window.strides, window.dilations, pads, size, output, strict=True)
    ):
        if k > n:
            first = min(max(0, -(-(pad - (o - 1) * s) // d)), pad // d, k - 1)
            last = min(k - 1, max(first, (n - 1 + pad) // d))
            kernel[axis], pads[axis] = last - first + 1, pad - first * d
    return Window(kernel=tuple(kernel), strides=window.strides, dilations=window.dilations, pads=tuple(pads))


@reads("MaxPool")
def max_pool(
    node: Node,
    x: Argument,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
) -> Layer:
    x = data(x)
    window = _window(node, x.shape, kernel_shape, strides, dilations, pads, auto_pad)
    window = _met(window, x.shape[2:], node.shape[2:])
    return MaxPooling(name=node.name, operation=node.operation, inputs=(x.name,), window=window)


@reads("AveragePool")
def average_pool(
    node: Node,
    x: Argument,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Layer:
    x = data(x)
    window = _window(node, x.shape, kernel_shape, strides, dilations, pads, auto_pad)
    declared: Ints | None = None if auto_pad.startswith("SAME") else (0,) * len(kernel_shape)
    if pads and auto_pad in ("NOTSET", ""):
        declared = pads[len(kernel_shape) :]
    divisors = _divisors(window, x.shape[2:], node.shape[2:], declared, bool(count_include_pad))
    weights = (1.0 / divisors).astype("float32")
    window = _met(window, x.shape[2:], node.shape[2:])
    return AveragePooling(
        name=node.name, operation=node.operation, inputs=(x.name,), window=window, weights=weights[None, None]
    )


def _divisors(window: Window, shape: Ints, output: Ints, end_pads: Ints | None, count_pads: bool) -> np.ndarray:
    """Return by how much each window's sum is divided, as an array over the output's spatial axes.

    Only positions inside the tensor count, or with ``count_pads`` positions in the declared padding too; a window of
    ceil mode that hangs out beyond the padding counts nothing out there.
    """
    divisors = np.ones((), "float64")
    for axis, (n, o) in enumerate(zip(shape, output, strict=True)):
        kernel, stride = window.kernel[axis], window.strides[axis]
        dilation, begin = window.dilations[axis], window.pads[axis]
        starts = np.arange(o, dtype="int64") * stride - begin
        before, after = 0, n
        if count_pads:
            end = (
                end_pads[axis]
                if end_pads is not None
                else max(0, (o - 1) * stride + (kernel - 1) * dilation + 1 - n - begin)
            )
            before, after = -begin, n + end
        first = np.clip(-((starts - before) // dilation), 0, kernel)  # places from here on lie behind the front edge
        stop = np.clip(-((starts - after) // dilation), 0, kernel)  # and from here on behind the end
        divisors = divisors[..., None] * (stop - first)
    return np.maximum(divisors, 1)


@reads("GlobalAveragePool")
def global_average_pool(node: Node, x: Argument) -> Layer:
    return _reduction(node, data(x).name, data(x).shape, tuple(range(2, len(data(x).shape))), mean=True)


@reads("Resize", "Upsample")
def resample(node: Node, x: Argument, *inputs: Argument, **attributes: Any) -> Layer:
    """Read the form that changes one axis."""
    x = data(x)
    changed = [axis for axis, (a, b) in enumerate(zip(x.shape, node.shape, strict=True)) if a != b]
    if len(changed) != 1:
        raise Unreadable("it changes several axes")
    (axis,) = changed
    place = 0 if node.operation == "Upsample" or node.opset == 10 else 1
    scales = inputs[place] if len(inputs) > place else None
    try:
        sampling = settled(
            node.operation,
            node.opset,
            x.shape,
            attributes,
            None if scales is None else constant(scales, "its list of scales"),
        )
        matrix = sampling.matrix(axis, x.shape[axis], node.shape[axis])
    except NotByAxis as error:
        raise Unreadable(str(error)) from error
    return Resampling(
        name=node.name,
        operation=node.operation,
        inputs=(x.name,),
        axis=axis,
        weights=matrix,
    )


@reads("GlobalMaxPool")
def global_max_pool(node: Node, x: Argument) -> Layer:
    axes = tuple(range(2, len(data(x).shape)))
    return MaxReduction(name=node.name, operation=node.operation, inputs=(data(x).name,), axes=axes)


def _reduction(node: Node, x: str, shape: Ints, axes: tuple[int, ...], *, mean: bool) -> Layer:
    weight = 1.0 / math.prod(shape[axis] for axis in axes) if mean else 1.0
    return Reduction(
        name=node.name, operation=node.operation, inputs=(x,), axes=axes, weights=np.asarray(weight, "float32")
    )


@reads("ReduceMean", "ReduceSum", "ReduceMax")
def reduce(
    node: Node,
    x: Argument,
    axes_input: Argument = None,
    *,
    axes: Ints | None = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Layer:
    x = data(x)
    chosen = axes if axes_input is None else integers(axes_input, "its list of axes")
    if not chosen and noop_with_empty_axes:
        raise Unreadable("a reduction over no axis is not supported")
    whole = tuple(sorted(axis % len(x.shape) for axis in chosen)) if chosen else tuple(range(len(x.shape)))
    if node.operation == "ReduceMax":
        return MaxReduction(name=node.name, operation=node.operation, inputs=(x.name,), axes=whole)
    return _reduction(node, x.name, x.shape, whole, mean=node.operation == "ReduceMean")
