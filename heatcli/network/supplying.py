"""Networks with several inputs: those beside the picture become constants, by what is given for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli import runtime
from heatcli.errors import ModelError, UsageError
from heatcli.network.layers import InputSpec
from heatcli.network.weights import PLAIN

Array = np.ndarray
Entry = onnx.ValueInfoProto

GIVEN = (*PLAIN, TensorProto.BOOL, TensorProto.INT16, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64)
"""Types that an .npy file can hold."""
FROM = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
"""Which kinds of arrays go into which kind of input, where no value changes."""
PICTURES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8, TensorProto.INT8)
SIDE = 224
"""What an open side counts as where inputs are compared by size."""


def supply(model: onnx.ModelProto, given: Mapping[str, Array]) -> tuple[tuple[InputSpec, ...], dict[str, int]]:
    """Make initializers of the inputs ``given`` by name, in place; a default value that one has is replaced.

    Return what they are, and the lengths of axes that the file leaves open under a name. Raises UsageError where a
    name, a shape or a type does not fit.
    """
    entries = {entry.name: entry for entry in model.graph.input}
    listed = "; ".join(map(described, _required(model)))
    named: dict[str, int] = {}
    specs = []
    for name, value in given.items():
        if name not in entries:
            raise UsageError(f"--input {name}: the model has no such input; its inputs are {listed}")
        fitting = _fitting(entries[name], value)
        for entry in [entry for entry in model.graph.initializer if entry.name == name]:
            model.graph.initializer.remove(entry)
        model.graph.initializer.append(numpy_helper.from_array(fitting, name))
        sides = zip(entries[name].type.tensor_type.shape.dim, fitting.shape, strict=False)
        named |= {dim.dim_param: length for dim, length in sides if dim.dim_param}
        specs.append(InputSpec(name, fitting.shape, str(fitting.dtype), "tensor"))
    return tuple(specs), named


def keep_picture(model: onnx.ModelProto, supplied: Sequence[InputSpec] = ()) -> None:
    """Leave the one input that is the picture in ``model``, in place; inputs that no node reads are none.

    Raises ModelError where several are left, with what is known of each and what is to be done, or where there is none,
    UsageError where none is left beside those ``supplied``.
    """
    inputs = _required(model)
    if len(inputs) == 1:
        kept = onnx.ValueInfoProto()
        kept.CopyFrom(inputs[0])
        del model.graph.input[:]
        model.graph.input.append(kept)
        return
    if not inputs and supplied:
        names = ", ".join(spec.name for spec in supplied)
        raise UsageError(f"--input was given for all inputs ({names}); one must be left for the picture")
    if not inputs:
        raise ModelError("the model has no input, so there is nothing to explain its scores by")
    likely = _likely(inputs)
    lines = [f"  {described(entry)}{', which looks like the picture' if entry is likely else ''}" for entry in inputs]
    others = " ".join(f"--input {entry.name}=FILE.npy" for entry in inputs if entry is not (likely or inputs[0]))
    names = ", ".join(entry.name for entry in inputs)
    raise ModelError(
        f"the model has {len(inputs)} inputs ({names}), and heatcli gives it one, the picture:\n"
        + "\n".join(lines)
        + f"\nGive the others as constants, such as {others}"
    )


def check_sizes(named: Mapping[str, int], picture: Entry, shape: Sequence[int]) -> None:
    """Raise UsageError where ``picture``, whose ``shape`` is settled, and an input given share a size that differs."""
    for dim, length in zip(picture.type.tensor_type.shape.dim, shape, strict=True):
        if named.get(dim.dim_param, length) != length:
            raise UsageError(
                f"--input: an array given has {named[dim.dim_param]} for the size '{dim.dim_param}', which it shares "
                f"with the picture; there it is {length}: the picture is {shape_text(shape)}"
            )


def described(entry: Entry) -> str:
    """Return name, type and shape of an input, such as ``x float32 ?x3x224x224``."""
    tensor = entry.type.tensor_type
    if not entry.type.HasField("tensor_type"):
        return f"{entry.name} ({entry.type.WhichOneof('value') or 'no type'})"
    shape = shape_text(dims_of(entry)) if tensor.HasField("shape") else "of any shape"
    if tensor.elem_type in GIVEN:
        kind = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    elif tensor.elem_type in TensorProto.DataType.values():
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    else:
        kind = f"of type {tensor.elem_type}, which ONNX does not know,"
    return f"{entry.name} {kind} {shape}"


def dims_of(entry: Entry) -> list[int]:
    """Return the sizes of an input, 0 for an open one."""
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else 0 for d in entry.type.tensor_type.shape.dim]


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape for a message: ``1x3x224x?``."""
    return "x".join(str(length) if length else "?" for length in shape) or "scalar"


def _required(model: onnx.ModelProto) -> list[Entry]:
    """Return the inputs without a default value that any node reads."""
    constants = {entry.name for entry in model.graph.initializer}
    read = set().union(*(runtime.reads(node) for node in model.graph.node))
    return [entry for entry in model.graph.input if entry.name in read and entry.name not in constants]


def _fitting(entry: Entry, value: Array) -> Array:
    """Return ``value`` in the type of an input; raises UsageError where type or shape are not the input's."""
    tensor = entry.type.tensor_type
    if not entry.type.HasField("tensor_type") or tensor.elem_type not in GIVEN:
        raise UsageError(f"--input: the model takes {described(entry)}, which an .npy file cannot hold")
    held = f"{value.dtype} {shape_text(value.shape)}"
    refusal = UsageError(f"--input {entry.name}: the array is {held}; the model takes {described(entry)}")
    if tensor.HasField("shape"):
        dims = dims_of(entry)
        if len(dims) != value.ndim or any(d and d != length for d, length in zip(dims, value.shape, strict=True)):
            raise refusal
    wanted = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    with np.errstate(over="ignore"):
        cast = np.asarray(value.astype(wanted))
    survives = np.isfinite(cast) == np.isfinite(value) if wanted.kind == "f" else cast == value
    if value.dtype.kind not in FROM[wanted.kind] or not np.all(survives):
        raise refusal
    return cast


def _likely(inputs: Sequence[Entry]) -> Entry | None:
    """Return the largest of the inputs that have the form of a picture, None where there is no such one."""
    pictures = [entry for entry in inputs if _pictorial(entry)]
    return max(pictures, key=lambda entry: math.prod(d or SIDE for d in dims_of(entry)), default=None)


def _pictorial(entry: Entry) -> bool:
    """Whether an input has three or four axes, one of them as long as a picture has channels, the sides longer."""
    tensor = entry.type.tensor_type
    if tensor.elem_type not in PICTURES or not tensor.HasField("shape") or len(dims_of(entry)) not in (3, 4):
        return False
    first, middle, last = dims_of(entry)[-3:]
    return any(
        channels in (0, 1, 3, 4) and all(side == 0 or side > 4 for side in sides)
        for channels, sides in ((first, (middle, last)), (last, (first, middle)))
    )
