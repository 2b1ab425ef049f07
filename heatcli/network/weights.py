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
    """Read the constants that ``model`` says lie in a file in ``folder``; their entries become placeholders.

    Those of inner graphs, whose values cannot be given with a session, are put into the model itself.
    """
    weights: dict[str, Array] = {}
    outer, *inner = runtime.graphs(model.graph)
    for entry in _outside(outer):
        weights[entry.name] = _value(entry, folder)
        entry.CopyFrom(runtime.placeholder(entry.name, weights[entry.name]))
    for graph in inner:
        for entry in _outside(graph):
            entry.CopyFrom(numpy_helper.from_array(_value(entry, folder), entry.name))
    return weights


def _outside(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Return the constants whose values lie in a file."""
    return [entry for entry in graph.initializer if entry.data_location == TensorProto.EXTERNAL]


def _value(entry: onnx.TensorProto, folder: Path) -> Array:
    """Read the value of a constant from the file in ``folder``."""
    told = {item.key: item.value for item in entry.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(entry.data_type)
    if entry.data_type not in PLAIN:
        raise UnreadableModel(f"the constant {entry.name} has a type ({dtype}) that is not supported")
    flat = np.fromfile(folder / told["location"], dtype, math.prod(entry.dims), offset=int(told.get("offset", 0)))
    return flat.reshape(tuple(entry.dims))
