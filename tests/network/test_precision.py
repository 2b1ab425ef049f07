"""Half and double precision: read in float32, with the answer of the same network in float32."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli

FLOAT = TensorProto.FLOAT
KINDS = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float64": TensorProto.DOUBLE,
}


def network(path, kind, *, ends):
    """Write a small network whose inside is in ``kind``; its two ``ends`` too, or in float32 behind casts."""
    random = np.random.default_rng(0)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    values = {
        "w": random.normal(size=(4, 3, 3, 3)),
        "b": random.normal(size=4),
        "v": random.normal(size=(144, 5)),
        "scale": np.asarray(0.5),
    }
    outer = kind if ends else FLOAT
    front = [] if ends else [helper.make_node("Cast", ["x"], ["h"], to=kind)]
    end = "logits" if ends else "l"
    nodes = [
        *front,
        helper.make_node("Conv", ["x" if ends else "h", "w", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.asarray(2, dtype))),
        helper.make_node("Mul", ["r", "two"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("MatMul", ["f", "v"], ["d"]),
        helper.make_node("Mul", ["d", "scale"], [end]),
        *([] if ends else [helper.make_node("Cast", ["l"], ["logits"], to=FLOAT)]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", outer, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", outer, [1, 5])],
        [numpy_helper.from_array(value.astype(dtype), name) for name, value in values.items()],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path, {name: value.astype(dtype).astype(np.float64) for name, value in values.items()}


def by_hand(values, x):
    """Return the activations and class scores in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.float64), (3, 3), axis=(1, 2))
    c = np.einsum("chwij,ocij->ohw", windows, values["w"]) + values["b"][:, None, None]
    return (2 * np.maximum(c, 0)).reshape(-1) @ values["v"] * 0.5


@pytest.mark.parametrize("ends", [True, False], ids=["throughout", "inside"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_precisions(tmp_path, kind, ends):
    path, values = network(tmp_path / "m.onnx", KINDS[kind], ends=ends)
    same, _ = network(tmp_path / "same.onnx", FLOAT, ends=True)
    for entry in (model := onnx.load(same)).graph.initializer:
        entry.CopyFrom(numpy_helper.from_array(values[entry.name].astype(np.float32), entry.name))
    onnx.save(model, same)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 3, 8, 8)).astype("float32")
    explainer = heatcli.load(path, range=(-1, 1))
    assert explainer.network.input.dtype == "float32"
    assert any(f"computes in {kind}" in note for note in explainer.notes)
    found, expected = explainer.explain(x), heatcli.load(same, range=(-1, 1)).explain(x)
    assert found.score == pytest.approx(by_hand(values, x)[found.target], rel=1e-5)
    np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-6 * expected.relevance.max())
    compiled = heatcli.load(path, range=(-1, 1), engine="compiled").explain(x)
    np.testing.assert_allclose(compiled.relevance, found.relevance, atol=1e-5 * found.relevance.max())
    if kind == "float16":  # onnxruntime has no convolution in the others
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        (plain,) = session.run(None, {"x": x.astype(kind) if ends else x})
        np.testing.assert_allclose(found.score, plain.reshape(-1)[found.target], rtol=5e-3)
