"""The list of mutations, and what several of them draw or look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from tests.fuzz.cases import Chance
from tests.fuzz.damage import MODEST, number, real

Wound = Callable[[Chance, onnx.ModelProto, Path], str | None]
WOUNDS: dict[str, Wound] = {}
KINDS = tuple(TensorProto.DataType.values())
OPERATIONS = (
    *("Conv", "Gemm", "MatMul", "Relu", "MaxPool", "Softmax", "Add", "Mul", "Div", "Reshape", "Transpose", "Concat"),
    *("Split", "Slice", "Gather", "Pad", "Expand", "Tile", "Resize", "ReduceMean", "Flatten", "Squeeze", "Unsqueeze"),
    *("LRN", "Pow", "Sqrt", "Log", "Exp", "Clip", "Cast", "Where", "ConstantOfShape", "Range", "NonZero", "Shape"),
    *("Identity", "Loop", "If", "Scan", "Einsum", "GRU", "LSTM", "TopK", "ScatterND", "Col2Im", "RoiAlign", "OneHot"),
    *("ConvTranspose", "BatchNormalization", "LayerNormalization", "Attention", "QuantizeLinear", "DequantizeLinear"),
    *("CumSum", "Compress", "Unique", "RandomNormal", "Bernoulli", "Dropout", "StringConcat", "SequenceConstruct"),
    *(
        "LpNormalization",
        "MaxUnpool",
        "GridSample",
        "DFT",
        "Trilu",
        "DepthToSpace",
        "SpaceToDepth",
        "Upsample",
        "InstanceNormalization",
    ),
)


def wound(function: Wound) -> Wound:
    WOUNDS[function.__name__] = function
    return function


def copied(things):
    """Return copies, which live on when what they stand in is cleared."""
    copies = []
    for thing in things:
        copies.append(type(thing)())
        copies[-1].CopyFrom(thing)
    return copies


def nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    def below(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
        for node in graph.node:
            yield node
            for entry in node.attribute:
                if entry.HasField("g"):
                    yield from below(entry.g)

    inner = [node for function in model.functions for node in function.node]
    return [*below(model.graph), *inner]


def values(model: onnx.ModelProto) -> list[str]:
    made = [name for node in model.graph.node for name in node.output]
    return [*made, *(entry.name for entry in (*model.graph.initializer, *model.graph.input))] or ["x"]


def one(chance: Chance, things):
    things = list(things)
    return chance.choice(things) if things else None


def array(chance: Chance) -> np.ndarray:
    """Return a small array of edge values."""
    shape = tuple(chance.choice((0, 1, 1, 2, 3, 4, 8)) for _ in range(chance.choice((0, 1, 1, 2, 3, 4, 5))))
    kind = chance.choice(
        ("int64", "int64", "float32", "float32", "float32", "int32", "uint8", "bool", "float64", "float16")
    )
    size = int(np.prod(shape))
    if kind.startswith("float"):
        flat = [real(chance) if chance.happens(0.3) else chance.uniform(-2, 2) for _ in range(size)]
        with np.errstate(over="ignore"):
            return np.array(flat, "float64").astype(kind).reshape(shape)
    flat = [number(chance) if chance.happens(0.3) else chance.choice(MODEST) for _ in range(size)]
    return np.array([value & 0x7FFFFFFFFFFFFFFF for value in flat], "int64").astype(kind).reshape(shape)
