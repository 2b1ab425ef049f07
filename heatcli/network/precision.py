"""Half and double precision become float32: what is explained is the function of real numbers that is approximated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from heatcli import runtime
from heatcli.network.weights import value_of

OTHERS: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
TYPES = ("to", "dtype", "output_dtype", "stash_type")
"""Attributes that hold the type of numbers."""


def lift(model: onnx.ModelProto, folder: Path) -> str | None:
    """Bring everything of ``model`` in another precision to float32, in place; return what it was in, None for nothing.

    Constants outside the file are read from ``folder``.
    """
    found: set[int] = set()
    for graph in runtime.graphs(model.graph):
        for entry in graph.initializer:
            found |= _lifted(entry, folder)
        for info in (*graph.input, *graph.output, *graph.value_info):
            tensor = info.type.tensor_type
            if tensor.elem_type in OTHERS:
                found.add(tensor.elem_type)
                tensor.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR:
                    found |= _lifted(attribute.t, folder)
                elif attribute.name in TYPES and attribute.i in OTHERS:
                    found.add(attribute.i)
                    attribute.i = TensorProto.FLOAT
    return " and ".join(sorted(OTHERS[kind] for kind in found)) or None


def _lifted(tensor: onnx.TensorProto, folder: Path) -> set[int]:
    if tensor.data_type not in OTHERS:
        return set()
    kind = tensor.data_type
    value = value_of(tensor, folder).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return {kind}
