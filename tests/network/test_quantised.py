"""Quantised networks: explained as the real-valued functions they approximate, run as the integers they are.

Every quantised operation stands in a small network beside its twin, written by hand in real numbers. Inputs and weights
lie on the grid of the quantisation and outputs are small whole numbers, so that nothing is rounded where arithmetic
alone is done: there both networks have the same activations, and the same relevance to rounding.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import heatcli
from heatcli.errors import UnsupportedModel
from heatcli.network.quantised import quantised
from tests.network.quantised_table import (
    MATRIX,
    SHAPE,
    TABLE,
    B,
    S,
    T,
    Twins,
    Y,
    dequantise,
    head,
    model,
    node,
    one,
    quantise,
    whole,
)

FLOAT, UINT8, INT8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8


def picture():
    """Return numbers on the grid of the quantisation, and zero among them."""
    return (np.random.default_rng(1).integers(-2, 5, SHAPE) * 0.5).astype("float32")


def plain(path, x):
    """Run the untouched file without the fusions of quantised operations, which round elsewhere."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def written(twins: Twins, tmp_path):
    """Write both networks and return their paths."""
    both = []
    for name, nodes in (("quantised", twins.quantised), ("real", twins.real)):
        proto = model([*nodes, *head("y", twins.size)], opset=twins.opset)
        if any(isinstance(value, str) and value == "w4" for _, inputs, *_ in nodes for value in inputs):
            proto.graph.initializer.append(
                helper.make_tensor("w4", TensorProto.INT4, (6, 5), MATRIX.reshape(-1).tolist())
            )
            proto.ir_version = 10
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(proto.SerializeToString())
        both.append(path)
    return both


def test_every_quantised_operation_is_in_the_table():
    tried = {(domain, operation) for twins in TABLE.values() for operation, _, _, domain, _ in twins.quantised}
    known = {(domain, operation) for domain, operation in quantised()}
    same = {("com.microsoft", name) for name in ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul")}
    assert known - tried == same


@pytest.mark.parametrize("name", TABLE)
def test_relevance_is_that_of_the_real_network(tmp_path, name):
    twins, x = TABLE[name], picture()
    quantised_path, real_path = written(twins, tmp_path)
    tolerance = 1e-5 if twins.exact else 0.05
    found, expected = (heatcli.load(path, range=(-1.5, 2)) for path in (quantised_path, real_path))
    target = expected.explain(x).target
    signed = ({"method": "lrp-epsilon"},) if twins.exact else ()  # signed shares magnify rounding
    for settings in ({}, *signed, {"method": "gradient"}):
        mine, theirs = (explainer.explain(x, target=target, **settings) for explainer in (found, expected))
        logits = plain(quantised_path, x).reshape(-1)
        assert mine.score == pytest.approx(logits[target], rel=1e-5, abs=1e-5)
        assert mine.score == pytest.approx(theirs.score, rel=tolerance, abs=tolerance)
        slack = tolerance * np.abs(theirs.relevance).max()
        np.testing.assert_allclose(mine.relevance, theirs.relevance, atol=slack, err_msg=str(settings))
        if not settings:
            assert abs(mine.ledger.error) < 1e-5
            assert mine.ledger.lost == pytest.approx(theirs.ledger.lost, abs=tolerance * mine.score)
            assert mine.ledger.biases == pytest.approx(theirs.ledger.biases, abs=tolerance * mine.score)


@pytest.mark.parametrize("name", TABLE)
def test_both_engines(tmp_path, name):
    path, _ = written(TABLE[name], tmp_path)
    x = picture()
    alone = heatcli.load(path, range=(-1.5, 2)).explain(x)
    foreign = [operation for operation, _, _, domain, _ in TABLE[name].quantised if domain]
    compiled = heatcli.load(path, range=(-1.5, 2), engine="compiled")
    if foreign:
        with pytest.raises(UnsupportedModel, match="|".join(foreign)):
            compiled.explain(x)
        return
    found = compiled.explain(x)
    np.testing.assert_allclose(found.relevance, alone.relevance, atol=1e-4 * np.abs(alone.relevance).max())


def test_what_saturates_has_no_gradient(tmp_path):
    """Behind 0.25 (q − 100) with q from 0 to 255 numbers below −25 and above 38.75 are cut off."""
    path = tmp_path / "m.onnx"
    nodes = [quantise("x", "q", T, Y), dequantise("q", "y")]
    path.write_bytes(model([*nodes, *head("y", 144)]).SerializeToString())
    x = np.zeros(SHAPE, "float32")
    x[0, 0, 0, 0], x[0, 0, 0, 1], x[0, 0, 0, 2] = -30, 40, 30
    gradient = heatcli.load(path, range=(-100, 100)).explain(x, target=0, method="gradient").relevance
    weights = np.random.default_rng(144).normal(size=(144, 3)).astype("float32")[:, 0].reshape(SHAPE[1:]).copy()
    weights[0, 0, :2] = 0
    np.testing.assert_allclose(gradient, weights, rtol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("moved", [False, True])
def test_integer_input_and_output(tmp_path, kind, moved):
    """The picture's integers become numbers by arithmetic, a first layer sees the range of them, scores come back."""
    zero = one(128 if kind == "uint8" else 0, kind)
    front = [node("Transpose", ["x"], "xt", perm=[0, 3, 1, 2])] if moved else []
    name = "xt" if moved else "x"
    w = whole(3, 4, 6, 6)
    offset = one(100 if kind == "uint8" else -28, kind)
    nodes = [
        *front,
        node("QLinearConv", [name, one(1 / 64), zero, w, one(0.25), B, one(0.125), offset], "c"),
        node("Reshape", ["c", np.array([1, 3])], "p"),
    ]
    tensor = UINT8 if kind == "uint8" else INT8
    shape = (1, 6, 6, 4) if moved else SHAPE
    path = tmp_path / "m.onnx"
    path.write_bytes(model(nodes, shape, dtype=tensor, output="p", kind=tensor).SerializeToString())
    limits = np.iinfo(kind)
    x = np.random.default_rng(2).integers(limits.min, limits.max + 1, shape).astype(kind)
    explainer = heatcli.load(path, range=(limits.min, limits.max))
    found = explainer.explain(x)
    scores = (plain(path, x).astype("float64").reshape(-1) - float(offset)) * 0.125
    assert found.score == pytest.approx(scores[found.target]) == scores.max()
    real_x = (x.astype("float64") - float(zero)) / 64
    real_x = real_x.transpose(0, 3, 1, 2) if moved else real_x
    low, high = (limits.min - float(zero)) / 64, (limits.max - float(zero)) / 64
    weights = w[found.target] * 0.25
    parts = real_x[0] * weights - low * np.maximum(weights, 0) - high * np.minimum(weights, 0)
    expected = parts / parts.sum() * found.score
    expected = expected.transpose(1, 2, 0) if moved else expected
    np.testing.assert_allclose(found.relevance, expected, rtol=1e-4, atol=1e-6)


UNCLEAR = {
    "another meaning": ([quantise("x", "q"), dequantise("q", "y")], "other numbers than were put in"),
    "Relu above another zero": ([quantise("x", "q", S, one(3, "int8")), node("Relu", ["q"], "p"),
                                 dequantise("p", "y", S, one(3, "int8"))], "not the zero of the numbers"),
    "plain integers": ([quantise("x", "q"), node("Cast", ["q"], "y", to=FLOAT)], "plain integers"),
    "a product without its scale": ([node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
                                     node("MatMulInteger", ["q", whole(6, 6), "z"], "i"),
                                     node("Cast", ["i"], "y", to=FLOAT)], "integers of a product"),
    "a scale as data": ([node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("Add", ["s", one(1)], "t"),
                         node("Mul", ["x", "t"], "y")], "scale that depends on the picture"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_unclear_is_refused_by_name(tmp_path, name):
    nodes, reason = UNCLEAR[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(model([*nodes, *head("y", 144)]).SerializeToString())
    with pytest.raises(UnsupportedModel, match=reason):
        heatcli.load(path, range=(-2, 2)).network.require_layers()


def test_googlenet_in_integers_has_the_map_of_googlenet(data):
    photo = next((data / "photos").glob("*"))
    maps = []
    for name in ("bvlc_googlenet_opset8", "bvlc_googlenet_qdq_int8"):
        explainer = heatcli.load(data / "models" / f"{name}.onnx", preprocess="caffe")
        explanation = explainer.explain(photo, target=maps[0].target if maps else "top")
        assert abs(explanation.ledger.error) < 1e-4
        maps.append(explanation)
    a, b = (explanation.heatmap.reshape(56, 4, 56, 4).mean(axis=(1, 3)).ravel() for explanation in maps)
    assert np.corrcoef(a, b)[0, 1] > 0.9
    assert maps[1].score == pytest.approx(maps[0].score, rel=0.15)
