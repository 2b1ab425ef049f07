"""Which output holds the class scores, and where they are before softmax or sigmoid."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heatcli import network
from heatcli.errors import NotAClassifier

BODY = [
    helper.make_node("Conv", ["x", "w"], ["conv"]),
    helper.make_node("GlobalAveragePool", ["conv"], ["mean"]),
    helper.make_node("Flatten", ["mean"], ["logits"]),
]


def read(path, nodes, outputs, *, opset=17):
    """Read a classifier of three classes with ``nodes`` behind ``logits`` (and ``mean``, 1×3×1×1)."""
    graph = helper.make_graph(
        [*BODY, *nodes],
        "head",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 5, 5])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [
            numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 2, 2, 2)).astype("float32"), "w"),
            numpy_helper.from_array(np.array([1, 3]), "row"),
            numpy_helper.from_array(np.array([3]), "three"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return network.read(path)


def node(operation, source, sink, **attributes):
    return helper.make_node(operation, source if isinstance(source, list) else [source], [sink], **attributes)


FLOAT = TensorProto.FLOAT


@pytest.mark.parametrize("opset", [9, 12, 13, 17])
@pytest.mark.parametrize(
    ("nodes", "kind", "logits"),
    [
        ([], "logits", "logits"),
        ([node("Softmax", "logits", "y", axis=1)], "softmax", "logits"),
        ([node("LogSoftmax", "logits", "y", axis=1)], "log-softmax", "logits"),
        ([node("Sigmoid", "logits", "y")], "sigmoid", "logits"),
        ([node("Softmax", "mean", "y", axis=1)], "softmax", "mean"),
        ([node("Softmax", "logits", "p", axis=1), node("Reshape", ["p", "three"], "y")], "softmax", "logits"),
        ([node("Softmax", "mean", "p", axis=1), node("Flatten", "p", "y")], "softmax", "mean"),
        ([node("Reshape", ["mean", "row"], "y")], "logits", "y"),
    ],
)
def test_softmax_is_walked_through(tmp_path, opset, nodes, kind, logits):
    last = nodes[-1].output[0] if nodes else "logits"
    output = read(tmp_path / "m.onnx", nodes, {last: FLOAT}, opset=opset).output
    assert (output.kind, output.logits, output.classes, output.name) == (kind, logits, 3, last)


def test_softmax_over_an_axis_of_one_is_not_over_the_classes(tmp_path):
    with pytest.raises(NotAClassifier, match="the same for every picture"):
        read(tmp_path / "m.onnx", [node("Softmax", "mean", "y", axis=-1)], {"y": FLOAT}, opset=13)


def test_softmax_before_opset_13_flattens(tmp_path):
    output = read(tmp_path / "m.onnx", [node("Softmax", "mean", "y")], {"y": FLOAT}, opset=9).output
    assert (output.kind, output.logits) == ("softmax", "mean")


def test_logits_beside_their_softmax(tmp_path):
    read_network = read(tmp_path / "m.onnx", [node("Softmax", "logits", "y", axis=1)], {"logits": FLOAT, "y": FLOAT})
    assert (read_network.output.name, read_network.output.logits) == ("y", "logits")
    assert any("explains y" in note for note in read_network.notes)


def test_label_and_score_beside_the_classes(tmp_path):
    nodes = [
        node("Softmax", "logits", "y", axis=1),
        node("ArgMax", "y", "label", axis=1),
        node("ReduceMax", "y", "best", axes=[1]),
    ]
    found = read(tmp_path / "m.onnx", nodes, {"label": TensorProto.INT64, "best": FLOAT, "y": FLOAT})
    assert found.output.name == "y"


def test_two_different_rows_are_refused(tmp_path):
    nodes = [node("Relu", "logits", "y")]
    with pytest.raises(NotAClassifier, match="several outputs could be the class scores: logits 1x3, y 1x3"):
        read(tmp_path / "m.onnx", nodes, {"logits": FLOAT, "y": FLOAT})


def test_label_alone_is_refused_with_its_type(tmp_path):
    with pytest.raises(NotAClassifier, match="label 1x1 int64"):
        read(tmp_path / "m.onnx", [node("ArgMax", "logits", "label", axis=1)], {"label": TensorProto.INT64})
