"""Weights apart from the graph: a graph without them is small, quick to copy, and knows no limit of two gigabytes."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli import runtime
from heatcli.errors import UnreadableModel, shown

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


def detach(model: onnx.ModelProto, folder: Path) -> dict[str, Array]:
    """Replace every large constant of ``model`` by a placeholder; return the values by name.

    Values that the file says lie in another one in ``folder`` are read where they lie, the small ones into the graph.
    """
    weights: dict[str, Array] = {}
    for entry in model.graph.initializer:
        outside = entry.data_location == TensorProto.EXTERNAL
        if entry.data_type not in PLAIN and not outside:
            continue
        if math.prod(entry.dims) * helper.tensor_dtype_to_np_dtype(entry.data_type).itemsize >= runtime.LARGE:
            weights[entry.name] = value_of(entry, folder)
            entry.CopyFrom(runtime.placeholder(entry.name, weights[entry.name]))
        elif outside:
            entry.CopyFrom(numpy_helper.from_array(np.asarray(value_of(entry, folder)), entry.name))
    return weights


def value_of(entry: onnx.TensorProto, folder: Path) -> Array:
    """Return the value of a constant; one outside the file is not copied, but mapped from where it lies in ``folder``.

    Raises UnreadableModel where that is another folder, no regular file or too short, or the type is not supported.
    """
    if entry.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(entry)
    told = {item.key: item.value for item in entry.external_data}
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(entry.data_type))
    shape = tuple(entry.dims)
    if entry.data_type not in (*PLAIN, TensorProto.BFLOAT16):
        raise UnreadableModel(f"the constant {shown(entry.name)}, in another file, has a type that is not supported")
    path = within(folder, told.get("location", ""), entry.name)
    size = math.prod(shape) * dtype.itemsize
    try:
        offset = int(told.get("offset", 0) or 0)
        if offset < 0 or offset + size > path.stat().st_size:
            raise UnreadableModel(f"the file {shown(path.name)} beside the model is too short for {shown(entry.name)}")
        if not size:
            return np.zeros(shape, dtype)
        value = np.memmap(path, np.uint8, "r", offset, size).view(np.ndarray)
    except (OSError, ValueError) as error:
        raise UnreadableModel(
            f"the constant {shown(entry.name)} cannot be read from {shown(path.name)} ({shown(str(error))})"
        ) from error
    if offset % dtype.itemsize:
        value = value.copy()
    return value.view(dtype).reshape(shape)


def within(folder: Path, location: str, name: str) -> Path:
    """Return the file ``location`` inside ``folder``; raises UnreadableModel for one anywhere else, or for none."""
    path = folder / location
    try:
        inside = location and not Path(location).is_absolute() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # names that no file can have, links that go round in a circle
        inside = False
    if not inside:
        raise UnreadableModel(
            f"the constant {shown(name)} is said to lie outside the model's folder ({shown(location)}): refused"
        )
    there, regular = os.path.exists(path), os.path.isfile(path)  # noqa: PTH110, PTH113 - pathlib raises at some names
    if there and not regular:
        raise UnreadableModel(f"the file {shown(location)} with the model's weights is not a regular file")
    if not regular:
        raise UnreadableModel(
            f"the file {shown(location)} with the model's weights is missing; put it beside the model"
        )
    return path


def fetch(model: onnx.ModelProto, folder: Path) -> dict[str, Array]:
    """Read the constants that ``model`` says lie in a file in ``folder``; their entries become placeholders.

    Those of inner graphs, whose values cannot be given with a session, are put into the model itself.
    """
    weights: dict[str, Array] = {}
    outer, *inner = runtime.graphs(model.graph)
    for entry in _outside(outer):
        weights[entry.name] = np.array(value_of(entry, folder))
        entry.CopyFrom(runtime.placeholder(entry.name, weights[entry.name]))
    for graph in inner:
        for entry in _outside(graph):
            entry.CopyFrom(numpy_helper.from_array(np.array(value_of(entry, folder)), entry.name))
    return weights


def _outside(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Return the constants whose values lie in a file."""
    return [entry for entry in graph.initializer if entry.data_location == TensorProto.EXTERNAL]
