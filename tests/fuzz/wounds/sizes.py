"""Sizes, types and numbers of inputs and constants."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz.damage import MODEST, number, real, word
from tests.fuzz.wounds.registry import KINDS, copied, one, values, wound


@wound
def resized_input(chance, model, folder):
    if (entry := one(chance, [*model.graph.input, *model.graph.output])) is None:
        return None
    shape = entry.type.tensor_type.shape
    match chance.randrange(6):
        case 0:
            entry.type.tensor_type.ClearField("shape")
        case 1:
            shape.dim.add().dim_value = number(chance)
        case 2 if shape.dim:
            shape.dim.pop()
        case 3 if shape.dim:
            chance.choice(shape.dim).dim_param = word(chance)
        case 4 if shape.dim:
            chance.choice(shape.dim).Clear()
        case _ if shape.dim:
            chance.choice(shape.dim).dim_value = number(chance)
        case _:
            return None
    return f"{entry.name} has shape {[d.dim_value or d.dim_param[:20] for d in shape.dim]}"


@wound
def retyped_input(chance, model, folder):
    if (entry := one(chance, [*model.graph.input, *model.graph.output])) is None:
        return None
    match chance.randrange(4):
        case 0:
            entry.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
        case 1:
            entry.type.Clear()
        case 2:
            entry.type.optional_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
        case _:
            entry.type.tensor_type.elem_type = chance.choice(KINDS)
    return f"{entry.name} has another type"


@wound
def more_ends(chance, model, folder):
    """Inputs and outputs are added or taken away."""
    field = chance.choice((model.graph.input, model.graph.output))
    match chance.randrange(3):
        case 0:
            del field[:]
            return "no inputs or no outputs"
        case 1:
            name = chance.choice([*values(model), "new", ""])
            field.append(helper.make_tensor_value_info(name, chance.choice(KINDS), [1, chance.choice(MODEST)]))
            return f"one more input or output {name!r}"
        case _:
            ends = copied(field)
            chance.shuffle(ends)
            del field[:]
            field.extend(ends)
            return "inputs or outputs in disorder"


@wound
def constant_as_input(chance, model, folder):
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    model.graph.input.append(helper.make_tensor_value_info(entry.name, entry.data_type, list(entry.dims)))
    return f"{entry.name} is listed as an input"


@wound
def resized_constant(chance, model, folder):
    """The size that a constant states is not that of its data."""
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    if chance.happens(0.3) or not entry.dims:
        entry.dims.append(number(chance))
    else:
        entry.dims[chance.randrange(len(entry.dims))] = number(chance)
    return f"{entry.name} states shape {list(entry.dims)}"


@wound
def reshaped_constant(chance, model, folder):
    """A constant has another shape, with the data for it."""
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    try:
        old = numpy_helper.to_array(entry)
    except Exception:
        return None
    shape = list(old.shape)
    match chance.randrange(4):
        case 0 if shape:
            shape[chance.randrange(len(shape))] = chance.choice((0, 1, 2, 5, 9))
        case 1:
            shape.insert(chance.randint(0, len(shape)), chance.choice((0, 1, 2)))
        case 2 if shape:
            shape.pop()
        case _:
            shape = [chance.choice((0, 1, 2, 3, 4)) for _ in range(chance.randrange(6))]
    entry.CopyFrom(
        numpy_helper.from_array(np.resize(old, shape) if old.size else np.zeros(shape, old.dtype), entry.name)
    )
    return f"{entry.name} has shape {shape}"


@wound
def retyped_constant(chance, model, folder):
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    if chance.happens(0.5):
        entry.data_type = chance.choice((*KINDS, 99, -1))
        return f"{entry.name} states type {entry.data_type}"
    try:
        old = numpy_helper.to_array(entry)
    except Exception:
        return None
    kind = chance.choice(("float64", "float16", "int64", "int32", "uint8", "int8", "bool", "complex64"))
    with np.errstate(all="ignore"):
        entry.CopyFrom(numpy_helper.from_array(np.nan_to_num(old.astype("float64")).astype(kind), entry.name))
    return f"{entry.name} is {kind}"


@wound
def recut_constant(chance, model, folder):
    """Bytes of a constant are missing, or too many."""
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    match chance.randrange(4):
        case 0:
            entry.raw_data = entry.raw_data[: chance.randrange(len(entry.raw_data) + 1)]
        case 1:
            entry.raw_data += chance.randbytes(chance.choice((1, 4, 64)))
        case 2:
            entry.float_data.extend([1.0] * chance.choice((1, 3)))
        case 3:
            entry.ClearField("raw_data")
    return f"{entry.name} holds {len(entry.raw_data)} bytes for {list(entry.dims)}"


@wound
def revalued_constant(chance, model, folder):
    """Numbers of a constant are extreme."""
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    try:
        old = np.array(numpy_helper.to_array(entry))
    except Exception:
        return None
    if not old.size or old.dtype.kind not in "fiu":
        return None
    flat = old.reshape(-1)
    for _ in range(chance.choice((1, 1, 2, flat.size))):
        value = real(chance) if old.dtype.kind == "f" else number(chance)
        if old.dtype.kind in "iu":
            limits = np.iinfo(old.dtype)
            value = max(limits.min, min(limits.max, value))
        with np.errstate(all="ignore"):
            flat[chance.randrange(flat.size)] = value
    entry.CopyFrom(numpy_helper.from_array(flat.reshape(old.shape), entry.name))
    return f"{entry.name} holds extreme numbers"


@wound
def all_of_one_value(chance, model, folder):
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    try:
        old = numpy_helper.to_array(entry)
    except Exception:
        return None
    if old.dtype.kind != "f":
        return None
    value = real(chance)
    with np.errstate(all="ignore"):
        entry.CopyFrom(numpy_helper.from_array(np.full(old.shape, value, old.dtype), entry.name))
    return f"{entry.name} is {value} everywhere"
