"""The walk over the simplified graph: every node that lies between picture and class scores becomes a layer."""

from __future__ import annotations

import inspect

import numpy as np
import onnx

from heatcli.errors import UnsupportedNode
from heatcli.network.layers import Layer, Linear
from heatcli.network.reading.registry import Node, Tensor, Unreadable, attributes, reader_of

Shape = tuple[int, ...]


def read_layers(
    nodes: list[onnx.NodeProto],
    picture: str,
    constants: dict[str, np.ndarray],
    shapes: dict[str, Shape],
    opsets: dict[str, int],
) -> tuple[list[Layer], list[UnsupportedNode]]:
    """Read ``nodes`` (in forward order, those between picture and scores) into layers; collect what cannot be read.

    ``constants`` are all tensors that do not depend on the picture, ``shapes`` those that do. Outputs that no layer
    stands for, such as the indices of a max pool, may be there but not be used.
    """
    layers: list[Layer] = []
    unsupported: list[UnsupportedNode] = []
    pixels = {picture}
    unmade: set[str] = set()
    for proto in nodes:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        names = tuple(proto.output)
        node = Node(proto.op_type, names, tuple(shapes.get(name) for name in names), opsets.get(domain, 1))
        try:
            reader = reader_of(proto.op_type, domain, node.opset)
            arguments = [_argument(name, constants, shapes, pixels, unmade) for name in proto.input]
            read = _call(reader, node, arguments, attributes(proto))
            new = read if isinstance(read, list) else [read]
            for layer in new:
                _check_bias(layer, shapes)
        except Unreadable as error:
            unsupported.append(UnsupportedNode(node.name, proto.op_type, domain, str(error)))
            continue
        layers += new
        unmade.update(name for name in names if all(name != layer.name for layer in new))
        for layer in new:
            if not isinstance(layer, Linear) and all(name in pixels for name in layer.inputs):
                pixels.add(layer.name)
    return layers, unsupported


def _check_bias(layer: Layer, shapes: dict[str, Shape]) -> None:
    """Raise Unreadable where the bias does not fit what the layer makes, which shows only when it runs."""
    if not isinstance(layer, Linear) or layer.bias is None or layer.name not in shapes:
        return
    shape = shapes[layer.name]
    lengths = zip(reversed(layer.bias.shape), reversed(shape), strict=False)
    if layer.bias.ndim > len(shape) or any(length not in (1, made) for length, made in lengths):
        raise Unreadable(f"its bias of shape {layer.bias.shape} does not fit what it makes, of shape {shape}")


def _argument(
    name: str, constants: dict[str, np.ndarray], shapes: dict[str, Shape], pixels: set[str], unmade: set[str]
) -> Tensor | np.ndarray | None:
    if not name:
        return None
    if name in constants:
        return constants[name]
    if name not in shapes:
        raise Unreadable(f"the shape of its input {name} is not known")
    if name in unmade:
        raise Unreadable(
            f"its input {name} is not the main output of the node that makes it, but a mask, indices or statistics"
        )
    return Tensor(name, shapes[name], name in pixels)


def _call(
    reader: object, node: Node, arguments: list[Tensor | np.ndarray | None], values: dict[str, object]
) -> Layer | list[Layer]:
    """Call the reader; what does not fit its signature is a form of the operation that heatcli does not know."""
    try:
        inspect.signature(reader).bind(node, *arguments, **values)  # type: ignore[arg-type]
    except TypeError as error:
        raise Unreadable(f"a form of the operation that heatcli does not know ({error})") from error
    return reader(node, *arguments, **values)  # type: ignore[operator]
