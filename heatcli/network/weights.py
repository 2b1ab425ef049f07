"""Weights apart from the graph: a graph without them is small, quick to copy, and knows no limit of two gigabytes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli import runtime
from heatcli.errors import UnreadableModel

Array = np.ndarray
PLAIN = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT32,
    TensorProto.INT64,
)
"""Types that NumPy has itself; constants of others stay inside the graph."""


def detach(model: onnx.ModelProto) -> dict[str, Array]:
    """Replace every large constant inside ``model`` by a placeholder; return the values by name."""
    weights: dict[str, Array] = {}
    for entry in model.graph.initializer:
        if entry.data_location == TensorProto.EXTERNAL or entry.data_type not in PLAIN:
            continue
        if math.prod(entry.dims) * helper.tensor_dtype_to_np_dtype(entry.data_type).itemsize >= runtime.LARGE:
            weights[entry.name] = numpy_helper.to_array(entry)
            entry.CopyFrom(runtime.placeholder(entry.name, weights[entry.name]))
    return weights


def fetch(model: onnx.ModelProto, folder: Path) -> dict[str, Array]:
    """Read the constants that ``model`` says lie in a file in ``folder``; their entries become placeholders."""
    weights: dict[str, Array] = {}
    for entry in model.graph.initializer:
        if entry.data_location != TensorProto.EXTERNAL:
            continue
        told = {item.key: item.value for item in entry.external_data}
        dtype = helper.tensor_dtype_to_np_dtype(entry.data_type)
        if entry.data_type not in PLAIN:
            raise UnreadableModel(f"the constant {entry.name} has a type ({dtype}) that is not supported")
        place = int(told.get("offset", 0))
        flat = np.fromfile(folder / told["location"], dtype, math.prod(entry.dims), offset=place)
        weights[entry.name] = flat.reshape(tuple(entry.dims))
        entry.CopyFrom(runtime.placeholder(entry.name, weights[entry.name]))
    return weights
