"""Models that a stranger could have made: a small classifier to change, and what is said of what it became."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import ModelError, UnsupportedModel

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Value = np.ndarray | onnx.TensorProto


def f(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).normal(size=shape).astype("float32")


def proto(
    nodes: Iterable[onnx.NodeProto],
    values: dict[str, Value] | None = None,
    *,
    shape: Iterable[object] = (1, 3, 8, 8),
    output: str = "logits",
    functions: Iterable[onnx.FunctionProto] = (),
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a classifier of 5 classes; ``nodes`` make ``row``, of 5 numbers, of the picture ``x``."""
    given = {name: value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(value, name)
             for name, value in (values or {}).items()}  # fmt: skip
    for name, value in given.items():
        value.name = name
    graph = helper.make_graph(
        [*nodes, helper.make_node("Flatten", ["row"], ["flat"]), helper.make_node("Gemm", ["flat", "v"], [output])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, FLOAT, [1, 5])],
        [*given.values(), numpy_helper.from_array(f(5, 5), "v")],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


CONVOLUTION = [
    helper.make_node("Conv", ["x", "w"], ["c"]),
    helper.make_node("Relu", ["c"], ["r"]),
    helper.make_node("GlobalAveragePool", ["r"], ["row"]),
]


def classifier(**changes) -> onnx.ModelProto:
    return proto(CONVOLUTION, {"w": f(5, 3, 3, 3), **changes})


def refusal(model: onnx.ModelProto | bytes, path: Path, **options) -> str:
    """Return what ``heatcli.load`` says of a file, without its name; it has one line, and no session is opened."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        heatcli.load(path, **options)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert len(said) < 500 + len(str(path))
    assert isinstance(caught.value, UnsupportedModel) or said.isprintable()
    return said.removeprefix(f"{path}: ")


def tensor(kind: int = FLOAT, dims: Iterable[int] = (5, 3, 3, 3), **content) -> onnx.TensorProto:
    return TensorProto(data_type=kind, dims=list(dims), **content)
