"""The model as a whole: versions, metadata, files beside it, functions, bombs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz import networks
from tests.fuzz.damage import number, word
from tests.fuzz.wounds.registry import OPERATIONS, copied, nodes, one, values, wound


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
