"""What attention is made of: softmax inside the network. Products of two data tensors are read with the linear ones."""

from __future__ import annotations

from heatcli.network.layers import Layer, Softmax
from heatcli.network.reading.registry import Argument, Node, Unreadable, data, reads


@reads("Softmax")
def softmax_of_rows(node: Node, x: Argument, *, axis: int = 1) -> Layer:
    """Read the form before operator set 13, which joins all axes from ``axis`` on into one."""
    if any(length != 1 for length in node.shape[axis % len(node.shape) + 1 :]):
        raise Unreadable("a softmax over several axes")
    return _softmax(node, x, axis)


@reads("Softmax", since=13)
def softmax(node: Node, x: Argument, *, axis: int = -1) -> Layer:
    return _softmax(node, x, axis)


def _softmax(node: Node, x: Argument, axis: int) -> Layer:
    if not -len(node.shape) <= axis < len(node.shape):
        raise Unreadable(f"a softmax over axis {axis} of {len(node.shape)}")
    if node.shape[axis] == 1:
        raise Unreadable("a softmax over an axis of length 1, which is 1 whatever the picture")
    return Softmax(name=node.name, operation=node.operation, inputs=(data(x).name,), axis=axis % len(node.shape))
