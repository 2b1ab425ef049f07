"""Affine layers folded into the linear layer before or behind them, where that is exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from heatcli.network.layers import Affine, Convolution, Dense, Layer, Linear, StackedDense

Shape = tuple[int, ...]


def fold_affine(layers: list[Layer], shapes: dict[str, Shape]) -> list[Layer]:
    """Fold an affine layer into the linear layer before it where nothing else uses that layer: exact."""
    uses = Counter(name for layer in layers for name in layer.inputs)
    folded: dict[str, Layer] = {}
    for layer in layers:
        if isinstance(layer, Affine):
            before = folded.get(layer.inputs[0])
            if isinstance(before, Linear) and uses[before.name] == 1:
                merged = _fold(before, layer, shapes)
                if merged is not None:
                    del folded[before.name]
                    folded[merged.name] = merged
                    continue
        folded[layer.name] = layer
    return list(folded.values())


def _fold(linear: Linear, affine: Affine, shapes: dict[str, Shape]) -> Linear | None:
    shape = shapes[linear.name]
    matrix = isinstance(linear, Dense | StackedDense)
    axis = len(shape) - 1 if matrix else 1
    if shapes[affine.name] != shape:
        return None
    scale = _along(affine.scale, axis, shape)
    shift = _along(affine.shift, axis, shape)
    if scale is None or shift is None:
        return None
    row = (-1,) if matrix else (-1, *(1,) * (len(shape) - 2))
    weights, bias = linear.weights, linear.bias
    if affine.scale is not None:
        if matrix:
            weights = weights * scale.reshape(-1)
        elif type(linear) is Convolution:
            weights = weights * scale.reshape(-1, *(1,) * (weights.ndim - 1))
        else:
            return None
        bias = None if bias is None else bias * scale.reshape(row)
    if affine.shift is not None:
        bias = shift.reshape(row) if bias is None else bias + shift.reshape(row)
    return replace(linear, name=affine.name, weights=weights, bias=bias)


def fold_affine_forward(layers: list[Layer], shapes: dict[str, Shape], picture: str) -> list[Layer]:
    """Fold an affine layer into the only linear layer that reads it where that is exact.

    A shift must not meet padding, where it is absent. What normalises ``picture`` stays: the pixel range is pushed
    through it instead.
    """
    uses = Counter(name for layer in layers for name in layer.inputs)
    pixels = {picture}
    folded: dict[str, Layer] = {}
    for layer in layers:
        before = folded.get(layer.inputs[0])
        if isinstance(before, Affine) and uses[before.name] == 1 and before.name not in pixels:
            merged = _fold_forward(before, layer, shapes)
            if merged is not None:
                del folded[before.name]
                folded[merged.name] = merged
                continue
        folded[layer.name] = layer
        if not isinstance(layer, Linear) and all(name in pixels for name in layer.inputs):
            pixels.add(layer.name)
    return list(folded.values())


def _fold_forward(affine: Affine, layer: Layer, shapes: dict[str, Shape]) -> Linear | None:
    shape = shapes[affine.name]
    if shapes[affine.inputs[0]] != shape:
        return None
    if isinstance(layer, Dense):
        scale, shift = (_along(value, len(shape) - 1, shape) for value in (affine.scale, affine.shift))
        if scale is None or shift is None:
            return None
        weights = layer.weights * scale[:, None]
        added = None if affine.shift is None else shift @ layer.weights
    elif type(layer) is Convolution:
        scale, shift = (_along(value, 1, shape) for value in (affine.scale, affine.shift))
        if scale is None or shift is None or (affine.shift is not None and _padded(layer, shape, shapes[layer.name])):
            return None
        spatial = (1,) * (layer.weights.ndim - 2)
        by_group = (layer.groups, 1, -1, *spatial)
        grouped = layer.weights.reshape(layer.groups, -1, *layer.weights.shape[1:])
        weights = (grouped * scale.reshape(by_group)).reshape(layer.weights.shape)
        added = None
        if affine.shift is not None:
            shifted = grouped * shift.reshape(by_group)
            added = shifted.sum(axis=tuple(range(2, shifted.ndim))).reshape(-1, *spatial)
    else:
        return None
    bias = layer.bias if added is None else added if layer.bias is None else layer.bias + added
    return replace(layer, inputs=affine.inputs, weights=weights, bias=bias)


def _padded(layer: Convolution, shape: Shape, output: Shape) -> bool:
    """Whether any window hangs out over the tensor."""
    reach = zip(shape[2:], output[2:], layer.weights.shape[2:], layer.strides, layer.dilations, layer.pads, strict=True)
    return any(pad > 0 or (o - 1) * s + (k - 1) * d + 1 - pad > n for n, o, k, s, d, pad in reach)


def _along(value: np.ndarray | None, axis: int, shape: Shape) -> np.ndarray | None:
    """Return a constant as one number per channel where it varies along ``axis`` alone, else None."""
    if value is None:
        return np.ones(shape[axis], "float32")
    full = value.reshape((1,) * (len(shape) - value.ndim) + value.shape) if value.ndim <= len(shape) else value
    if full.ndim != len(shape) or any(length > 1 for place, length in enumerate(full.shape) if place != axis):
        return None
    return np.broadcast_to(full.reshape(-1), (shape[axis],))
