"""What a network often survives, so that it is explained: windows, operations between others, thinned constants."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from tests.fuzz.wounds.registry import copied, nodes, one, wound


@wound
def other_window(chance, model, folder):
    """Convolutions and pools have other, possible windows."""
    windowed = [node for node in nodes(model) if node.op_type in ("Conv", "MaxPool", "AveragePool", "ConvTranspose")]
    if (node := one(chance, windowed)) is None:
        return None
    name = chance.choice(("pads", "strides", "dilations", "auto_pad", "ceil_mode", "count_include_pad", "group"))
    values_ = {
        "pads": [chance.choice((0, 1, 2)) for _ in range(4)],
        "strides": [chance.choice((1, 2, 3)) for _ in range(2)],
        "dilations": [chance.choice((1, 2)) for _ in range(2)],
        "auto_pad": chance.choice(("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")),
        "ceil_mode": 1,
        "count_include_pad": chance.choice((0, 1)),
        "group": chance.choice((1, 2, 4)),
    }
    gone = {name, "pads"} if name == "auto_pad" else {name}
    kept = [entry for entry in copied(node.attribute) if entry.name not in gone]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, values_[name])])
    return f"{node.op_type}.{name} is {values_[name]}"


@wound
def put_between(chance, model, folder):
    """An operation that keeps the shape stands between two nodes."""
    if (node := one(chance, [node for node in model.graph.node if node.input])) is None:
        return None
    operation = chance.choice((
        *("Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Sqrt", "Exp", "Log", "Softplus", "Sign", "Elu", "Selu"),
        *("LeakyRelu", "HardSigmoid", "HardSwish", "Identity", "Dropout", "Softmax", "LogSoftmax", "Reciprocal", "Erf"),
        *("Softsign", "Round", "Floor", "Not", "IsNaN", "Cast", "CumSum", "ReduceMean", "ReduceMax", "LRN", "Clip"),
    ))  # fmt: skip
    given = {"Cast": {"to": chance.choice((1, 10, 11, 6, 9))}, "ReduceMean": {"keepdims": 1}, "LRN": {"size": 3}}
    name = f"between{len(model.graph.node)}"
    made = helper.make_node(operation, [node.input[0]], [name], **given.get(operation, {}))
    if operation == "CumSum":
        model.graph.initializer.append(numpy_helper.from_array(np.array(1), "axis1"))
        made.input.append("axis1")
    at = next(i for i, other in enumerate(model.graph.node) if other == node)
    node.input[0] = name
    model.graph.node.insert(at, made)
    return f"{operation} stands before {node.op_type}"


@wound
def thinned_constant(chance, model, folder):
    """Rows of a constant are zero, negative, tiny or large: denominators vanish, or nearly."""
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    try:
        old = np.array(numpy_helper.to_array(entry))
    except Exception:
        return None
    if old.dtype.kind != "f" or not old.ndim or not old.size:
        return None
    factor = chance.choice((0.0, -1.0, 1e-20, 1e-30, -1e-6, 1e4, 1e10, -1e4))
    axis = chance.randrange(old.ndim)
    chosen = chance.numbers.random(old.shape[axis]) < chance.choice((0.3, 0.7, 1.0))
    moved = np.moveaxis(old, axis, 0)
    with np.errstate(all="ignore"):
        moved[chosen] = moved[chosen] * factor
        entry.CopyFrom(numpy_helper.from_array(old, entry.name))
    return f"{entry.name} has rows times {factor}"


@wound
def joined(chance, model, folder):
    """Two tensors of the network are merged before a node."""
    made = [(at, name) for at, node in enumerate(model.graph.node) for name in node.output if name]
    if (node := one(chance, [node for node in model.graph.node if node.input])) is None or not made:
        return None
    at = next(i for i, other in enumerate(model.graph.node) if other == node)
    before = [name for place, name in made if place < at] + ["x"]
    operation = chance.choice(("Add", "Mul", "Sub", "Div", "Max", "Min", "Mean", "MatMul", "Concat", "Where", "Pow"))
    given = {"axis": 1} if operation == "Concat" else {}
    name = f"joined{len(model.graph.node)}"
    inputs = [node.input[0], chance.choice(before)]
    if chance.happens(0.3):
        inputs[1] = inputs[0]
    if operation == "Where":
        model.graph.initializer.append(numpy_helper.from_array(np.array(chance.happens(0.5)), "which"))
        inputs.insert(0, "which")
    model.graph.node.insert(at, helper.make_node(operation, inputs, [name], **given))
    node.input[0] = name
    return f"{operation} of {inputs} stands before {node.op_type}"
