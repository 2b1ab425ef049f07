"""Quantised networks: explained as the real-valued functions they approximate, run as the integers they are.

Every quantised operation stands in a small network beside its twin, written by hand in real numbers. Inputs and weights
lie on the grid of the quantisation and outputs are small whole numbers, so that nothing is rounded where arithmetic
alone is done: there both networks have the same activations, and the same relevance to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import UnsupportedModel
from heatcli.network.quantised import quantised

FLOAT, UINT8, INT8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8
SHAPE = (1, 4, 6, 6)


def one(value, dtype="float32"):
    return np.array(value, dtype)


def whole(*shape, seed=0, low=-1, high=2, dtype="int8"):
    """Return fixed random whole numbers."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def node(operation, inputs, output, domain="", **attributes):
    outputs = [output] if isinstance(output, str) else output
    return operation, list(inputs), outputs, domain, attributes


def microsoft(operation, inputs, output, **attributes):
    return node(operation, inputs, output, "com.microsoft", **attributes)


def model(nodes, shape=SHAPE, *, dtype=FLOAT, opset=17, output="logits", kind=FLOAT):
    """Return a model from x (``shape``); arrays among the inputs become initializers."""
    constants, written = {}, []
    for operation, inputs, outputs, domain, attributes in nodes:
        names = []
        for value in inputs:
            name = value if isinstance(value, str) else f"k{len(constants)}"
            if not isinstance(value, str):
                constants[name] = numpy_helper.from_array(value, name)
            names.append(name)
        written.append(helper.make_node(operation, names, outputs, domain=domain, **attributes))
    graph = helper.make_graph(
        written,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(output, kind, None)],
        list(constants.values()),
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def head(name, size):
    weights = np.random.default_rng(size).normal(size=(size, 3)).astype("float32")
    return [
        node("Reshape", [name, np.array([1, size])], "flat"),
        node("Gemm", ["flat", weights, one([0.5, 0.5, 0.5])], "logits"),
    ]


S, Z = one(0.5), one(3, "uint8")
"""Scale and zero point of what comes in: 0.5 (q − 3)."""
T, Y = one(0.25), one(100, "uint8")
"""Scale and zero point of what goes out: 0.25 (q − 100)."""
W, B = one(0.5), one(0, "int8")
"""Scale and zero point of weights."""


def quantise(x, y, scale=S, zero=Z):
    return node("QuantizeLinear", [x, scale, zero], y)


def dequantise(x, y, scale=T, zero=Y):
    return node("DequantizeLinear", [x, scale, zero], y)


@dataclass(frozen=True)
class Twins:
    """A quantised network from x to y, and the same in real numbers; ``exact`` where nothing is rounded."""

    quantised: list
    real: list
    size: int
    exact: bool = True
    opset: int = 17


def real(weights, scale=0.5, zero=0):
    return ((weights.astype("float64") - zero) * scale).astype("float32")


def qlinear(operation, *more, exact=True, size=144, twin=None, **attributes):
    """Return twins of an operation of one tensor whose quantised form takes scales around it."""
    return Twins(
        [
            quantise("x", "q"),
            microsoft(f"QLinear{operation}", ["q", S, Z, T, Y], "p", **attributes),
            dequantise("p", "y"),
        ],
        [node(twin or operation, ["x", *more], "y", **{k: v for k, v in attributes.items() if k != "channels_last"})],
        size,
        exact,
    )


KERNEL, BIAS, MATRIX = whole(2, 4, 1, 1), whole(2, low=-3, high=8, dtype="int32"), whole(6, 5)
FLAT = [node("Reshape", ["x", np.array([1, 144])], "r"), quantise("r", "q")]
SPARSE = whole(144, 3, low=0, high=40) // 39
BY_CHANNEL, SEVERAL = one([0.5, 0.25, 0.125, 0.5]), one([3, 50, 90, 20], "uint8")
UNSIGNED = whole(1, 4, 1, 1, low=0, high=4, dtype="uint8")
CONV = ["q", S, Z, KERNEL, W, B, T, Y]
TABLE = {
    "QuantizeLinear DequantizeLinear": Twins(
        [quantise("x", "q"), dequantise("q", "y", S, Z)], [node("Identity", ["x"], "y")], 144
    ),
    "activations by channel": Twins(
        [
            node("QuantizeLinear", ["x", BY_CHANNEL, SEVERAL], "q", axis=1),
            node("DequantizeLinear", ["q", BY_CHANNEL, SEVERAL], "y", axis=1),
        ],
        [node("Identity", ["x"], "y")],
        144,
    ),
    "Conv between": Twins(
        [
            quantise("x", "q"),
            dequantise("q", "r", S, Z),
            node("DequantizeLinear", [KERNEL, W, B], "w"),
            node("Conv", ["r", "w"], "c"),
            quantise("c", "p", T, Y),
            dequantise("p", "y"),
        ],
        [node("Conv", ["x", real(KERNEL)], "y")],
        72,
    ),
    "weights by channel": Twins(
        [
            quantise("x", "q"),
            dequantise("q", "r", S, Z),
            node("DequantizeLinear", [KERNEL, one([0.5, 1.5]), one([0, 0], "int8")], "w", axis=0),
            node("Conv", ["r", "w"], "c"),
            quantise("c", "p", T, Y),
            dequantise("p", "y"),
        ],
        [node("Conv", ["x", real(KERNEL) * one([1, 3]).reshape(2, 1, 1, 1)], "y")],
        72,
    ),
    "QLinearConv": Twins(
        [quantise("x", "q"), node("QLinearConv", CONV, "p"), dequantise("p", "y")],
        [node("Conv", ["x", real(KERNEL)], "y")],
        72,
    ),
    "QLinearConv with a bias": Twins(
        [quantise("x", "q"), node("QLinearConv", [*CONV, BIAS], "p"), dequantise("p", "y")],
        [node("Conv", ["x", real(KERNEL), real(BIAS, 0.25)], "y")],
        72,
    ),
    "QLinearConv by channel": Twins(
        [
            quantise("x", "q"),
            node("QLinearConv", ["q", S, Z, KERNEL, one([0.5, 1.5]), one([0, 0], "int8"), T, Y, BIAS], "p"),
            dequantise("p", "y"),
        ],
        [node("Conv", ["x", real(KERNEL) * one([1, 3]).reshape(2, 1, 1, 1), real(BIAS, 0.25) * one([1, 3])], "y")],
        72,
    ),
    "QLinearConv with unsigned weights": Twins(
        [
            quantise("x", "q"),
            node("QLinearConv", ["q", S, Z, (KERNEL + 5).astype("uint8"), W, one(5, "uint8"), T, Y], "p"),
            dequantise("p", "y"),
        ],
        [node("Conv", ["x", real(KERNEL)], "y")],
        72,
    ),
    "QLinearMatMul": Twins(
        [quantise("x", "q"), node("QLinearMatMul", ["q", S, Z, MATRIX, W, B, T, Y], "p"), dequantise("p", "y")],
        [node("MatMul", ["x", real(MATRIX)], "y")],
        120,
    ),
    "QLinearMatMul of two": Twins(
        [
            quantise("x", "q"),
            node("Transpose", ["q"], "t", perm=[0, 1, 3, 2]),
            node("QLinearMatMul", ["q", S, Z, "t", S, Z, T, Y], "p"),
            dequantise("p", "y"),
        ],
        [node("Transpose", ["x"], "t", perm=[0, 1, 3, 2]), node("MatMul", ["x", "t"], "y")],
        144,
    ),
    "QGemm": Twins(
        [
            *FLAT,
            microsoft("QGemm", ["q", S, Z, SPARSE, W, B, whole(3, low=-4, high=5, dtype="int32"), T, Y], "p"),
            dequantise("p", "y"),
        ],
        [
            node("Reshape", ["x", np.array([1, 144])], "r"),
            node("Gemm", ["r", real(SPARSE), real(whole(3, low=-4, high=5, dtype="int32"), 0.25)], "y"),
        ],
        3,
    ),
    "QGemm to float": Twins(
        [
            *FLAT,
            microsoft(
                "QGemm",
                ["q", S, Z, SPARSE.T.copy(), W, B, whole(3, low=-4, high=5, dtype="int32")],
                "y",
                transB=1,
                alpha=0.5,
            ),
        ],
        [
            node("Reshape", ["x", np.array([1, 144])], "r"),
            node(
                "Gemm",
                ["r", real(SPARSE), real(whole(3, low=-4, high=5, dtype="int32"), 0.25)],
                "y",
                alpha=0.5,
                beta=0.5,
            ),
        ],
        3,
    ),
    "QLinearAdd": Twins(
        [quantise("x", "q"), microsoft("QLinearAdd", ["q", S, Z, "q", S, Z, T, Y], "p"), dequantise("p", "y")],
        [node("Sum", ["x", "x"], "y")],
        144,
    ),
    "QLinearAdd of a constant": Twins(
        [
            quantise("x", "q"),
            microsoft("QLinearAdd", ["q", S, Z, UNSIGNED, W, one(1, "uint8"), T, Y], "p"),
            dequantise("p", "y"),
        ],
        [node("Add", ["x", real(UNSIGNED, 0.5, 1)], "y")],
        144,
    ),
    "QLinearMul of a constant": Twins(
        [
            quantise("x", "q"),
            microsoft("QLinearMul", ["q", S, Z, UNSIGNED, W, one(1, "uint8"), T, Y], "p"),
            dequantise("p", "y"),
        ],
        [node("Mul", ["x", real(UNSIGNED, 0.5, 1)], "y")],
        144,
    ),
    "QLinearMul by a gate": Twins(
        [
            quantise("x", "q"),
            microsoft("QLinearSigmoid", ["q", S, Z, one(1 / 255), one(0, "uint8")], "g"),
            node("ReduceMax", ["q"], "m", axes=[2, 3]),
            microsoft("QLinearMul", ["m", S, Z, "g", one(1 / 255), one(0, "uint8"), one(0.02), one(0, "uint8")], "p"),
            dequantise("p", "y", one(0.02), one(0, "uint8")),
        ],
        [node("Sigmoid", ["x"], "g"), node("ReduceMax", ["x"], "m", axes=[2, 3]), node("Mul", ["m", "g"], "y")],
        144,
        exact=False,
    ),
    "QLinearConcat": Twins(
        [
            quantise("x", "q"),
            microsoft("QLinearConcat", [T, Y, "q", S, Z, "q", S, Z], "p", axis=1),
            dequantise("p", "y"),
        ],
        [node("Concat", ["x", "x"], "y", axis=1)],
        288,
    ),
    "QLinearLeakyRelu": qlinear("LeakyRelu", alpha=1.0),
    "QLinearSigmoid": Twins(
        [
            quantise("x", "q"),
            microsoft("QLinearSigmoid", ["q", S, Z, one(1 / 255), one(0, "uint8")], "p"),
            dequantise("p", "y", one(1 / 255), one(0, "uint8")),
        ],
        [node("Sigmoid", ["x"], "y")],
        144,
        exact=False,
    ),
    "QLinearSoftmax": Twins(
        [
            quantise("x", "q"),
            microsoft("QLinearSoftmax", ["q", S, Z, one(1 / 255), one(0, "uint8")], "p", axis=1, opset=13),
            dequantise("p", "y", one(1 / 255), one(0, "uint8")),
        ],
        [node("Softmax", ["x"], "y", axis=1)],
        144,
        exact=False,
    ),
    "QLinearAveragePool": qlinear("AveragePool", kernel_shape=[1, 1], size=144),
    **{
        f"QLinearGlobalAveragePool {last}": Twins(
            [
                quantise("x", "q"),
                microsoft("QLinearGlobalAveragePool", ["q", S, Z, grid, Y], "p", channels_last=last),
                dequantise("p", "y", grid, Y),
            ],
            [node("ReduceMean", ["x"], "y", axes=axes)],
            size,
            exact=False,
        )
        for last, axes, grid, size in ((0, [2, 3], one(1 / 72), 4), (1, [1, 2], one(1 / 48), 6))
    },
    "QLinearWhere": Twins(
        [
            quantise("x", "q"),
            microsoft(
                "QLinearWhere", [whole(6, 6, low=0, high=2) > 0, "q", S, Z, UNSIGNED, W, one(1, "uint8"), T, Y], "p"
            ),
            dequantise("p", "y"),
        ],
        [node("Where", [whole(6, 6, low=0, high=2) > 0, "x", real(UNSIGNED, 0.5, 1)], "y")],
        144,
    ),
    "moves of integers": Twins(
        [
            quantise("x", "q"),
            node("Transpose", ["q"], "t", perm=[0, 2, 3, 1]),
            node("Reshape", ["t", np.array([1, 4, 36])], "u"),
            node("Slice", ["u", np.array([3]), np.array([30]), np.array([2])], "v"),
            node("Concat", ["v", "v"], "p", axis=1),
            dequantise("p", "y", S, Z),
        ],
        [
            node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]),
            node("Reshape", ["t", np.array([1, 4, 36])], "u"),
            node("Slice", ["u", np.array([3]), np.array([30]), np.array([2])], "v"),
            node("Concat", ["v", "v"], "y", axis=1),
        ],
        216,
    ),
    "MaxPool of integers": Twins(
        [
            quantise("x", "q"),
            node("MaxPool", ["q"], "p", kernel_shape=[2, 2], strides=[2, 2]),
            dequantise("p", "y", S, Z),
        ],
        [node("MaxPool", ["x"], "y", kernel_shape=[2, 2], strides=[2, 2])],
        36,
    ),
    "Clip of integers": Twins(
        [quantise("x", "q"), node("Clip", ["q", one(4, "uint8"), one(8, "uint8")], "p"), dequantise("p", "y", S, Z)],
        [node("Clip", ["x", one(0.5), one(2.5)], "y")],
        144,
    ),
    "Pad of integers": Twins(
        [quantise("x", "q"), node("Pad", ["q", np.array([0, 0, 1, 0, 0, 0, 0, 1])], "p"), dequantise("p", "y", S, Z)],
        [node("Pad", ["x", np.array([0, 0, 1, 0, 0, 0, 0, 1]), one(-1.5)], "y")],
        196,
    ),
    "ConvInteger": Twins(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("ConvInteger", ["q", KERNEL, "z"], "i"),
            node("Cast", ["i"], "c", to=FLOAT),
            node("Mul", ["s", W], "f"),
            node("Mul", ["c", "f"], "p"),
            node("Add", ["p", real(BIAS).reshape(1, 2, 1, 1)], "y"),
        ],
        [node("Conv", ["x", real(KERNEL), real(BIAS)], "y")],
        72,
        exact=False,
    ),
    "MatMulInteger": Twins(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("MatMulInteger", ["q", (MATRIX + 5).astype("uint8"), "z", one(5, "uint8")], "i"),
            node("Cast", ["i"], "c", to=FLOAT),
            node("Mul", ["s", one([0.5, 1, 0.5, 2, 1])], "f"),
            node("Mul", ["c", "f"], "y"),
        ],
        [node("MatMul", ["x", real(MATRIX, 1) * one([0.5, 1, 0.5, 2, 1])], "y")],
        120,
        exact=False,
    ),
    "MatMulInteger of two": Twins(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("Transpose", ["x"], "xt", perm=[0, 1, 3, 2]),
            node("DynamicQuantizeLinear", ["xt"], ["r", "t", "y0"]),
            node("MatMulInteger", ["q", "r", "z", "y0"], "i"),
            node("Cast", ["i"], "c", to=FLOAT),
            node("Mul", ["s", "t"], "f"),
            node("Mul", ["c", "f"], "y"),
        ],
        [node("Transpose", ["x"], "t", perm=[0, 1, 3, 2]), node("MatMul", ["x", "t"], "y")],
        144,
        exact=False,
    ),
    "MatMulInteger of a constant scale": Twins(
        [
            quantise("x", "q"),
            node("MatMulInteger", ["q", MATRIX, Z], "i"),
            node("Cast", ["i"], "c", to=FLOAT),
            node("Mul", ["c", one(0.25)], "y"),
        ],
        [node("MatMul", ["x", real(MATRIX)], "y")],
        120,
    ),
    "DynamicQuantizeMatMul": Twins(
        [microsoft("DynamicQuantizeMatMul", ["x", MATRIX, W, B, one([0.5, 0, 0, 1, -1])], "y")],
        [node("MatMul", ["x", real(MATRIX)], "m"), node("Add", ["m", one([0.5, 0, 0, 1, -1])], "y")],
        120,
        exact=False,
    ),
    "MatMulIntegerToFloat": Twins(
        [quantise("x", "q"), microsoft("MatMulIntegerToFloat", ["q", MATRIX, S, W, Z, B], "y")],
        [node("MatMul", ["x", real(MATRIX)], "y")],
        120,
    ),
    "four bits": Twins(
        [node("DequantizeLinear", ["w4", W], "w"), node("MatMul", ["x", "w"], "y")],
        [node("MatMul", ["x", real(MATRIX)], "y")],
        120,
        opset=21,
    ),
}


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
