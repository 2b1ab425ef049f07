"""Files that take sixteen pictures at a time: what the first row says is what one picture gets."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

import heatcli
from heatcli import network
from heatcli.forward import Forward
from tests.whole import End, explained, f, node, plain, save, scores

one_picture = import_module("heatcli.network.one_picture")

BATCH = 16
CONV = {"w": f(8, 3, 3, 3), "b": f(8) * 0.1, "v": f(72, 5), "c": f(5)}
FRONT = [node("Conv", "x w b", "conv", strides=[2, 2]), node("Relu", "conv", "relu")]
ENDS = {"logits": "Identity", "softmax": "Softmax"}

WAYS = {
    "sizes that count the pictures": (
        [*FRONT, node("Reshape", "relu sizes", "row"), node("Gemm", "row v c", "z")],
        {**CONV, "sizes": np.array([BATCH, -1])},
    ),
    "sizes of pictures times places": (
        [
            *FRONT,
            node("Transpose", "relu", "last", perm=[0, 2, 3, 1]),
            node("Reshape", "last places", "tokens"),
            node("MatMul", "tokens u", "m"),
            node("Relu", "m", "r"),
            node("Reshape", "r sizes", "row"),
            node("Gemm", "row v c", "z"),
        ],
        {**CONV, "places": np.array([BATCH * 9, 8]), "u": f(8, 8), "sizes": np.array([BATCH, 72])},
    ),
    "a token repeated for every picture": (
        [
            *FRONT,
            node("Reshape", "relu grid", "flat"),
            node("Transpose", "flat", "tokens", perm=[0, 2, 1]),
            node("Concat", "token tokens", "all", axis=1),
            node("Add", "all places", "placed"),
            node("ReduceMean", "placed", "row", axes=[1], keepdims=0),
            node("Gemm", "row u c", "z"),
        ],
        {
            **CONV,
            "grid": np.array([BATCH, 8, 9]),
            "token": np.repeat(f(1, 1, 8), BATCH, axis=0),
            "places": np.repeat(f(1, 10, 8), BATCH, axis=0),
            "u": f(8, 5),
        },
    ),
    "as many channels as pictures": (
        [
            node("Conv", "x w b", "conv", strides=[2, 2]),
            node("Mul", "conv same", "scaled"),
            node("Relu", "scaled", "relu"),
            node("Reshape", "relu sizes", "row"),
            node("Gemm", "row v c", "z"),
        ],
        {
            **CONV,
            "w": f(16, 3, 3, 3),
            "b": f(16),
            "same": np.full((16, 1, 1), 0.5, "float32"),
            "v": f(144, 5),
            "sizes": np.array([BATCH, -1]),
        },
    ),
    "pictures behind the channels": (  # nothing says which 16 counts pictures
        [
            *FRONT,
            node("Transpose", "relu", "last", perm=[1, 2, 3, 0]),
            node("Reshape", "last sizes", "columns"),
            node("Transpose", "columns", "row", perm=[1, 0]),
            node("MatMul", "row v", "m"),
            node("Add", "m c", "z"),
        ],
        {**CONV, "sizes": np.array([72, BATCH])},
    ),
}
PADDED = ("pictures behind the channels",)


def written(path, way, end="logits", shape=(BATCH, 3, 7, 7), kind=TensorProto.FLOAT):
    nodes, constants = WAYS[way]
    last = node(ENDS[end], "z", "y", **({"axis": 1} if end == "softmax" else {}))
    return save(path, [*nodes, last], [End("x", list(shape), kind)], [End("y", [BATCH, 5])], constants)


def padded(x):
    return np.concatenate([x, np.zeros((BATCH - 1, *x.shape[1:]), x.dtype)])


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(size=(1, 3, 7, 7)).astype("float32")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_first_row_of_the_untouched_file(tmp_path, picture, way, end):
    path = written(tmp_path / "m.onnx", way, end)
    logits = plain(written(tmp_path / "bare.onnx", way), x=padded(picture))["y"][0]
    explainer = heatcli.load(path)
    assert explainer.network.input.shape == (1, 3, 7, 7)
    found, chances = scores(explainer, picture)
    np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-5)
    powers = np.exp(logits - logits.max())
    np.testing.assert_allclose(chances, powers / powers.sum(), rtol=1e-4, atol=1e-6)
    (note,) = (note for note in explainer.notes if "16 pictures at a time" in note)
    assert ("15 empty ones" in note) == (way in PADDED)
    assert (explainer.network.output.declared, explainer.network.output.classes) == ("y", 5)


@pytest.mark.parametrize("method", ["deep-taylor", "lrp-epsilon", "gradient"])
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_padded_pictures_take_no_relevance(tmp_path, picture, monkeypatch, engine, method):
    """The same network on one picture and on sixteen, of which fifteen are empty: the map is the same."""
    path = written(tmp_path / "m.onnx", "sizes that count the pictures")
    explained_alone = heatcli.load(path, engine=engine)
    monkeypatch.setattr(one_picture, "divided", lambda *_: None)
    among = heatcli.load(path, engine=engine)
    assert among.network.shapes["relu"] == (BATCH, 8, 3, 3)
    for target in (0, 1, 2):
        one, other = (explained(each, picture, target, method=method) for each in (explained_alone, among))
        assert one.score == pytest.approx(other.score, rel=1e-5)
        assert other.relevance.shape == (3, 7, 7)
        atol = 1e-5 * np.abs(one.relevance).max(initial=0)
        np.testing.assert_allclose(other.relevance, one.relevance, rtol=1e-4, atol=atol)
        assert other.ledger.constants in (None, pytest.approx(0, abs=1e-6))


def test_gradient_of_the_padded_network_is_the_slope(tmp_path, picture):
    path = written(tmp_path / "m.onnx", "pictures behind the channels")
    gradient = heatcli.load(path, precision="float64").explain(picture, target=3, method="gradient").relevance
    direction = gradient / np.linalg.norm(gradient)
    ahead, behind = (plain(path, x=padded(picture + step * direction))["y"][0, 3] for step in (1e-2, -1e-2))
    assert (ahead - behind) / 2e-2 == pytest.approx(np.linalg.norm(gradient), rel=0.02)


def test_a_pretended_division_is_found_out(tmp_path, picture):
    """Sizes that can be divided, and mean another thing afterwards: rows take turns in what they hold."""
    constants = {**CONV, "turns": np.array([16, 9, -1]), "sizes": np.array([BATCH, 72])}
    nodes = [
        *FRONT,
        node("Transpose", "relu", "last", perm=[2, 3, 1, 0]),
        node("Reshape", "last turns", "mixed"),
        node("Reshape", "mixed sizes", "row"),
        node("Gemm", "row v c", "y"),
    ]
    path = save(tmp_path / "m.onnx", nodes, [End("x", [BATCH, 3, 7, 7])], [End("y", [BATCH, 5])], constants)
    explainer = heatcli.load(path)
    np.testing.assert_allclose(
        scores(explainer, picture)[0], plain(path, x=padded(picture))["y"][0], rtol=1e-5, atol=1e-5
    )
    assert any("15 empty ones" in note for note in explainer.notes)


@pytest.mark.parametrize(
    ("shape", "output", "layout", "settled"),
    [
        ([16, 20], [16, 3], "flat", (1, 20)),
        ([16, 20, 1], [16, 3], "flat", (1, 20, 1)),
        ([16, 20], [16], "HW", (16, 20)),
        ([20, 20], [1, 3], "HW", (20, 20)),
        ([16, 3, 8, 8], ["n", 3], "NCHW", (1, 3, 8, 8)),
        ([16, 8, 8, 3], [16, 3], "NHWC", (1, 8, 8, 3)),
    ],
)
def test_what_counts_pictures(shape, output, layout, settled):
    simplify = import_module("heatcli.network.simplify")
    graph = onnx.helper.make_graph(
        [],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, shape)],
        [onnx.helper.make_tensor_value_info("y", 1, output)],
    )
    model = onnx.helper.make_model(graph)
    batch = one_picture.batch_of(model)
    spec, _ = simplify.settle_input(model, None, None, None, batch=batch)
    assert (spec.layout, spec.shape) == (layout, settled)


def test_control_flow_gets_empty_pictures(tmp_path, picture):
    """A branch reads the picture from outside: it sees all sixteen, and its graph stays as it is."""
    value = onnx.helper.make_tensor_value_info
    branches = {
        f"{name}_branch": onnx.helper.make_graph([node(operation, "x two", "out")], name, [], [value("out", 1, None)])
        for name, operation in (("then", "Mul"), ("else", "Sub"))
    }
    nodes = [
        node("ReduceSum", "x", "total", keepdims=0),
        node("Greater", "total zero", "bright"),
        onnx.helper.make_node("If", ["bright"], ["chosen"], **branches),
        node("Flatten", "chosen", "row"),
        node("MatMul", "row u", "y"),
    ]
    constants = {"two": np.array(2, "float32"), "zero": np.array(9, "float32"), "u": f(147, 5)}
    path = save(tmp_path / "m.onnx", nodes, [End("x", [BATCH, 3, 7, 7])], [End("y", [BATCH, 5])], constants)
    explainer = heatcli.load(path)
    for x in (picture, 0.01 * picture):
        found = explainer.explain_targets(x, targets=list(range(5)), method="occlusion", window=5)
        expected = plain(path, x=padded(x))["y"][0]
        np.testing.assert_allclose([entry.score for entry in found], expected, rtol=1e-4, atol=1e-5)
    assert any("15 empty ones" in note for note in explainer.notes)


@pytest.mark.parametrize("padded_too", [False, True])
def test_whole_numbers_and_labels(tmp_path, monkeypatch, padded_too):
    """A file of sixteen uint8 pictures with labels beside probabilities of one number."""
    if padded_too:
        monkeypatch.setattr(one_picture, "divided", lambda *_: None)
    nodes = [
        node("Cast", "x", "floats", to=TensorProto.FLOAT),
        node("Mul", "floats small", "scaled"),
        node("Conv", "scaled w b", "conv"),
        node("GlobalAveragePool", "conv", "mean"),
        node("Reshape", "mean sizes", "row"),
        node("Gemm", "row u", "z"),
        node("Sigmoid", "z", "p"),
        node("Greater", "z zero", "above"),
        node("Cast", "above", "label", to=TensorProto.INT64),
    ]
    constants = {
        **{name: CONV[name] for name in ("w", "b")},
        "u": f(8, 1),
        "small": np.array(1 / 255, "float32"),
        "zero": np.array(0, "float32"),
        "sizes": np.array([BATCH, 8]),
    }
    ends = [End("label", [BATCH, 1], TensorProto.INT64), End("p", [BATCH, 1])]
    path = save(tmp_path / "m.onnx", nodes, [End("x", [BATCH, 3, 7, 7], TensorProto.UINT8)], ends, constants)
    explainer = heatcli.load(path)
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 7, 7)).astype("uint8")
    expected = plain(path, x=padded(x))
    best = explained(explainer, x)
    assert best.target == expected["label"][0, 0]
    assert scores(explainer, x)[1][1] == pytest.approx(float(expected["p"][0, 0]), rel=1e-5)
    assert explained(explainer, x, 0).ledger.score == pytest.approx(-explained(explainer, x, 1).ledger.score)


def test_exported_networks_at_a_batch_of_sixteen(data, tmp_path):
    """Networks of several exporters, with sixteen written into every size by onnxruntime: all run on one picture."""
    for name in ("hf_swin_ts", "hf_vit_eager_ts", "hf_siglip_dyn", "keras_MobileNet_native"):
        model = onnx.load(data / "graphs" / f"{name}.onnx")
        for entry in (*model.graph.input, *model.graph.output):
            entry.type.tensor_type.shape.dim[0].Clear()
            entry.type.tensor_type.shape.dim[0].dim_value = BATCH
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        read = network.read(tmp_path / f"{name}.onnx")
        assert not any("empty ones" in note for note in read.notes), name
        x = np.random.default_rng(1).uniform(size=read.input.shape).astype("float32")
        (expected,) = plain(tmp_path / f"{name}.onnx", **{read.input.name: padded(x)}).values()
        found = Forward(read).run(x)[read.output.name]
        np.testing.assert_allclose(found[0], expected[0], atol=1e-4 * np.abs(expected[0]).max(), err_msg=name)
