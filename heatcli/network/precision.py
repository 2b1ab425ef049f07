"""Half and double precision become float32: what is explained is the function of real numbers that is approximated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

from heatcli import runtime
from heatcli.errors import UnreadableModel

OTHERS: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
TYPES = ("to", "dtype", "output_dtype", "stash_type")
"""Attributes that hold the type of numbers."""


def lift(model: onnx.ModelProto, folder: Path) -> str | None:
    """Bring everything of ``model`` in another precision to float32, in place; return what it was in, None for nothing.

    Constants outside the file are read from ``folder``. Raises UnreadableModel where one cannot be.
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
    if tensor.data_location == TensorProto.EXTERNAL:
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # its exceptions have no common base
            raise UnreadableModel(f"the constant {tensor.name} cannot be read: {error}") from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name))
    return {kind}
