"""What a model declares of its constants and tensors: shapes, types, bytes and places, held against the limits.

Nothing is allocated by what is said here; sparse constants become dense ones once they are known to be sound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from heatcli import runtime
from heatcli.errors import UnreadableModel, shown
from heatcli.limits import Limits, amount
from heatcli.network.weights import damaged, is_plain

Inside = Callable[[onnx.NodeProto], list[onnx.GraphProto]]

KINDS = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
AGAIN = "export or download the model again"


def tensors(
    model: onnx.ModelProto, graphs: list[onnx.GraphProto], inside: Inside
) -> Iterator[tuple[str, list[TensorProto]]]:
    """Yield all constants of the model: those of the outermost graph as ``graph``, all others as ``inside``."""
    yield "graph", list(model.graph.initializer)
    bodies: list[tuple[Iterable[onnx.NodeProto], onnx.GraphProto | None]] = [(graph.node, graph) for graph in graphs]
    for function in model.functions:
        bodies.append((function.node, None))
        yield "inside", [entry.t for entry in function.attribute_proto if entry.HasField("t")]
        parts = (part for node in function.node for graph in inside(node) for part in runtime.graphs(graph))
        bodies += [(part.node, part) for part in parts]
    for nodes, graph in bodies:
        if graph is not None:
            if graph is not graphs[0]:
                yield "inside", list(graph.initializer)
            yield "inside", [part for entry in graph.sparse_initializer for part in (entry.values, entry.indices)]
        for node in nodes:
            for entry in node.attribute:
                found = [entry.t] if entry.type == AttributeProto.TENSOR or entry.HasField("t") else []
                if entry.HasField("sparse_tensor"):  # an attribute can hold all of them at once
                    found += [entry.sparse_tensor.values, entry.sparse_tensor.indices]
                if found or entry.tensors:
                    yield "inside", [*found, *entry.tensors]


def check_tensor(tensor: TensorProto, limits: Limits, *, later: bool) -> int:
    """Check shape, type and number of bytes of a constant; return how many bytes it has outside the file.

    ``later`` says that its bytes are taken out of the graph anyway.
    """
    name = shown(tensor.name) or "without a name"
    elements = _elements(tensor.dims, f"the constant {name}", limits)
    if tensor.data_type not in KINDS:
        raise UnreadableModel(f"the constant {name} has no known type of numbers ({tensor.data_type}); {AGAIN}")
    width = bits(tensor.data_type)
    size = -(-elements * width // 8)
    if tensor.data_location == TensorProto.EXTERNAL:
        keys = [entry.key for entry in tensor.external_data]
        told = {entry.key: entry.value for entry in tensor.external_data}
        if len(keys) != len(told):
            raise UnreadableModel(f"the constant {name} is said twice to lie in another file; {AGAIN}")
        length = told.get("length") or str(size)
        if not length.isascii() or not length.isdigit() or len(length) > 20 or int(length) != size:
            raise UnreadableModel(
                f"the constant {name} takes {size:,} bytes by its shape, but {shown(length)} are said to lie in "
                f"{shown(told.get('location', ''))}; {AGAIN}"
            )
        return size
    if later and is_plain(tensor) and size >= runtime.LARGE:
        return 0  # its bytes are counted when they are taken: asking for them here would copy them twice
    if tensor.HasField("raw_data") or not width:
        found, needed = len(tensor.raw_data), size
        if not width:
            found, needed = len(tensor.string_data), elements
    else:
        found = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))
        complexes = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)
        needed = 2 * elements if tensor.data_type in complexes else -(-elements * width // 8) if width < 8 else elements
    if found != needed:
        raise UnreadableModel(damaged(tensor, needed, found, "bytes" if tensor.HasField("raw_data") else "numbers"))
    return 0


@cache
def bits(kind: int) -> int:
    """Return how many bits a number of a type takes in a file, 0 for text."""
    if kind in (TensorProto.STRING, TensorProto.UNDEFINED):
        return 0
    name = TensorProto.DataType.Name(kind)
    if name.endswith(("INT4", "FLOAT4E2M1")):
        return 4
    if name.endswith("INT2"):
        return 2
    return 8 * int(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize)


def _elements(dims: Iterable[int], what: str, limits: Limits) -> int:
    """Return the product of ``dims``; raises UnreadableModel for a negative one, or more than is allowed."""
    sides = list(dims)
    if any(side < 0 for side in sides):
        raise UnreadableModel(f"{what} has a negative size: {_sides(sides)}; {AGAIN}")
    elements = math.prod(sides)
    if max((elements, *sides)) > limits.dimension:
        raise UnreadableModel(
            f"{what} is {_sides(sides)}; {amount(limits.dimension)} elements are accepted; "
            f"{limits.raised('dimension', max((elements, *sides)))}"
        )
    return elements


def _sides(sides: list[int]) -> str:
    listed = "x".join(map(str, sides[:8]))
    return listed if len(sides) <= 8 else f"{listed}x…"


def make_dense(graph: onnx.GraphProto, limits: Limits) -> None:
    """Replace sparse constants by dense ones, those in nodes too: then nothing else needs to know them."""
    for entry in graph.sparse_initializer:
        graph.initializer.append(_dense(entry, entry.values.name, limits))
    graph.ClearField("sparse_initializer")
    for node in graph.node:
        for attribute in node.attribute:
            if not attribute.HasField("sparse_tensor"):
                continue
            if node.op_type != "Constant":
                raise UnreadableModel(f"{shown(node.op_type)} has a sparse attribute; export the model without any")
            value = _dense(attribute.sparse_tensor, "", limits)
            attribute.CopyFrom(helper.make_attribute("value", value))


def _dense(entry: onnx.SparseTensorProto, name: str, limits: Limits) -> TensorProto:
    """Return a sparse constant as a dense one; its indices are linear, (n,), or one a dimension, (n, rank)."""
    what = f"the sparse constant {shown(name)}".rstrip()
    shape = tuple(entry.dims)
    total = _elements(shape, what, limits)
    if entry.values.data_type == TensorProto.STRING or entry.indices.data_type != TensorProto.INT64:
        raise UnreadableModel(f"{what} holds no numbers; {AGAIN}")
    values, places = numpy_helper.to_array(entry.values), numpy_helper.to_array(entry.indices)
    if places.ndim == 2 and places.shape == (values.size, len(shape)):
        if ((places < 0) | (places >= np.array(shape, np.int64))).any():
            raise UnreadableModel(f"{what} has indices outside its shape {_sides(list(shape))}; {AGAIN}")
        places = np.ravel_multi_index(tuple(places.T), shape) if places.size else np.zeros(0, np.int64)
    if places.shape != (values.size,) or values.ndim != 1:
        raise UnreadableModel(f"{what} has {values.size:,} values, but indices for another number; {AGAIN}")
    if places.size and (places.min() < 0 or places.max() >= total):
        raise UnreadableModel(f"{what} has indices outside its shape {_sides(list(shape))}; {AGAIN}")
    if total * values.itemsize > limits.weights:
        needed = total * values.itemsize
        raise UnreadableModel(
            f"{what} takes {amount(needed)} bytes; {amount(limits.weights)} are accepted; "
            f"{limits.raised('weights', needed)}"
        )
    dense = np.zeros(total, values.dtype)
    dense[places] = values
    return numpy_helper.from_array(dense.reshape(shape), name)


def check_entry(entry: onnx.ValueInfoProto, limits: Limits) -> None:
    """Check what is declared of an input, an output or a tensor between; a size that is not positive is open."""
    sides = [dim.dim_value for dim in entry.type.tensor_type.shape.dim if dim.dim_value > 0]
    _elements(sides, f"the tensor {shown(entry.name)}", limits)
