"""Mutations of a model: each takes one that is well formed and makes it hostile in one way, in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz import networks
from tests.fuzz.cases import Chance
from tests.fuzz.damage import EXTREME, MODEST, number, real, word

Wound = Callable[[Chance, onnx.ModelProto, Path], str | None]
WOUNDS: dict[str, Wound] = {}
KINDS = tuple(TensorProto.DataType.values())
OPERATIONS = (
    *("Conv", "Gemm", "MatMul", "Relu", "MaxPool", "Softmax", "Add", "Mul", "Div", "Reshape", "Transpose", "Concat"),
    *("Split", "Slice", "Gather", "Pad", "Expand", "Tile", "Resize", "ReduceMean", "Flatten", "Squeeze", "Unsqueeze"),
    *("LRN", "Pow", "Sqrt", "Log", "Exp", "Clip", "Cast", "Where", "ConstantOfShape", "Range", "NonZero", "Shape"),
    *("Identity", "Loop", "If", "Scan", "Einsum", "GRU", "LSTM", "TopK", "ScatterND", "Col2Im", "RoiAlign", "OneHot"),
    *("ConvTranspose", "BatchNormalization", "LayerNormalization", "Attention", "QuantizeLinear", "DequantizeLinear"),
    *("CumSum", "Compress", "Unique", "RandomNormal", "Bernoulli", "Dropout", "StringConcat", "SequenceConstruct"),
    *(
        "LpNormalization",
        "MaxUnpool",
        "GridSample",
        "DFT",
        "Trilu",
        "DepthToSpace",
        "SpaceToDepth",
        "Upsample",
        "InstanceNormalization",
    ),
)


def wound(function: Wound) -> Wound:
    WOUNDS[function.__name__] = function
    return function


def copied(things):
    """Return copies, which live on when what they stand in is cleared."""
    copies = []
    for thing in things:
        copies.append(type(thing)())
        copies[-1].CopyFrom(thing)
    return copies


def nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    def below(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
        for node in graph.node:
            yield node
            for entry in node.attribute:
                if entry.HasField("g"):
                    yield from below(entry.g)

    inner = [node for function in model.functions for node in function.node]
    return [*below(model.graph), *inner]


def values(model: onnx.ModelProto) -> list[str]:
    made = [name for node in model.graph.node for name in node.output]
    return [*made, *(entry.name for entry in (*model.graph.initializer, *model.graph.input))] or ["x"]


def one(chance: Chance, things):
    things = list(things)
    return chance.choice(things) if things else None


# wires ----------------------------------------------------------------------------------------------------------------


@wound
def rewired(chance, model, folder):
    """An input of a node is another tensor, maybe one that comes later: a circle."""
    if (node := one(chance, nodes(model))) is None or not node.input:
        return None
    place = chance.randrange(len(node.input))
    node.input[place] = chance.choice([*values(model), "", "nowhere", *node.output])
    return f"{node.op_type} input {place} is {node.input[place]!r}"


@wound
def unwired(chance, model, folder):
    """Inputs or outputs are taken away, doubled or swapped."""
    if (node := one(chance, nodes(model))) is None:
        return None
    field = chance.choice([node.input, node.output])
    names = list(field)
    match chance.randrange(4):
        case 0:
            names = names[: chance.randrange(len(names) + 1)]
        case 1:
            names += names[:1] * chance.choice((1, 2, 40))
        case 2:
            chance.shuffle(names)
        case 3:
            names += [chance.choice(["", "extra", *values(model)])]
    del field[:]
    field.extend(names)
    return f"{node.op_type} has {list(node.input)} -> {list(node.output)}"


@wound
def renamed(chance, model, folder):
    """A tensor is called something strange wherever it stands."""
    old, new = chance.choice(values(model)), word(chance)
    for node in nodes(model):
        for field in (node.input, node.output):
            for place, name in enumerate(field):
                if name == old:
                    field[place] = new
    for entry in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if entry.name == old:
            entry.name = new
    return f"{old} is called {new[:40]!r}"


@wound
def misnamed(chance, model, folder):
    """One thing has another name than all that speak of it."""
    things = [*nodes(model), *model.graph.input, *model.graph.output, *model.graph.initializer, model.graph]
    thing = chance.choice(things)
    thing.name = chance.choice([word(chance), *values(model)])
    return f"a {type(thing).__name__} is called {thing.name[:40]!r}"


@wound
def without_a_node(chance, model, folder):
    if not model.graph.node:
        return None
    place = chance.randrange(len(model.graph.node))
    gone = model.graph.node.pop(place)
    if chance.happens(0.6) and gone.input and gone.output:
        for node in model.graph.node:
            for at, name in enumerate(node.input):
                if name == gone.output[0]:
                    node.input[at] = gone.input[0]
    return f"{gone.op_type} is gone"


@wound
def doubled_node(chance, model, folder):
    if not model.graph.node:
        return None
    chosen = copied([chance.choice(model.graph.node)])[0]
    if chance.happens(0.7):
        del chosen.output[:]
        chosen.output.append("again")
    model.graph.node.insert(chance.randrange(len(model.graph.node) + 1), chosen)
    return f"{chosen.op_type} stands twice"


@wound
def disordered(chance, model, folder):
    order = copied(model.graph.node)
    chance.shuffle(order)
    del model.graph.node[:]
    model.graph.node.extend(order)
    return "nodes are in disorder"


@wound
def inserted_node(chance, model, folder):
    """Some operation stands between two nodes, with constants of any kind beside."""
    if (node := one(chance, [node for node in model.graph.node if node.input])) is None:
        return None
    place = chance.randrange(len(node.input))
    operation = chance.choice(OPERATIONS)
    extra = []
    for number_ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        name = f"more{number_}.{len(model.graph.initializer)}"
        model.graph.initializer.append(numpy_helper.from_array(array(chance), name))
        extra.append(name)
    first = [node.input[place]] if chance.happens(0.9) else []
    output = f"inserted{len(model.graph.node)}"
    inserted = helper.make_node(operation, [*first, *extra], [output], **attributes(chance, operation))
    inserted.domain = chance.choice(("", "", "", "", "com.microsoft", "ai.onnx.ml", "elsewhere"))
    at = next(i for i, other in enumerate(model.graph.node) if other is node or other == node)
    node.input[place] = output
    model.graph.node.insert(at, inserted)
    return f"{inserted.domain}:{operation} stands before {node.op_type}"


def array(chance: Chance) -> np.ndarray:
    """Return a small array of edge values."""
    shape = tuple(chance.choice((0, 1, 1, 2, 3, 4, 8)) for _ in range(chance.choice((0, 1, 1, 2, 3, 4, 5))))
    kind = chance.choice(
        ("int64", "int64", "float32", "float32", "float32", "int32", "uint8", "bool", "float64", "float16")
    )
    size = int(np.prod(shape))
    if kind.startswith("float"):
        flat = [real(chance) if chance.happens(0.3) else chance.uniform(-2, 2) for _ in range(size)]
        with np.errstate(over="ignore"):
            return np.array(flat, "float64").astype(kind).reshape(shape)
    flat = [number(chance) if chance.happens(0.3) else chance.choice(MODEST) for _ in range(size)]
    return np.array([value & 0x7FFFFFFFFFFFFFFF for value in flat], "int64").astype(kind).reshape(shape)


def attributes(chance: Chance, operation: str) -> dict:
    """Return attributes that some operations take."""
    known = {
        "axis": lambda: number(chance),
        "axes": lambda: [chance.choice(MODEST) for _ in range(2)],
        "perm": lambda: chance.choice(([0, 3, 1, 2], [0, 0, 1, 2], [0, 1], [3, 2, 1, 9])),
        "keepdims": lambda: chance.choice((0, 1, 2)),
        "to": lambda: chance.choice(KINDS),
        "kernel_shape": lambda: [chance.choice((1, 2, 3, 0, -1, 2**31)) for _ in range(2)],
        "equation": lambda: chance.choice(("ij,jk->ik", "...i,...i", "bchw->bc", "ii", "", "ab,cd,ef->")),
        "size": lambda: chance.choice((1, 3, 0, -1, 2**31)),
        "blocksize": lambda: chance.choice((1, 2, 3, 0, -1, 2**20)),
        "mode": lambda: chance.choice(("linear", "nearest", "cubic", "reflect", "edge", "wrap", "DCR", "x")),
        "alpha": lambda: real(chance),
        "num_outputs": lambda: chance.choice((1, 2, 3, 0, -1, 1000)),
        "hidden_size": lambda: chance.choice((1, 4, 0, -1)),
    }
    by_operation = {
        "Cast": ["to"], "Einsum": ["equation"], "LRN": ["size"], "MaxPool": ["kernel_shape"], "Concat": ["axis"],
        "DepthToSpace": ["blocksize"], "SpaceToDepth": ["blocksize"], "Transpose": ["perm"], "GRU": ["hidden_size"],
        "LSTM": ["hidden_size"],
    }  # fmt: skip
    chosen = by_operation.get(operation, [])
    chosen = [*chosen, *chance.some(known, 0, 1)]
    return {name: known[name]() for name in chosen}


# sizes and types ------------------------------------------------------------------------------------------------------


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


# attributes -----------------------------------------------------------------------------------------------------------


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


# what a network survives ---------------------------------------------------------------------------------------


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


# the model ------------------------------------------------------------------------------------------------------------


@wound
def other_operation(chance, model, folder):
    if (node := one(chance, nodes(model))) is None:
        return None
    old = node.op_type
    node.op_type = chance.choice((*OPERATIONS, word(chance))) if chance.happens(0.8) else ""
    return f"{old} is {node.op_type[:30]!r}"


@wound
def other_domain(chance, model, folder):
    if (node := one(chance, nodes(model))) is None:
        return None
    node.domain = chance.choice(
        ("ai.onnx", "com.microsoft", "ai.onnx.ml", "com.microsoft.nchwc", "ai.onnx.training", word(chance))
    )
    return f"{node.op_type} is of {node.domain[:30]!r}"


@wound
def other_opset(chance, model, folder):
    if not model.opset_import or chance.happens(0.1):
        del model.opset_import[:]
        return "no operator set"
    entry = chance.choice(model.opset_import)
    match chance.randrange(4):
        case 0:
            entry.version = number(chance)
        case 1:
            model.opset_import.add(domain=chance.choice(("", "ai.onnx", word(chance))), version=chance.randrange(25))
        case _:
            entry.version = chance.randrange(1, 27)
    return f"operator sets {[(e.domain[:20], e.version) for e in model.opset_import]}"


@wound
def other_ir(chance, model, folder):
    model.ir_version = chance.choice((0, 1, 2, 3, 4, 9, 10, 11, 99, 2**31, -1))
    return f"IR version {model.ir_version}"


@wound
def metadata(chance, model, folder):
    """What the metadata says is no literal, a deep one, or not meant for classes of this number."""
    evil = (
        *("[" * 1000, "(" * 300 + ")" * 300, "{0: 'a', 1: 'b', 2: 'c', 3: 'd'}"),
        *("{0: '\x1b[31m', 1: '[red]', 2: 'x\\ny', 3: ''}"),
        *("__import__('os').system('id')", "{0: [1], 1: {}, 2: None, 3: 9}"),
        *("9" * 5000, "1" + "+1" * 5000, "-" * 3000 + "1"),
        *("{True: 'a', 1.0: 'b', 2: 'c', 3: 'd'}", "{[]: 1}", "b'bytes'"),
        *("{0: '" + "a" * 60_000 + "'}", "1e999", "-5", "[8, 8]"),
        *("['a', 'b', 'c', '\u202ed']", "[1, 2", "nan", "{'imgsz': 1}"),
        *("[99999999999, 1]", "null", "[-1, 0]", "\ud83d"),
    )  # fmt: skip
    key = chance.choice(
        ("names", "imgsz", "description", "Image.BitmapPixelFormat", "Image.NominalPixelRange", word(chance))
    )
    value = chance.choice((*evil, word(chance), "Bgr8", "Gray8", "NominalRange_0_255"))
    value = value.encode("utf-8", "replace").decode("utf-8")
    old = [entry for entry in model.metadata_props if entry.key == key]
    if old:
        old[0].value = value
    else:
        model.metadata_props.add(key=key.encode("utf-8", "replace").decode("utf-8"), value=value)
    return f"metadata {key[:20]!r} is {value[:40]!r}"


@wound
def said_by(chance, model, folder):
    text = word(chance).encode("utf-8", "replace").decode("utf-8")
    field = chance.choice(("producer_name", "producer_version", "domain", "doc_string"))
    setattr(model, field, text)
    return f"{field} is {text[:40]!r}"


@wound
def external(chance, model, folder):
    """A constant lies in a file beside the model, or in some other."""
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    content = entry.raw_data or bytes(64)
    (folder / "weights.bin").write_bytes(content + chance.randbytes(64))
    location = chance.choice((
        *("weights.bin", "weights.bin", "weights.bin", "./weights.bin"),
        *("../secret.bin", "/dev/zero", "/etc/passwd", "link.bin"),
        *("missing.bin", "", ".", "a/../weights.bin", "/proc/self/mem", "m.onnx", "pipe", word(chance)),
    ))  # fmt: skip
    location = location.encode("utf-8", "replace").decode("utf-8")
    if location == "link.bin":
        (folder / "link.bin").unlink(missing_ok=True)
        (folder / "link.bin").symlink_to(chance.choice(("/etc/passwd", "/dev/zero", "link.bin", "weights.bin")))
    if location == "pipe" and not (folder / "pipe").exists():
        import os

        os.mkfifo(folder / "pipe")
    entry.ClearField("raw_data")
    entry.data_location = TensorProto.EXTERNAL
    del entry.external_data[:]
    entry.external_data.add(key="location", value=location)
    for key in chance.some(("offset", "length", "checksum", "location"), 0, 3):
        edge = chance.choice(
            ("0", str(len(content)), str(number(chance)), "x", "", "1e3", "0x10", "-1", " 4", "99999999")
        )
        entry.external_data.add(key=key, value=edge)
    return f"{entry.name} lies in {[(e.key, e.value[:30]) for e in entry.external_data]}"


@wound
def recursive_function(chance, model, folder):
    """A function calls itself, or another that calls it, or there are very many."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    depth = chance.choice((1, 2, 2, 14, 40))
    names = [f"F{place}" for place in range(depth)]
    circle = chance.happens(0.6)
    for place, name in enumerate(names):
        calls = names[(place + 1) % depth] if circle or place + 1 < depth else None
        inner = (
            [networks.node(calls, "u", "t", "own"), networks.node(calls, "t", "o", "own")]
            if calls
            else [networks.node("Relu", "u", "o")]
        )
        model.functions.append(helper.make_function("own", name, ["u"], ["o"], inner, opsets))
    if not any(entry.domain == "own" for entry in model.opset_import):
        model.opset_import.add(domain="own", version=1)
    if model.graph.node and model.graph.node[-1].input:
        last = model.graph.node[-1]
        call = networks.node("F0", last.input[0] or "x", "called", "own")
        last.input[0] = "called"
        model.graph.node.insert(len(model.graph.node) - 1, call)
    return f"{depth} functions, {'in a circle' if circle else 'each calls the next twice'}"


@wound
def nested(chance, model, folder):
    """Conditions inside conditions."""
    depth = chance.choice((2, 8, 16))
    graph = helper.make_graph(
        [networks.node("Identity", "x", "deep")],
        "deep",
        [],
        [helper.make_tensor_value_info("deep", TensorProto.FLOAT, None)],
    )
    for level in range(depth):
        name = f"deep{level}"
        inner = helper.make_node(
            "If",
            ["truth"],
            [name],
            then_branch=graph,
            else_branch=networks.branches("x", {"else": "Abs"})["else_branch"],
        )
        graph = helper.make_graph([inner], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "truth"))
    model.graph.node.insert(0, graph.node[0])
    return f"conditions {depth} deep"


@wound
def many_nodes(chance, model, folder):
    count = chance.choice((50, 300, 1500))
    operation = chance.choice(("Identity", "Relu", "Neg", "Add"))
    name = "x"
    added = []
    for place in range(count):
        added.append(helper.make_node(operation, [name] * (2 if operation == "Add" else 1), [f"chain{place}"]))
        name = f"chain{place}"
    for node in model.graph.node:
        for at, entry in enumerate(node.input):
            if entry == "x":
                node.input[at] = name
    old = copied(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*added, *old])
    return f"{count} times {operation} before the rest"


@wound
def huge_constants(chance, model, folder):
    """Something is asked for in a size that no machine has."""
    if not model.graph.node or not model.graph.node[0].input:
        return None
    size = chance.choice((2**20, 2**28, 2**31, 2**33, 2**40, 2**62, -1))
    which = chance.choice(
        ("ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "OneHot", "RandomUniform", "EyeLike")
    )
    add = model.graph.initializer.append
    add(numpy_helper.from_array(np.array([size]), "huge"))
    add(numpy_helper.from_array(np.array(size), "huge0"))
    add(numpy_helper.from_array(np.array(0), "zero0"))
    add(numpy_helper.from_array(np.array(1), "one0"))
    add(numpy_helper.from_array(np.array([0.5], "float32"), "small"))
    add(numpy_helper.from_array(np.array([0, size]), "frame1"))
    add(numpy_helper.from_array(np.array([float(size)], "float32"), "factor1"))
    add(numpy_helper.from_array(np.array([], "float32"), "no_roi"))
    add(numpy_helper.from_array(np.array([0.0, 1.0], "float32"), "two"))
    forms = {
        "ConstantOfShape": (["huge"], {}), "Expand": (["small", "huge"], {}), "Tile": (["small", "huge"], {}),
        "Range": (["zero0", "huge0", "one0"], {}), "Pad": (["small", "frame1"], {}),
        "Resize": (["small", "no_roi", "factor1"], {"mode": "nearest"}),
        "OneHot": (["zero0", "huge0", "two"], {"axis": 0}),
        "RandomUniform": ([], {"shape": [size]}), "EyeLike": (["small"], {}),
    }  # fmt: skip
    inputs, given = forms[which]
    made = helper.make_node(which, inputs, ["big"], **given)
    kind = [helper.make_node("Cast", ["big"], ["bigf"], to=TensorProto.FLOAT)]
    end = [
        helper.make_node("ReduceMean", ["bigf"], ["mean"], keepdims=0),
        helper.make_node("Add", [model.graph.node[0].input[0], "mean"], ["shifted"]),
    ]
    model.graph.node[0].input[0] = "shifted"
    for place, node in enumerate((made, *kind, *end)):
        model.graph.node.insert(place, node)
    return f"{which} of {size}"


@wound
def endless(chance, model, folder):
    """A loop that goes on for ever, or very long."""
    body = networks.loop().graph.node[2].attribute[0].g
    times = chance.choice((10**6, 2**62, -1, 0))
    model.graph.initializer.append(numpy_helper.from_array(np.array(times), "times_"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "true_"))
    if not model.graph.node or not model.graph.node[0].input:
        return None
    looped = helper.make_node("Loop", ["times_", "true_", model.graph.node[0].input[0]], ["looped"], body=body)
    model.graph.node[0].input[0] = "looped"
    model.graph.node.insert(0, looped)
    return f"a loop of {times}"


@wound
def two_models(chance, model, folder):
    """Nodes of another network follow, with what they need."""
    other = networks.network(chance.choice(list(networks.OWN)))
    model.graph.node.extend(other.graph.node)
    model.graph.initializer.extend(other.graph.initializer)
    return "nodes of another network follow"


@wound
def sparse(chance, model, folder):
    if (entry := one(chance, model.graph.initializer)) is None:
        return None
    values_ = numpy_helper.from_array(np.ones(2, "float32"), entry.name)
    indices = numpy_helper.from_array(np.array([number(chance), 1]), "")
    model.graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=values_, indices=indices, dims=[max(0, d) for d in entry.dims])
    )
    if chance.happens(0.5):
        model.graph.initializer.remove(entry)
    return f"{entry.name} is sparse"


@wound
def quantisation_annotation(chance, model, folder):
    note = model.graph.quantization_annotation.add(tensor_name=chance.choice(values(model)))
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value=word(chance).encode("utf-8", "replace").decode())
    return "a note on quantisation"
