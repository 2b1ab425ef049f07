"""Small networks without fault, of all kinds in which classifiers come: what is mutated."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.network import quantised_table
from tests.network.test_operations import CASES, proto_of

FLOAT, INT64, UINT8, HALF = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8, TensorProto.FLOAT16
CLASSES = 4
Array = np.ndarray


def f(*shape: int, seed: int = 0) -> Array:
    return (np.random.default_rng([seed, *shape]).normal(size=shape) * 0.4).astype("float32")


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def node(operation: str, inputs: str, outputs: str, domain: str = "", **attributes) -> onnx.NodeProto:
    return helper.make_node(operation, inputs.split(), outputs.split(), outputs.split()[0], domain=domain, **attributes)


def model(nodes, constants, *, shape=(1, 3, 8, 8), kind=FLOAT, outputs=None, opset=17, inputs=(), functions=()):
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, list(shape)), *inputs],
        outputs or [helper.make_tensor_value_info("y", FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    domains = {"": opset, "com.microsoft": 1, "ai.onnx.ml": 3, **({"own": 1} if functions else {})}
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))
    made.metadata_props.add(key="names", value=str(dict(enumerate("abcd"))))
    made.metadata_props.add(key="imgsz", value="[8, 8]")
    return made


CONV = {"w": f(4, 3, 3, 3), "b": f(4)}
HEAD = {"v": f(4, CLASSES, seed=3), "c": np.float32([0.4, 0.3, 0.2, 0.1])}
TAIL = [node("GlobalAveragePool", "h", "g"), node("Flatten", "g", "r"), node("Gemm", "r v c", "y")]


def plain():
    return model([node("Conv", "x w b", "a", pads=[1, 1, 1, 1]), node("Relu", "a", "h"), *TAIL], CONV | HEAD)


def pooled():
    nodes = [
        node("Conv", "x w b", "a", kernel_shape=[3, 3], strides=[1, 1], dilations=[1, 1], group=1, pads=[1, 1, 1, 1]),
        node("Relu", "a", "r0"),
        node("MaxPool", "r0", "m", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1),
        node("Conv", "m w2 b2", "k", auto_pad="SAME_UPPER"),
        node("LeakyRelu", "k", "l", alpha=0.1),
        node("AveragePool", "l", "h", kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1),
        node("Reshape", "h shape", "r"),
        node("Gemm", "r v c", "z", transB=1),
        node("Softmax", "z", "y", axis=1),
    ]
    more = {"w2": f(4, 4, 3, 3), "b2": f(4), "shape": ints(0, -1), "v": f(CLASSES, 16), "c": f(CLASSES)}
    return model(nodes, CONV | more)


def residual():
    nodes = [
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s t m q", "n", epsilon=1e-3),
        node("Relu", "n", "p"),
        node("Conv", "p w2", "k", pads=[1, 1, 1, 1]),
        node("Add", "k p", "z"),
        node("Relu", "z", "h"),
        *TAIL,
    ]
    normal = {"s": f(4) + 1, "t": f(4), "m": f(4, seed=2), "q": np.abs(f(4)) + 0.5, "w2": f(4, 4, 3, 3)}
    return model(nodes, CONV | HEAD | normal, shape=("n", 3, 8, 8))


def depthwise():
    nodes = [
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("Clip", "a lo hi", "k"),
        node("Conv", "k d", "e", pads=[1, 1, 1, 1], group=4, strides=[2, 2]),
        node("HardSwish", "e", "u"),
        node("GlobalAveragePool", "u", "q"),
        node("Conv", "q e1", "q1"),
        node("Sigmoid", "q1", "q2"),
        node("Mul", "u q2", "h"),
        *TAIL,
    ]
    more = {"lo": np.float32(0), "hi": np.float32(6), "d": f(4, 1, 3, 3), "e1": f(4, 4, 1, 1)}
    return model(nodes, CONV | HEAD | more)


def transformer():
    nodes = [
        node("Conv", "x w b", "a", strides=[4, 4]),
        node("Reshape", "a s", "p"),
        node("Transpose", "p", "t", perm=[0, 2, 1]),
        node("Concat", "token t", "e0", axis=1),
        node("Add", "e0 places", "e"),
        node("LayerNormalization", "e gain shift", "n"),
        node("MatMul", "n wq", "q"),
        node("MatMul", "n wk", "k"),
        node("MatMul", "n wv", "val"),
        node("Transpose", "k", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "qk"),
        node("Mul", "qk scale", "qs"),
        node("Softmax", "qs", "at", axis=-1),
        node("MatMul", "at val", "o"),
        node("Add", "o e", "u"),
        node("Gelu", "u", "ge"),
        node("Gather", "ge first", "r", axis=1),
        node("Gemm", "r v c", "y"),
    ]
    square = {name: f(4, 4, seed=place) for place, name in enumerate(("wq", "wk", "wv"))}
    more = {
        "w": f(4, 3, 4, 4), "b": f(4), "s": ints(0, 4, -1), "token": f(1, 1, 4), "places": f(1, 5, 4), "gain": f(4) + 1,
        "shift": f(4), "scale": np.float32(0.5), "first": np.array(0), **square,
    }  # fmt: skip
    return model(nodes, more | HEAD, opset=20)


def quantised():
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("DequantizeLinear", "w ws wz", "wd", axis=0),
        node("Conv", "d wd b", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "p"),
        node("QuantizeLinear", "p s z", "q2"),
        node("DequantizeLinear", "q2 s z", "h"),
        *TAIL,
    ]
    whole = np.random.default_rng(0).integers(-90, 90, (4, 3, 3, 3)).astype("int8")
    more = {"s": np.float32(0.03), "z": np.uint8(90), "w": whole, "ws": np.float32([0.01] * 4), "wz": np.int8([0] * 4)}
    return model(nodes, {"b": f(4)} | HEAD | more)


def raw_bytes():
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Cast", "t", "k", to=FLOAT),
        node("Sub", "k mean", "m"),
        node("Div", "m std", "n"),
        node("Conv", "n w b", "a"),
        node("Relu", "a", "h"),
        *TAIL,
    ]
    more = {"mean": np.float32([120, 110, 100]).reshape(3, 1, 1), "std": np.float32(60)}
    made = model(nodes, CONV | HEAD | more, shape=(1, 8, 8, 3), kind=UINT8)
    del made.metadata_props[:]  # which ask for another preprocessing
    return made


def half():
    made = plain()
    for entry in made.graph.initializer:
        entry.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(entry).astype("float16"), entry.name))
    for entry in (*made.graph.input, *made.graph.output):
        entry.type.tensor_type.elem_type = HALF
    return made


def tree():
    nodes = [
        helper.make_node(
            "TreeEnsembleClassifier",
            ["x"],
            ["label", "y"],
            domain="ai.onnx.ml",
            nodes_treeids=[0, 0, 0],
            nodes_nodeids=[0, 1, 2],
            nodes_featureids=[2, 0, 0],
            nodes_values=[0.1, 0.0, 0.0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids=[1, 0, 0],
            nodes_falsenodeids=[2, 0, 0],
            class_treeids=[0, 0],
            class_nodeids=[1, 2],
            class_ids=[0, 1],
            class_weights=[0.7, 0.6],
            classlabels_int64s=[0, 1],
            post_transform="NONE",
        )
    ]
    outputs = [
        helper.make_tensor_value_info("label", INT64, ["n"]),
        helper.make_tensor_value_info("y", FLOAT, ["n", 2]),
    ]
    return model(nodes, {}, shape=("n", 6), outputs=outputs)


def linear():
    nodes = [
        helper.make_node("Scaler", ["x"], ["e"], domain="ai.onnx.ml", offset=[0.1] * 6, scale=[0.5] * 6),
        helper.make_node(
            "LinearClassifier", ["e"], ["label", "s"], domain="ai.onnx.ml",
            coefficients=f(3, 6).reshape(-1).tolist(), intercepts=[0.5, 0.2, 0.1],
            classlabels_strings=["a", "b", "c"], post_transform="SOFTMAX", multi_class=1,
        ),
        helper.make_node("Normalizer", ["s"], ["p"], domain="ai.onnx.ml", norm="L1"),
        helper.make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_strings=["a", "b", "c"]),
    ]  # fmt: skip
    outputs = [onnx.ValueInfoProto(name="y"), helper.make_tensor_value_info("label", TensorProto.STRING, ["n"])]
    outputs[0].type.sequence_type.elem_type.map_type.key_type = TensorProto.STRING
    outputs[0].type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = FLOAT
    return model(nodes, {}, shape=("n", 6), outputs=outputs[::-1])


def local_function():
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = helper.make_function(
        "own", "Act", ["u"], ["o"], [node("Sigmoid", "u", "g"), node("Mul", "u g", "o")], opsets
    )
    outer = helper.make_function(
        "own", "Block", ["u", "k"], ["o"], [node("Conv", "u k", "t", pads=[1, 1, 1, 1]), node("Act", "t", "o", "own")],
        opsets,
    )  # fmt: skip
    return model([node("Block", "x w", "h", "own"), *TAIL], CONV | HEAD, functions=[inner, outer])


def branches(name: str, operations: dict[str, str]) -> dict:
    return {
        f"{branch}_branch": helper.make_graph(
            [node(operation, name, f"{branch}_out")],
            branch,
            [],
            [helper.make_tensor_value_info(f"{branch}_out", FLOAT, None)],
        )
        for branch, operation in operations.items()
    }  # fmt: skip


def condition():
    nodes = [
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("ReduceMean", "a", "m", keepdims=0),
        node("Greater", "m zero", "yes"),
        node("If", "yes", "h", **branches("a", {"then": "Relu", "else": "Abs"})),
        *TAIL,
    ]
    return model(nodes, CONV | HEAD | {"zero": np.float32(0)})


def loop():
    body = helper.make_graph(
        [node("Identity", "on", "on_out"), node("Mul", "state factor", "state_out")],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [helper.make_tensor_value_info("on_out", TensorProto.BOOL, []),
         helper.make_tensor_value_info("state_out", FLOAT, None)],
        [numpy_helper.from_array(np.float32(0.9), "factor")],
    )  # fmt: skip
    nodes = [
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "p"),
        node("Loop", "times true p", "h", body=body),
        *TAIL,
    ]
    return model(nodes, CONV | HEAD | {"times": np.array(3), "true": np.array(True)})


def several_inputs():
    nodes = [
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("Mul", "a factor", "k"),
        node("Relu", "k", "h"),
        *TAIL,
    ]
    return model(nodes, CONV | HEAD, inputs=[helper.make_tensor_value_info("factor", FLOAT, [1, 4, 1, 1])])


def fixed_batch():
    made = plain()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    return made


def open_sizes():
    return model(
        [node("Conv", "x w b", "a", pads=[1, 1, 1, 1]), node("Relu", "a", "h"), *TAIL],
        CONV | HEAD,
        shape=("batch", "channels", "height", "width"),
    )


def made_inside():
    """Constants and shapes that the graph computes itself."""
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s two four", "hw"),
        node("ConstantOfShape", "kernel", "w", value=numpy_helper.from_array(np.float32([0.1]))),
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("Constant", "", "k", value=numpy_helper.from_array(np.float32(0.5))),
        node("Mul", "a k", "a2"),
        node("Resize", "a2 none none2 sizes", "up", mode="linear"),
        node("Pad", "up frame", "pd", mode="constant"),
        node("Tile", "pd twice", "td"),
        node("Range", "from to step", "range"),
        node("Gather", "td range", "ga", axis=1),
        node("Slice", "ga two2 six axes", "sl"),
        node("Expand", "sl wide", "ex"),
        node("Relu", "ex", "h"),
        *TAIL,
    ]
    nodes[4].input.pop() if nodes[4].input else None
    more = {
        "two": ints(2), "four": ints(4), "kernel": ints(4, 3, 3, 3), "none": np.zeros(0, "float32"),
        "none2": np.zeros(0, "float32"), "sizes": ints(1, 4, 12, 12), "frame": ints(0, 0, 1, 1, 0, 0, 1, 1),
        "twice": ints(1, 1, 1, 2), "from": np.array(0), "to": np.array(4), "step": np.array(1), "two2": ints(2),
        "six": ints(9), "axes": ints(2), "wide": ints(1, 4, 7, 28), "b": f(4),
    }  # fmt: skip
    return model(nodes, more | HEAD)


def row():
    return model(
        [node("Gemm", "x w b", "a"), node("Tanh", "a", "h"), node("MatMul", "h v", "m"), node("Add", "m c", "z"),
         node("Sigmoid", "z", "y")],
        {"w": f(6, 4), "b": f(4)} | HEAD,
        shape=("n", 6),
    )  # fmt: skip


def signal():
    nodes = [
        node("Conv", "x w b", "a", pads=[2, 2], strides=[2]),
        node("Relu", "a", "p"),
        node("MaxPool", "p", "m", kernel_shape=[2], strides=[2]),
        node("ReduceMean", "m", "r", axes=[2], keepdims=0),
        node("Gemm", "r v c", "y"),
    ]
    return model(nodes, {"w": f(4, 2, 5), "b": f(4)} | HEAD, shape=(1, 2, 32))


OWN = {
    made.__name__: made
    for made in (
        *(plain, pooled, residual, depthwise, transformer, quantised, raw_bytes, half, tree, linear, local_function),
        *(condition, loop, several_inputs, fixed_batch, open_sizes, made_inside, row, signal),
    )
}
TABLES = {
    **{f"operation {name}": name for name in CASES},
    **{f"quantised {name}": name for name in quantised_table.TABLE},
}


def network(name: str) -> onnx.ModelProto:
    """Return one of ``OWN`` or ``TABLES`` by name, made anew."""
    if name in OWN:
        return OWN[name]()
    kind, _, case = name.partition(" ")
    if kind == "operation":
        return proto_of(CASES[case], zlib.crc32(case.encode()))
    twins = quantised_table.TABLE[case]
    nodes = [*twins.quantised, *quantised_table.head("y", twins.size)]
    return quantised_table.model(nodes, opset=twins.opset)
