"""Networks of scikit-learn before they are simplified: labels, maps from labels to probabilities, types of numbers.

No relevance goes through labels, but they tell what the classes are called. The operations that compute are written in
standard ones later, see ``rewriting.classical``.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli import runtime
from heatcli.errors import NotAClassifier

DOMAIN = "ai.onnx.ml"
ANY_NUMBERS = ("Scaler", "Normalizer", "LinearClassifier")
"""Operations that take numbers of several types and compute in float32."""
LABELS = (TensorProto.STRING, TensorProto.INT64, TensorProto.INT32)


def names_of_classes(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """Return what the classes are called by the graph, None where it tells no more than their places: 0, 1, 2."""
    constants = {entry.name: entry for entry in model.graph.initializer if not entry.external_data}
    for node in model.graph.node:
        labels = labels_of(node) if node.domain == DOMAIN else []
        if node.op_type == "ArrayFeatureExtractor" and node.domain == DOMAIN and node.input[0] in constants:
            labels = [_text(entry) for entry in numpy_helper.to_array(constants[node.input[0]]).reshape(-1)]
        if labels and list(labels) != list(range(len(labels))):
            return tuple(map(str, labels))
    return None


def labels_of(node: onnx.NodeProto) -> list[Any]:
    """Return the labels of classes that a node's attributes list, in their order."""
    listed = {"classlabels_strings", "classlabels_int64s", "classlabels_ints"}
    found = [helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name in listed]
    return [_text(entry) for entry in next((labels for labels in found if labels), [])]


def prepare(model: onnx.ModelProto, writable: Container[tuple[str, str]]) -> None:
    """Give every operation of ``ai.onnx.ml`` a tensor of float32, and leave out what is about labels alone, in place.

    A ZipMap leaves the tensor that it takes. Outputs that are labels stay as far as they need no operations of that
    domain that are not ``writable`` in standard ones. Raises NotAClassifier for regressors.
    """
    if all(node.domain != DOMAIN for node in model.graph.node):
        return
    foreign: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        own = node.domain == DOMAIN
        if own and node.op_type.endswith("Regressor"):
            raise NotAClassifier(f"{node.op_type} ({node.output[0]}) predicts numbers; heatcli explains classifiers")
        if own and node.op_type in ANY_NUMBERS:
            floats = f"{node.output[0]}/floats"
            nodes.append(helper.make_node("Cast", node.input[:1], [floats], to=TensorProto.FLOAT))
            node.input[0] = floats
        if own and node.op_type == "ZipMap":
            _leave_tensor(model, node)
        unknown = node.domain == DOMAIN and (node.domain, node.op_type) not in writable
        if unknown or foreign.intersection(runtime.reads(node)):
            foreign.update(node.output)
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    outputs = [
        entry
        for entry in model.graph.output
        if entry.name not in foreign or entry.type.tensor_type.elem_type not in LABELS
    ]
    if outputs:
        del model.graph.output[:]
        model.graph.output.extend(outputs)


def _leave_tensor(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Make a ZipMap the tensor that it takes apart, under its own name."""
    node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output[:1], name=node.name))
    for entry in model.graph.output:
        if entry.name == node.output[0]:
            entry.CopyFrom(helper.make_tensor_value_info(entry.name, TensorProto.FLOAT, None))


def _text(label: Any) -> Any:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else label
