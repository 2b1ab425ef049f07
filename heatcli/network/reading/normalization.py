"""Normalisation layers, which relevance bypasses: statistics count as constants (paper 6.2)."""

from __future__ import annotations

from heatcli.network.layers import Layer, LocalResponseNormalization, Normalization
from heatcli.network.reading.registry import Argument, Node, constant, data, reads


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
    count = len(node.shape)
    return Normalization(
        name=node.name,
        operation=node.operation,
        inputs=(data(x).name,),
        axes=tuple(range(axis % count, count)),
        epsilon=epsilon,
        scale=constant(scale, "its scale"),
        bias=None if bias is None else constant(bias, "its bias"),
    )


@reads("RMSNormalization", since=23)
@reads("SimplifiedLayerNormalization")
def root_mean_square(
    node: Node, x: Argument, scale: Argument, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Layer:
    count = len(node.shape)
    return Normalization(
        name=node.name,
        operation=node.operation,
        inputs=(data(x).name,),
        axes=tuple(range(axis % count, count)),
        epsilon=epsilon,
        scale=constant(scale, "its scale"),
        centred=False,
    )


@reads("InstanceNormalization")
def instance_normalization(node: Node, x: Argument, scale: Argument, bias: Argument, *, epsilon: float = 1e-5) -> Layer:
    count = len(node.shape)
    scale, bias = (constant(value, "scale or bias").reshape(-1, *(1,) * (count - 2)) for value in (scale, bias))
    return Normalization(
        name=node.name,
        operation=node.operation,
        inputs=(data(x).name,),
        axes=tuple(range(2, count)),
        epsilon=epsilon,
        scale=scale,
        bias=bias,
    )
