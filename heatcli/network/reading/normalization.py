"""Normalisation layers, which relevance bypasses: statistics count as constants (paper 6.2)."""

from __future__ import annotations

import numpy as np

from heatcli.network.layers import Layer, LocalResponseNormalization, Normalization
from heatcli.network.reading.registry import Argument, Node, constant, data, reads

Array = np.ndarray


@reads("LRN")
def lrn(node: Node, x: Argument, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Layer:
    return LocalResponseNormalization(
        name=node.name, operation=node.operation, inputs=(data(x).name,), size=size, alpha=alpha, beta=beta, bias=bias
    )


@reads("LayerNormalization")
def layer_normalization(
    node: Node,
    x: Argument,
    scale: Argument,
    bias: Argument = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Layer:
    axes = range(axis % len(node.shape), len(node.shape))
    shift = None if bias is None else constant(bias, "its bias")
    return _normalization(node, x, axes, epsilon, constant(scale, "its scale"), shift)


@reads("RMSNormalization", since=23)
def root_mean_square(
    node: Node, x: Argument, scale: Argument, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Layer:
    axes = range(axis % len(node.shape), len(node.shape))
    return _normalization(node, x, axes, epsilon, constant(scale, "its scale"), centred=False)


@reads("InstanceNormalization")
def instance_normalization(node: Node, x: Argument, scale: Argument, bias: Argument, *, epsilon: float = 1e-5) -> Layer:
    channels = (-1, *(1,) * (len(node.shape) - 2))
    scale, bias = (constant(value, "scale or bias").reshape(channels) for value in (scale, bias))
    return _normalization(node, x, range(2, len(node.shape)), epsilon, scale, bias)


def _normalization(
    node: Node,
    x: Argument,
    axes: range,
    epsilon: float,
    scale: Array,
    bias: Array | None = None,
    *,
    centred: bool = True,
) -> Layer:
    return Normalization(
        name=node.name,
        operation=node.operation,
        inputs=(data(x).name,),
        axes=tuple(axes),
        epsilon=epsilon,
        scale=scale,
        bias=bias,
        centred=centred,
    )
