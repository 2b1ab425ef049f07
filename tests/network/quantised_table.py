"""The table of quantised operations: each in a small network from x to y, and beside it the same in real numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
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
