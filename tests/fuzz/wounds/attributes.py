"""Attributes of nodes: other values, other types, new ones, none."""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from tests.fuzz.damage import EXTREME, MODEST, number, real, word
from tests.fuzz.wounds.registry import array, nodes, one, wound


@wound
def changed_attribute(chance, model, folder):
    """A number in an attribute is extreme."""
    entry = one(chance, [entry for node in nodes(model) for entry in node.attribute])
    if entry is None:
        return None
    kind = onnx.AttributeProto
    match entry.type:
        case kind.INT:
            entry.i = number(chance)
        case kind.FLOAT:
            entry.f = real(chance)
        case kind.INTS if entry.ints:
            match chance.randrange(4):
                case 0:
                    entry.ints.append(number(chance))
                case 1:
                    entry.ints.pop()
                case 2:
                    entry.ints[:] = [chance.choice(EXTREME)] * len(entry.ints)
                case _:
                    entry.ints[chance.randrange(len(entry.ints))] = number(chance)
        case kind.FLOATS if entry.floats:
            entry.floats[chance.randrange(len(entry.floats))] = real(chance)
        case kind.STRING:
            entry.s = word(chance).encode("utf-8", "surrogatepass")
        case kind.STRINGS if entry.strings:
            entry.strings[chance.randrange(len(entry.strings))] = word(chance).encode("utf-8", "surrogatepass")
        case kind.TENSOR:
            entry.t.CopyFrom(numpy_helper.from_array(array(chance)))
        case _:
            return None
    return f"{entry.name} is {str(entry)[-120:]!r}"


@wound
def new_attribute(chance, model, folder):
    """A node has an attribute that its operation knows, with any value, or that it does not know."""
    if (node := one(chance, nodes(model))) is None:
        return None
    name = chance.choice((
        *("kernel_shape", "strides", "pads", "dilations", "group", "axis", "axes", "perm", "auto_pad", "ceil_mode"),
        *("alpha", "beta", "epsilon", "transA", "transB", "mode", "keepdims", "size", "to", "value", "allowzero"),
        *("num_outputs", "output_padding", "output_shape", "storage_order", "count_include_pad", "select_last_index"),
    ))  # fmt: skip
    names = [entry.name for entry in node.attribute]
    if name in names:
        del node.attribute[names.index(name)]
    value = chance.choice((
        number(chance), real(chance), word(chance), [number(chance) for _ in range(chance.choice((1, 2, 4)))],
        [chance.choice(MODEST) for _ in range(chance.choice((1, 2, 4)))],
    ))  # fmt: skip
    node.attribute.append(helper.make_attribute(name, value))
    return f"{node.op_type}.{name} is {str(value)[:60]!r}"


@wound
def lost_attribute(chance, model, folder):
    if (node := one(chance, [node for node in nodes(model) if node.attribute])) is None:
        return None
    entry = node.attribute.pop(chance.randrange(len(node.attribute)))
    return f"{node.op_type} has no {entry.name}"


@wound
def mistyped_attribute(chance, model, folder):
    entry = one(chance, [entry for node in nodes(model) for entry in node.attribute])
    if entry is None:
        return None
    entry.type = chance.choice(onnx.AttributeProto.AttributeType.values())
    return f"{entry.name} states type {entry.type}"
