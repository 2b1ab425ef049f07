"""Readers of normalisations that are one node."""

from __future__ import annotations

from heatcli.network.layers import Layer, LocalResponseNormalization
from heatcli.network.reading.registry import Argument, Node, data, reads


@reads("LRN")
def lrn(node: Node, x: Argument, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Layer:
    return LocalResponseNormalization(
        name=node.name,
        operation=node.operation,
        inputs=(data(x).name,),
        size=size,
        alpha=alpha,
        beta=beta,
        bias=bias,
    )
