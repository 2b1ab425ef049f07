"""Inputs and outputs as they come: every form of either end gives the scores of the file and a true account."""

from __future__ import annotations

import json

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import TensorProto

import heatcli
from heatcli.errors import ModelError, NotAClassifier, UnreadableModel
from tests.whole import FLOAT, End, explained, f, node, plain, save, scores

UINT8, INT8 = TensorProto.UINT8, TensorProto.INT8
CLASSES = 5


def network(front, features, shape, kind=FLOAT):
    """Return the nodes and constants of a classifier: ``front`` from x to ``pixels`` (a row), then two dense layers."""
    first = [node("Cast", "x", "floats", to=FLOAT)] if kind != FLOAT else [node("Identity", "x", "floats")]
    nodes = [
        *first,
        *front,
        node("Reshape", "pixels line", "row"),
        node("Gemm", "row w b", "hidden"),
        node("Relu", "hidden", "relu"),
        node("Gemm", "relu v", "y"),
    ]
    line = np.array([1, -1])
    return nodes, {"w": f(features, 8) * 0.1, "b": f(8), "v": f(8, CLASSES), "line": line, "k": f(2, shape, 3, 3)}


INPUTS = {
    # name: declared shape, layout, settled shape, channels of the convolution (0 for none), type
    "nchw": ([1, 3, 12, 10], "NCHW", (1, 3, 12, 10), 3, FLOAT),
    "open batch": (["n", 3, 12, 10], "NCHW", (1, 3, 12, 10), 3, FLOAT),
    "nhwc": ([1, 12, 10, 3], "NHWC", (1, 12, 10, 3), 0, FLOAT),
    "grey": ([1, 1, 12, 10], "NCHW", (1, 1, 12, 10), 1, FLOAT),
    "grey without channels": ([1, 12, 10], "NHW", (1, 12, 10), 0, FLOAT),
    "grey without anything": ([12, 10], "HW", (12, 10), 0, FLOAT),
    "flat": ([1, 144], "flat", (1, 144), 0, FLOAT),
    "flat with a trailing axis": ([1, 144, 1], "flat", (1, 144, 1), 0, FLOAT),
    "flat with a trailing axis, open": (["n", 144, 1], "flat", (1, 144, 1), 0, FLOAT),
    "flat in colour with a trailing axis": ([1, 432, 1], "flat", (1, 432, 1), 0, FLOAT),
    "flat without a batch": ([144], "flat", (144,), 0, FLOAT),
    "bytes": ([1, 3, 12, 10], "NCHW", (1, 3, 12, 10), 3, UINT8),
    "signed bytes": ([1, 12, 10, 3], "NHWC", (1, 12, 10, 3), 0, INT8),
    "flat bytes": ([1, 144, 1], "flat", (1, 144, 1), 0, UINT8),
}


@pytest.fixture
def picture():
    pixels = np.random.default_rng(3).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("name", INPUTS)
def test_every_input(tmp_path, picture, name, engine):
    declared, layout, shape, channels, kind = INPUTS[name]
    front = [node("Conv" if channels else "Identity", "floats k" if channels else "floats", "pixels")]
    size = 2 * 10 * 8 if channels else int(np.prod(shape))
    nodes, constants = network(front, size, channels or 1, kind)
    path = save(tmp_path / "m.onnx", nodes, [End("x", declared, kind)], [End("y", ["n", CLASSES])], constants)
    explainer = heatcli.load(path, engine=engine)
    spec, settled = explainer.network.input, explainer.preprocessing
    assert (spec.layout, spec.shape) == (layout, shape)
    found = explained(explainer, picture)
    x, _ = settled.tensor(picture)
    assert (x.shape, x.dtype) == (shape, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)))
    low, high = (np.broadcast_to(bound, shape) for bound in settled.bounds())
    assert np.all(low <= x)
    assert np.all(x <= high)
    np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x)["y"].reshape(-1), rtol=1e-4, atol=1e-4)
    assert found.score == pytest.approx(plain(path, x=x)["y"].max(), rel=1e-4)
    assert found.settings["input_rule"] == "zB"
    assert found.heatmap.shape == (12, 12) if layout == "flat" else (12, 10)
    assert found.heatmap.sum() == pytest.approx(found.ledger.pixels, rel=1e-4)
    assert found.relevance.shape == (shape[1:] if shape[0] == 1 else shape)
    bare = np.squeeze(x)  # axes of length 1 change nothing
    np.testing.assert_array_equal(explainer.explain(bare).relevance, explainer.explain(x).relevance)


def test_range_of_a_coloured_row(tmp_path, picture):
    """A row of three planes has bounds of its own in each, whatever axes stand around it."""
    nodes, constants = network([node("Identity", "floats", "pixels")], 432, 1)
    relevances = []
    for shape in ([1, 432], [1, 432, 1]):
        path = save(tmp_path / "m.onnx", nodes, [End("x", shape)], [End("y", ["n", CLASSES])], constants)
        explainer = heatcli.load(path, preprocess="imagenet")
        low, _ = explainer.preprocessing.bounds()
        assert low.shape == tuple(shape)
        assert len({*low.reshape(3, -1)[:, 0]}) == 3
        relevances.append(explained(explainer, picture).relevance.reshape(-1))
    np.testing.assert_array_equal(*relevances)


OUTPUTS = {
    # name: nodes behind the logits z, outputs, how probabilities come of z
    "logits": ([], [End("z", ["n", CLASSES])], "softmax"),
    "softmax": ([node("Softmax", "z", "y", axis=1)], [End("y", ["n", CLASSES])], "softmax"),
    "log-softmax": ([node("LogSoftmax", "z", "y", axis=1)], [End("y", ["n", CLASSES])], "softmax"),
    "sigmoid": ([node("Sigmoid", "z", "y")], [End("y", ["n", CLASSES])], "sigmoid"),
    "maps": (
        [node("Reshape", "z maps", "shaped"), node("Softmax", "shaped", "y", axis=1)],
        [End("y", [1, CLASSES, 1, 1])],
        "softmax",
    ),
    "no batch": ([node("Reshape", "z bare", "y")], [End("y", [CLASSES])], "softmax"),
    "label first": (
        [node("Softmax", "z", "y", axis=1), node("ArgMax", "y", "label", axis=1, keepdims=0)],
        [End("label", ["n"], TensorProto.INT64), End("y", ["n", CLASSES])],
        "softmax",
    ),
    "name first": (
        [node("Softmax", "z", "y", axis=1), node("ArgMax", "y", "best", axis=1), node("Gather", "names best", "label")],
        [End("label", ["n", 1], TensorProto.STRING), End("y", ["n", CLASSES])],
        "softmax",
    ),
    "sigmoids over their sum": (
        [
            node("Sigmoid", "z", "s"),
            node("ReduceSum", "s last", "total", keepdims=1),
            node("Div", "s total", "y"),
        ],
        [End("y", ["n", CLASSES])],
        "shares of sigmoids",
    ),
}


def last_layers(way, z):
    powers, sigmoids = np.exp(z - z.max()), 1 / (1 + np.exp(-z))
    return {
        "softmax": powers / powers.sum(),
        "sigmoid": sigmoids,
        "shares of sigmoids": sigmoids / sigmoids.sum(),
    }[way]


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_output(tmp_path, name):
    behind, ends, way = OUTPUTS[name]
    nodes = [node("Conv", "x k", "c"), node("Relu", "c", "r"), node("GlobalAveragePool", "r", "m")]
    nodes += [node("Flatten", "m", "row"), node("Gemm", "row v b", "z"), *behind]
    constants = {
        "k": f(6, 3, 3, 3),
        "v": f(6, CLASSES),
        "b": f(CLASSES),
        "maps": np.array([1, CLASSES, 1, 1]),
        "bare": np.array([CLASSES]),
        "names": np.array(list("abcde"), object),
        "last": np.array([-1]),
    }
    path = save(tmp_path / "m.onnx", nodes, [End("x", ["n", 3, 9, 9])], ends, constants)
    bare = save(tmp_path / "bare.onnx", nodes[:5], [End("x", ["n", 3, 9, 9])], [End("z", ["n", 5])], constants)
    explainer = heatcli.load(path)
    x = np.random.default_rng(0).uniform(size=(1, 3, 9, 9)).astype("float32")
    z = plain(bare, x=x)["z"][0].astype("float64")
    found, chances = scores(explainer, x)
    np.testing.assert_allclose(found, z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(chances, last_layers(way, z), rtol=1e-5, atol=1e-7)
    alone = heatcli.load(bare)
    for target in ("top", 0, 3):  # what stands behind the logits changes no relevance
        one, other = (explained(each, x, target) for each in (explainer, alone))
        np.testing.assert_allclose(one.relevance, other.relevance, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scores(heatcli.load(path, engine="compiled"), x)[1], chances, rtol=1e-4, atol=1e-6)


def test_what_could_be_scores_is_named(tmp_path):
    nodes = [node("Gemm", "x v", "one"), node("Gemm", "x w", "other"), node("Reshape", "x box", "boxes")]
    constants = {"v": f(16, 5), "w": f(16, 4), "box": np.array([1, 4, 4])}
    both = save(tmp_path / "m.onnx", nodes, [End("x", [1, 16])], [End("one", [1, 5]), End("other", [1, 4])], constants)
    with pytest.raises(NotAClassifier, match="several outputs could be the class scores: one 1x5, other 1x4"):
        heatcli.load(both)
    none = save(tmp_path / "n.onnx", nodes, [End("x", [1, 16])], [End("boxes", [1, 4, 4])], constants)
    with pytest.raises(NotAClassifier, match="no output is one row of class scores: boxes 1x4x4"):
        heatcli.load(none)


# sizes that the file leaves open --------------------------------------------------------------------------------------


@pytest.fixture
def free(tmp_path):
    """A classifier of any size."""
    nodes = [node("Conv", "x k", "c"), node("GlobalAveragePool", "c", "m"), node("Flatten", "m", "y")]
    ends = [End("x", ["n", 3, "h", "w"])], [End("y", ["n", CLASSES])]
    return save(tmp_path / "free.onnx", nodes, *ends, {"k": f(CLASSES, 3, 3, 3)})


def test_open_sizes_by_option_sidecar_metadata_and_guess(free):
    assert heatcli.load(free).network.input.shape == (1, 3, 224, 224)
    proto = onnx.load(free)
    for key, value in (("imgsz", "[20, 30]"), ("names", "{}")):
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, free)
    explainer = heatcli.load(free)
    assert explainer.network.input.shape == (1, 3, 20, 30)
    assert not any("--size" in note for note in explainer.notes)
    free.with_suffix(".heatcli.json").write_text(json.dumps({"size": [18, 22]}), encoding="utf-8")
    assert heatcli.load(free).network.input.shape == (1, 3, 18, 22)
    assert heatcli.load(free, size="10x12").network.input.shape == (1, 3, 10, 12)


def test_a_guessed_size_that_does_not_work_is_said(tmp_path):
    nodes = [node("Conv", "x k", "c"), node("Flatten", "c", "row"), node("MatMul", "row v", "y")]
    ends = [End("x", ["n", 3, "h", "w"])], [End("y", ["n", CLASSES])]
    path = save(tmp_path / "m.onnx", nodes, *ends, {"k": f(2, 3, 3, 3), "v": f(2 * 6 * 6, CLASSES)})
    with pytest.raises(UnreadableModel, match="224x224 assumed; change with --size"):
        heatcli.load(path)
    x = np.random.default_rng(0).uniform(size=(1, 3, 8, 8)).astype("float32")
    explainer = heatcli.load(path, size=8)
    np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x)["y"][0], rtol=1e-4, atol=1e-5)


def test_a_batch_that_is_open_by_name_alone(tmp_path, picture):
    """The file says any number of pictures, and works for one."""
    nodes = [node("Conv", "x k", "c"), node("Reshape", "c one", "row"), node("Gemm", "row v", "y")]
    ends = [End("x", ["n", 3, 8, 8])], [End("y", ["n", CLASSES])]
    path = save(tmp_path / "m.onnx", nodes, *ends, {"k": f(2, 3, 3, 3), "v": f(72, CLASSES), "one": np.array([1, 72])})
    explainer = heatcli.load(path)
    x, _ = explainer.preprocessing.tensor(picture)
    np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x)["y"][0], rtol=1e-4, atol=1e-5)
    explained(explainer, picture)


def test_files_without_inputs_or_of_other_kinds(tmp_path):
    constant = save(tmp_path / "c.onnx", [node("Identity", "v", "y")], [], [End("y", [1, 5])], {"v": f(1, 5)})
    with pytest.raises(ModelError, match="the model has no input"):
        heatcli.load(constant)
    text = save(
        tmp_path / "t.onnx",
        [node("Identity", "x", "y")],
        [End("x", [1, 5], TensorProto.STRING)],
        [End("y", [1, 5])],
        {},
    )
    with pytest.raises(ModelError, match="x is no tensor of numbers"):
        heatcli.load(text)
