"""Files that onnxruntime's optimiser wrote, and files of local functions: explained as the file they were made from."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import UnsupportedModel

FLOAT = TensorProto.FLOAT
WIDTH, TOKENS = 16, 16


def constants(**shapes):
    random = np.random.default_rng(0)
    return {name: (random.normal(size=shape) / np.sqrt(shape[0])).astype("float32") for name, shape in shapes.items()}


def saved(path, nodes, values, *, opset=17, functions=(), domains=()):
    graph = helper.make_graph(
        [helper.make_node(*entry[:3], **(entry[3] if len(entry) > 3 else {})) for entry in nodes],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("logits", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions)), path)
    return path


def transformer(path, opset=17):
    """Write a block of attention, a sum, normalisation, a dense layer with GELU, another sum; the classes on top."""
    d = WIDTH
    values = constants(
        patch=(d, 3, 4, 4), q=(d, d), k=(d, d), v=(d, d), o=(d, d), up=(d, 2 * d), down=(2 * d, d), top=(d, 5),
        qb=(d,), kb=(d,), vb=(d,), ob=(d,), ub=(2 * d,), db=(d,), g1=(d,), b1=(d,), g2=(d,), b2=(d,), g3=(d,), b3=(d,),
    )  # fmt: skip
    values |= {
        "rows": np.array([1, d, TOKENS]), "heads": np.array([1, TOKENS, 2, d // 2]), "whole": np.array([1, TOKENS, d]),
        "scale": np.float32(np.sqrt(d // 2)), "root": np.float32(np.sqrt(2)), "one": np.float32(1),
        "half": np.float32(0.5),
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "patch"], ["p"], {"strides": [4, 4]}),
        ("Reshape", ["p", "rows"], ["r"]),
        ("Transpose", ["r"], ["t"], {"perm": [0, 2, 1]}),
        ("LayerNormalization", ["t", "g1", "b1"], ["n"]),
    ]
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            ("MatMul", ["n", name], [f"{name}m"]),
            ("Add", [f"{name}b", f"{name}m"], [f"{name}a"]),
            ("Reshape", [f"{name}a", "heads"], [f"{name}h"]),
            ("Transpose", [f"{name}h"], [f"{name}t"], {"perm": order}),
        ]
    nodes += [
        ("MatMul", ["qt", "kt"], ["s"]),
        ("Div", ["s", "scale"], ["sd"]),
        ("Softmax", ["sd"], ["a"], {"axis": -1}),
        ("MatMul", ["a", "vt"], ["y"]),
        ("Transpose", ["y"], ["yt"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["yt", "whole"], ["yr"]),
        ("MatMul", ["yr", "o"], ["om"]),
        ("Add", ["ob", "om"], ["oa"]),
        ("Add", ["oa", "t"], ["sum1"]),
        ("LayerNormalization", ["sum1", "g2", "b2"], ["n2"]),
        ("MatMul", ["n2", "up"], ["um"]),
        ("Add", ["ub", "um"], ["ua"]),
        ("Div", ["ua", "root"], ["ur"]),
        ("Erf", ["ur"], ["ue"]),
        ("Add", ["ue", "one"], ["u1"]),
        ("Mul", ["ua", "u1"], ["uu"]),
        ("Mul", ["uu", "half"], ["gelu"]),
        ("MatMul", ["gelu", "down"], ["dm"]),
        ("Add", ["db", "dm"], ["da"]),
        ("Add", ["da", "sum1"], ["sum2"]),
        ("LayerNormalization", ["sum2", "g3", "b3"], ["n3"]),
        ("ReduceMean", ["n3"], ["mean"], {"axes": [1], "keepdims": 0}),
        ("MatMul", ["mean", "top"], ["logits"]),
    ]
    return saved(path, nodes, values, opset=opset)


def convolutional(path):
    """Write convolutions with every activation that is fused into one, SiLU, and a sum."""
    values = constants(w1=(8, 3, 3, 3), w2=(8, 8, 3, 3), w3=(8, 8, 1, 1), w4=(8, 8, 1, 1), w5=(8, 8, 1, 1), v=(8, 5))
    nodes = [
        ("Conv", ["x", "w1"], ["c1"], {"strides": [2, 2]}),
        ("Relu", ["c1"], ["r1"]),
        ("Conv", ["r1", "w2"], ["c2"], {"pads": [1, 1, 1, 1]}),
        ("LeakyRelu", ["c2"], ["r2"], {"alpha": 0.2}),
        ("Conv", ["r2", "w3"], ["c3"]),
        ("HardSigmoid", ["c3"], ["r3"], {"alpha": 0.3, "beta": 0.4}),
        ("Conv", ["r3", "w4"], ["c4"]),
        ("Sigmoid", ["c4"], ["g4"]),
        ("Mul", ["c4", "g4"], ["r4"]),
        ("Conv", ["r4", "w5"], ["c5"]),
        ("Add", ["c5", "r1"], ["s5"]),
        ("Relu", ["s5"], ["r5"]),
        ("GlobalAveragePool", ["r5"], ["p"]),
        ("Flatten", ["p"], ["f"]),
        ("MatMul", ["f", "v"], ["logits"]),
    ]
    return saved(path, nodes, values)


def optimised(path, level):
    """Have onnxruntime write what it makes of a file; return the new one and its operations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    options.log_severity_level = 4
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    return options.optimized_model_filepath, {(node.domain, node.op_type) for node in graph.node}


PICTURE = np.random.default_rng(3).uniform(-1, 1, (1, 3, 16, 16)).astype("float32")
FORMS = {
    "transformer": (transformer, {"SkipLayerNormalization", "FusedMatMul"}),
    "convolutional": (convolutional, {"FusedConv", "QuickGelu"}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["deep-taylor", "gradient", "lrp-epsilon"])
def test_optimised_files_have_the_same_maps(tmp_path, form, method):
    write, fused = FORMS[form]
    path = write(tmp_path / "m.onnx")
    other, operations = optimised(path, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    assert fused <= {name for domain, name in operations if domain}, operations
    for engine in ("numpy", "compiled"):
        one, two = (
            heatcli.load(file, range=(-1, 1), engine=engine).explain(PICTURE, method=method) for file in (path, other)
        )
        assert two.score == pytest.approx(one.score, rel=1e-5)
        np.testing.assert_allclose(two.relevance, one.relevance, atol=1e-4 * np.abs(one.relevance).max())


def test_blocked_layout_is_refused_with_what_to_do(tmp_path):
    path, operations = optimised(convolutional(tmp_path / "m.onnx"), ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    if not any(domain.endswith("nchwc") for domain, _ in operations):
        pytest.skip("onnxruntime writes no blocked layout on this processor")
    with pytest.raises(UnsupportedModel, match="re-export without layout optimisation"):
        heatcli.load(path).network.require_layers()


def test_local_functions_are_inlined(tmp_path):
    """A function of the file's own stands for its nodes, one that calls another too."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = [helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["b"])]
    outer = [helper.make_node("Conv", ["a", "w"], ["v"]), helper.make_node("Gate", ["v"], ["c"], domain="own")]
    gate = helper.make_function("own", "Gate", ["a"], ["b"], inner, opsets)
    block = helper.make_function("own", "Block", ["a", "w"], ["c"], outer, opsets)
    values = constants(w1=(8, 3, 3, 3), v=(8, 5))
    end = [("GlobalAveragePool", ["b"], ["p"]), ("Flatten", ["p"], ["f"]), ("MatMul", ["f", "v"], ["logits"])]
    called = saved(tmp_path / "called.onnx", [("Block", ["x", "w1"], ["b"], {"domain": "own"}), *end], values,
                   functions=(gate, block), domains=("own",))  # fmt: skip
    plain = saved(tmp_path / "plain.onnx", [("Conv", ["x", "w1"], ["c"]), ("Sigmoid", ["c"], ["s"]),
                                            ("Mul", ["c", "s"], ["b"]), *end], values)  # fmt: skip
    one, two = (heatcli.load(path, range=(-1, 1)).explain(PICTURE) for path in (called, plain))
    np.testing.assert_array_equal(one.relevance, two.relevance)
    assert one.score > 0
