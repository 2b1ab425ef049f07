"""The only room that knows ONNX: from a file to the layer list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from heatcli.errors import ModelError, NotAClassifier, UnsupportedModel, UnsupportedNode
from heatcli.network import file, head, patterns, reading
from heatcli.network.layers import Linear, Network
from heatcli.network.simplify import Simplified, simplify

__all__ = ["read"]


def read(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    suggested: tuple[int, int] | None = None,
    layout: str | None = None,
) -> Network:
    """Read the ONNX classifier at ``path`` into a layer list.

    ``size`` (height, width) settles sizes that the file leaves open and must not contradict those that it fixes;
    ``suggested`` does the former alone. ``layout`` overrides what the input's shape suggests.
    Raises UnreadableModel, NotAClassifier, or UnsupportedModel with every unsupported node by name.
    """
    path = Path(path)
    try:
        return _read(path, size, suggested, layout)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{path}: {error}", error.nodes) from error.__cause__
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from error.__cause__


def _read(path: Path, size: tuple[int, int] | None, suggested: tuple[int, int] | None, layout: str | None) -> Network:
    proto = file.load(path)
    _refuse(file.refused(proto))
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    producer, opset = file.producer(proto), head.opset_of(proto)
    simplified = simplify(proto, path.resolve().parent, size=size, suggested=suggested, layout=layout)
    output, notes = head.find_output(simplified.model, simplified.nodes, simplified.shapes, simplified.constants)
    opsets = {
        "" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in simplified.model.opset_import
    }
    nodes, needed = between(simplified, output.logits)
    layers, unsupported = reading.read_layers(
        nodes, simplified.input.name, simplified.constants, simplified.shapes, opsets
    )
    unclear = [node for node in simplified.unclear if node.name in needed]
    told = {node.name for node in unclear}
    _refuse((*unclear, *(node for node in unsupported if node.name not in told)))
    layers = patterns.recognise(layers, simplified.shapes, output.logits, simplified.input.name)
    if not any(isinstance(layer, Linear) for layer in layers):
        raise UnsupportedModel("no convolution or dense layer lies between the picture and the scores")
    return Network(
        layers=tuple(layers),
        input=replace(simplified.input, raw_pixels=raw_pixels(simplified)),
        output=output,
        shapes=simplified.shapes,
        graph=simplified.model.SerializeToString(),
        weights=simplified.weights,
        producer=producer,
        opset=opset,
        metadata=metadata,
        notes=(*simplified.notes, *notes),
        nonnegative=patterns.nonnegative(layers),
    )


def _refuse(nodes: tuple[UnsupportedNode, ...]) -> None:
    """Raise UnsupportedModel that lists ``nodes``, if there are any."""
    if nodes:
        lines = "\n".join(f"  {node}" for node in nodes)
        count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        raise UnsupportedModel(f"heatcli cannot explain {count} of this network:\n{lines}", nodes)


def between(simplified: Simplified, logits: str) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes on the way from the picture to ``logits``, in forward order, and all tensors they need."""
    nodes = simplified.nodes
    wanted = {logits}
    ancestors = []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output):
            wanted.update(name for name in node.input if name not in simplified.constants)
            ancestors.append(node)
    moved = {simplified.input.name}
    kept = []
    for node in reversed(ancestors):
        if any(name in moved for name in node.input):
            moved.update(node.output)
            kept.append(node)
    if logits not in moved:
        raise NotAClassifier(f"the class scores {logits} do not depend on the input {simplified.input.name}")
    return kept, wanted


def raw_pixels(simplified: Simplified) -> str | None:
    """Return the evidence that the graph normalises pixels itself: integer input, or arithmetic comes first."""
    if simplified.input.dtype in ("uint8", "int8"):
        return f"the input is {simplified.input.dtype}"
    name, found = simplified.input.name, []
    while True:
        users = [node for node in simplified.nodes if name in node.input]
        if len(users) != 1:
            break
        node = users[0]
        if node.op_type in ("Sub", "Mul", "Div", "Add", "BatchNormalization"):
            found.append(node.op_type)
        elif node.op_type not in ("Transpose", "Cast", "Identity", "Reshape"):
            break
        name = node.output[0]
    return f"the graph starts with {', '.join(found)}" if found else None
