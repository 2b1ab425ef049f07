"""Whether what readers made of nodes fits together: onnxruntime runs files whose attributes contradict weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heatcli.errors import UnsupportedNode
from heatcli.network.layers import Convolution, Dense, Layer, Linear, TransposedConvolution

Shape = tuple[int, ...]
REASON = "its attributes and weights contradict each other; export the model again"


def unsound(layers: Sequence[Layer], shapes: Mapping[str, Shape]) -> list[UnsupportedNode]:
    """Return the linear layers whose weights, bias or windows do not fit the tensors that they read and make."""
    return [
        UnsupportedNode(layer.name, layer.operation, "", REASON)
        for layer in layers
        if isinstance(layer, Linear) and not _fits(layer, shapes[layer.inputs[0]], shapes[layer.name])
    ]


def _fits(layer: Linear, x: Shape, output: Shape) -> bool:
    weights, bias = layer.weights.shape, layer.bias
    if isinstance(layer, Dense):
        if len(weights) != 2 or not x or not output or (x[-1], output[-1]) != weights:
            return False
    elif isinstance(layer, Convolution):
        axes, groups = len(weights) - 2, layer.groups
        windows = (layer.strides, layer.dilations, layer.pads)
        if axes < 1 or len(x) != len(weights) or len(output) != len(weights) or groups < 1:
            return False
        if any(len(entries) != axes for entries in windows) or min(*layer.strides, *layer.dilations) < 1:
            return False
        inner, outer = (output[1], x[1]) if isinstance(layer, TransposedConvolution) else (x[1], output[1])
        if inner != weights[1] * groups or outer != weights[0] or outer % groups:
            return False
    return bias is None or _broadcasts(bias, output)


def _broadcasts(bias: np.ndarray, output: Shape) -> bool:
    try:
        return np.broadcast_shapes(bias.shape, output) == output
    except ValueError:
        return False
