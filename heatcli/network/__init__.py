"""The only room that knows ONNX: from a file to the layer list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from heatcli import runtime
from heatcli.errors import HeatcliError, ModelError, NotAClassifier, UnreadableModel, UnsupportedModel, UnsupportedNode
from heatcli.limits import Limits
from heatcli.network import file, head, patterns, reading
from heatcli.network.layers import Layer, Linear, Network, OutputSpec
from heatcli.network.reading.soundness import unsound
from heatcli.network.shuffling import Shuffle
from heatcli.network.simplify import Simplified, known, simplify
from heatcli.network.two_classes import two_classes

__all__ = ["read"]

WAY_OUT = "--method occlusion explains the model without decomposing it"
"""What remains for a network that onnxruntime runs and heatcli cannot decompose."""

Suggested = Callable[[Mapping[str, str]], tuple[int, int] | None]
"""Returns (height, width) by a file's metadata."""


def read(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    suggested: Suggested | None = None,
    layout: str | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    shuffled: Shuffle | None = None,
    limits: Limits | None = None,
) -> Network:
    """Read the ONNX classifier at ``path`` into a layer list.

    ``size`` (height, width) settles sizes that the file leaves open and must not contradict those that it fixes;
    ``suggested`` does the former alone, by the file's metadata. ``layout`` overrides what the input's shape suggests.
    ``inputs`` are values by name of inputs beside the picture; ``shuffled`` reads it with weights in disorder.
    ``limits`` say how large it may be and how much memory it may take.
    A network that onnxruntime runs but that cannot be read into layers is returned without any: it holds the
    UnsupportedModel, with every unsupported node by name, that ``require_layers`` raises.
    Raises UsageError where ``inputs`` do not fit, UnreadableModel, NotAClassifier, or UnsupportedModel where
    onnxruntime cannot run it either.
    """
    path = Path(path)
    try:
        return _read(path, size, suggested, layout, inputs or {}, shuffled, limits or Limits())
    except UnsupportedModel as error:
        raise _located(error, path) from error.__cause__
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from error.__cause__
    except (HeatcliError, OSError):
        raise
    except Exception as error:  # whatever a file can make of what onnx, NumPy and the readers take for granted
        said = f"{type(error).__name__}: {runtime.reason(error)}"
        raise UnreadableModel(f"{path}: cannot be understood ({said}); is it damaged? Export it again") from error


def _read(
    path: Path,
    size: tuple[int, int] | None,
    suggested: Suggested | None,
    layout: str | None,
    inputs: Mapping[str, np.ndarray],
    shuffled: Shuffle | None,
    limits: Limits,
) -> Network:
    proto = file.load(path, limits)
    crashing, foreign = file.crashing(proto), file.foreign(proto)
    if crashing:
        raise _unsupported((*crashing, *foreign))
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    producer, opset = file.producer(proto), head.opset_of(proto)
    sides = suggested(metadata) if suggested else None
    try:
        simplified = simplify(
            proto,
            path.resolve().parent,
            size=size,
            suggested=sides,
            layout=layout,
            inputs=inputs,
            shuffled=shuffled,
            limits=limits,
        )
    except UnreadableModel as error:
        if foreign:  # unknown to onnxruntime too, or a loop that does not end
            raise _unsupported(foreign, str(error)) from error
        raise
    output, notes = head.find_output(
        simplified.model, simplified.nodes, simplified.shapes, simplified.constants, simplified.batch
    )
    if simplified.batch > 1:
        output = first_row(simplified, output)
    layers: list[Layer] = []
    refusal: UnsupportedModel | None = None
    try:
        layers = decomposed(simplified, output.logits, foreign)
    except UnsupportedModel as error:
        refusal = _located(error, path)
    except (ValueError, IndexError):  # sizes that are inferred for a network that does not run may be wrong
        known(simplified.model, simplified.weights, simplified.input, run=True)
        raise
    if output.classes == 1 and output.kind in ("logits", "sigmoid"):
        layers, output, said = two_classes(layers, output, simplified.model.graph, simplified.shapes)
        notes = [*notes, said]
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
        refusal=refusal,
        constants=simplified.supplied,
        labels=simplified.labels if simplified.labels and len(simplified.labels) == output.classes else None,
    )


def first_row(simplified: Simplified, output: OutputSpec) -> OutputSpec:
    """Return the first of the rows of ``output``, the picture's; ``simplified`` gets it in place."""
    first = "heatcli/first"
    simplified.constants[first] = np.array([0])
    simplified.model.graph.initializer.append(numpy_helper.from_array(simplified.constants[first], first))
    for name in dict.fromkeys((output.name, output.logits)):
        node = helper.make_node("Gather", [name, first], [f"heatcli/row/{name}"], axis=0)
        simplified.model.graph.node.append(node)
        simplified.nodes.append(node)
        simplified.shapes[f"heatcli/row/{name}"] = (1, *simplified.shapes[name][1:])
    return replace(output, name=f"heatcli/row/{output.name}", logits=f"heatcli/row/{output.logits}")


def decomposed(simplified: Simplified, logits: str, foreign: tuple[UnsupportedNode, ...]) -> list[Layer]:
    """Read what lies between the picture and ``logits`` into layers.

    Raises UnsupportedModel with those of the file's ``foreign`` nodes that stand there still, if there are any, or with
    all that cannot be read.
    """
    nodes, needed = between(simplified, logits)
    there = {(name, node.op_type) for node in nodes for name in node.output}
    if standing := tuple(node for node in foreign if (node.name, node.operation) in there):
        raise _unsupported(standing, WAY_OUT)
    opsets = {
        "" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in simplified.model.opset_import
    }
    source = simplified.input.name
    layers, unsupported = reading.read_layers(nodes, source, simplified.constants, simplified.shapes, opsets)
    needed |= {node.output[0] for node in nodes}
    unsupported = [*unsupported, *unsound(layers, simplified.shapes)]
    unclear = [node for node in simplified.unclear if node.name in needed]
    told = {node.name for node in unclear}
    if refused := (*unclear, *(node for node in unsupported if node.name not in told)):
        raise _unsupported(refused, WAY_OUT)
    layers = patterns.recognise(layers, simplified.shapes, logits, source)
    if not any(isinstance(layer, Linear) for layer in layers):
        raise UnsupportedModel("no convolution or dense layer lies between the picture and the scores", hint=WAY_OUT)
    return layers


def _unsupported(nodes: tuple[UnsupportedNode, ...], hint: str = "") -> UnsupportedModel:
    """Return the error that lists ``nodes``, with what else is to be said about them."""
    lines = "\n".join(f"  {node}" for node in nodes)
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return UnsupportedModel(f"heatcli cannot explain {count} of this network:\n{lines}", nodes, hint)


def _located(error: UnsupportedModel, path: Path) -> UnsupportedModel:
    """Return ``error`` with the file that it is about."""
    return UnsupportedModel(f"{path}: {error.message}", error.nodes, error.hint)


def between(simplified: Simplified, logits: str) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes on the way from the picture to ``logits``, in forward order, and all tensors they need."""
    nodes = simplified.nodes
    wanted = {logits}
    ancestors = []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output):
            wanted.update(runtime.reads(node) - simplified.constants.keys())
            ancestors.append(node)
    moved = {simplified.input.name}
    kept = []
    for node in reversed(ancestors):
        if not moved.isdisjoint(runtime.reads(node)):
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
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in simplified.nodes:
        for read in set(node.input):
            users.setdefault(read, []).append(node)
    while len(users.get(name, ())) == 1:
        node = users[name][0]
        if node.op_type in ("Sub", "Mul", "Div", "Add", "BatchNormalization"):
            found.append(node.op_type)
        elif node.op_type not in ("Transpose", "Cast", "Identity", "Reshape", "Concat"):
            break
        name = node.output[0]
    return f"the graph starts with {', '.join(found)}" if found else None
