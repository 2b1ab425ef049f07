"""Files that are valid and rare: read as onnxruntime runs them, or refused by the name that the file uses."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import heatcli
from heatcli.errors import UnsupportedModel
from heatcli.network.layers import Affine
from tests.network.quantised_table import SHAPE, dequantise, head, microsoft, model, node, one, quantise

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
CONVOLVED = node("Conv", ["x", np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype("float32")], "c")
PICTURE = np.random.default_rng(1).uniform(-1, 1, SHAPE).astype("float32")


def written(tmp_path, nodes, *, name="m.onnx", **form):
    path = tmp_path / name
    path.write_bytes(model(nodes, **form).SerializeToString())
    return path


def plain(path, x):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0].reshape(-1)


def test_integers_of_a_picture_that_are_taken_for_two_numbers(tmp_path):
    """0.01 (x − 10) and 0.02 (x − 200) add up to a slope of 0.03."""
    nodes = [
        dequantise("x", "a", one(0.01), one(10, "uint8")),
        dequantise("x", "b", one(0.02), one(200, "uint8")),
        node("Add", ["a", "b"], "y"),
        *head("y", 144),
    ]
    path = written(tmp_path, nodes, dtype=TensorProto.UINT8)
    x = np.random.default_rng(0).integers(0, 256, SHAPE).astype("uint8")
    found = heatcli.load(path, range=(0, 255)).explain(x, method="gradient")
    assert found.score == pytest.approx(plain(path, x)[found.target], rel=1e-4)
    weights = np.random.default_rng(144).normal(size=(144, 3))[:, found.target]
    np.testing.assert_allclose(found.relevance.reshape(-1), 0.03 * weights, rtol=1e-4)


def test_integers_of_a_constant_that_are_taken_for_two_numbers(tmp_path):
    """The same integers are added as k / 4 and as k; all of it is known by hand."""
    k = np.array([1, 2, 3, 4], "uint8").reshape(4, 1, 1)
    scale, zero = one(0.25), one(100, "uint8")
    nodes = [
        quantise("x", "q", scale, zero),
        node("Identity", [k], "k"),
        microsoft("QLinearAdd", ["q", scale, zero, "k", one(0.25), one(0, "uint8"), scale, zero], "a"),
        microsoft("QLinearAdd", ["a", scale, zero, "k", one(1), one(0, "uint8"), scale, zero], "p"),
        dequantise("p", "y", scale, zero),
        *head("y", 144),
    ]
    explainer = heatcli.load(written(tmp_path, nodes), range=(-1, 1))
    shifts = [layer.shift.reshape(-1) for layer in explainer.network.layers if isinstance(layer, Affine)]
    np.testing.assert_allclose(shifts, [[0.25, 0.5, 0.75, 1], [1, 2, 3, 4]])


def test_the_type_of_integers_by_attribute(tmp_path):
    nodes = [
        node("QuantizeLinear", ["x", one(0.01)], "q", output_dtype=TensorProto.INT8),
        node("DequantizeLinear", ["q", one(0.01)], "y"),
        *head("y", 144),
    ]
    path = written(tmp_path, nodes, opset=21)
    explainer = heatcli.load(path, range=(-1, 1))
    (rounding,) = (layer for layer in explainer.network.layers if layer.operation == "QuantizeLinear")
    assert [float(end) for end in rounding.constants] == pytest.approx([-1.28, 1.27])
    assert rounding.name not in explainer.network.nonnegative
    found = explainer.explain(PICTURE)
    assert found.score == pytest.approx(plain(path, PICTURE)[found.target], rel=1e-5)
    assert abs(found.ledger.error) < 1e-5


def test_a_rectifier_in_operator_set_7(tmp_path):
    path = written(tmp_path, [CONVOLVED, node("Relu", ["c"], "y"), *head("y", 144)], opset=7)
    found = heatcli.load(path, range=(-1, 1)).explain(PICTURE)
    assert found.score == pytest.approx(plain(path, PICTURE)[found.target], rel=1e-5)
    assert abs(found.ledger.error) < 1e-5


def test_nothing_over_its_norm_is_nothing(tmp_path):
    nodes = [
        CONVOLVED,
        node("Relu", ["c"], "r"),
        node("Mul", ["r", np.float32([0, 1, 1, 1]).reshape(4, 1, 1)], "m"),
        node("LpNormalization", ["m"], "y", axis=3),
        *head("y", 144),
    ]
    path = written(tmp_path, nodes)
    found = heatcli.load(path, range=(-1, 1)).explain(PICTURE)
    assert found.score == pytest.approx(plain(path, PICTURE)[found.target], rel=1e-5)
    assert abs(found.ledger.error) < 1e-5


def branches(kind, **inside):
    """Return the two branches of a condition, one node each."""
    return {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(operation, inputs, [name])], name, [], [helper.make_tensor_value_info(name, kind, None)]
        )
        for name, (operation, inputs) in inside.items()
    }


CONDITIONS = {
    "known beforehand": (
        [node("If", [np.array(True)], "y", **branches(FLOAT, then=("Relu", ["c"]), **{"else": ("Neg", ["c"])}))],
        ["logits"],
    ),
    "beside the scores": (
        [
            node("Relu", ["c"], "y"),
            node("ReduceMean", ["c"], "m", keepdims=0),
            node("Greater", ["m", one(0)], "b"),
            node("If", ["b"], "aside", **branches(FLOAT, then=("Exp", ["m"]), **{"else": ("Neg", ["m"])})),
        ],
        ["logits", "aside"],
    ),
}


@pytest.mark.parametrize("place", CONDITIONS)
def test_conditions_that_no_relevance_meets(tmp_path, place):
    """One is decided before any picture comes, the other decides what is no class score."""
    nodes, outputs = CONDITIONS[place]
    proto = model([CONVOLVED, *nodes, *head("y", 144)])
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs[1:])
    for entry in proto.graph.output[1:]:
        entry.type.tensor_type.elem_type = FLOAT
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    plainly = written(tmp_path, [CONVOLVED, node("Relu", ["c"], "y"), *head("y", 144)], name="plain.onnx")
    found, expected = (heatcli.load(file, range=(-1, 1)).explain(PICTURE) for file in (path, plainly))
    np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-6 * expected.relevance.max())
    assert found.score == pytest.approx(plain(path, PICTURE)[found.target], rel=1e-5)


WHOLE = node("Cast", ["c"], "i", to=INT64), node("Cast", ["j"], "y", to=FLOAT)
REFUSED = {
    "Trilu": [CONVOLVED, WHOLE[0], node("Trilu", ["i"], "j"), WHOLE[1], *head("y", 144)],
    "Resize": [
        CONVOLVED,
        node("Resize", ["c", "", one([1, 1, 1.16, 2])], "y", mode="linear"),
        *head("y", 288),
    ],
}


@pytest.mark.parametrize("operation", REFUSED)
def test_what_has_no_steps_is_named_and_still_runs(tmp_path, operation):
    path = written(tmp_path, REFUSED[operation])
    explainer = heatcli.load(path, range=(-1, 1))
    with pytest.raises(UnsupportedModel, match=rf"{operation} \((j|y)\)"):
        explainer.explain(PICTURE)
    found = explainer.explain(PICTURE, method="occlusion", window=3)
    assert found.score == pytest.approx(plain(path, PICTURE)[found.target], rel=1e-5)
