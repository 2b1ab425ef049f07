"""Whether axis 0 of every tensor is the batch: then one walk can carry several classes.

Several pictures in one pass ask for more, such as constants that are repeated beside them: whether a compiled graph can
do that is tried when it is written.
"""

from __future__ import annotations

from heatcli.network.layers import (
    Broadcasting,
    Chain,
    Concatenation,
    DataProduct,
    Extremum,
    Gathering,
    Layer,
    MaxReduction,
    Network,
    Normalization,
    Padding,
    Reduction,
    Resampling,
    Reshape,
    Selection,
    Slicing,
    Softmax,
    Summation,
    Transpose,
)


def batched(network: Network) -> bool:
    """Return whether every layer leaves axis 0 alone, so that its length is open.

    A reshape always does where axis 0 has length 1 on both sides: each picture's elements stay together in order.
    """
    shapes = network.shapes
    tensors = {network.input.name, *(layer.name for layer in network.layers)}
    if any(not shapes[name] or shapes[name][0] != 1 for name in tensors):
        return False
    return all(_leaves_batch(layer, shapes) for layer in network.layers)


def _leaves_batch(layer: Layer, shapes: dict[str, tuple[int, ...]]) -> bool:
    axes = len(shapes[layer.name])
    match layer:
        case Reshape():
            return True
        case Transpose():
            return layer.permutation[0] == 0
        case Slicing():
            return layer.slices[0] in (slice(None), slice(0, 1), slice(0, 1, 1), slice(None, None, 1))
        case Gathering():
            return layer.axis != 0
        case Padding():
            return layer.pads[0] == (0, 0)
        case Reduction() | MaxReduction() | Normalization():
            return 0 not in layer.axes
        case Softmax() | Resampling():
            return layer.axis != 0
        case DataProduct():
            return axes > 2 and all(len(shapes[name]) == axes for name in layer.inputs)
        case Concatenation():
            return layer.axis != 0
        case Selection():
            parts = (layer.condition, *layer.operands)
            return all(len(shapes[part]) == axes if isinstance(part, str) else part.ndim <= axes for part in parts)
        case Summation() | Extremum():
            return all(
                len(shapes[operand]) == axes if isinstance(operand, str) else operand.ndim <= axes
                for operand in layer.operands
            )
        case Chain():
            return all(shapes[step.name][:1] == (1,) and _leaves_batch(step, shapes) for step in layer.steps)
        case Broadcasting():
            return len(shapes[layer.inputs[0]]) == axes
        case _:
            return all(len(shapes[name]) == axes for name in layer.inputs)
