"""Networks with several inputs: what is given beside the picture is a constant; what is missing or wrong is said."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import heatcli
from heatcli.errors import ModelError, UsageError
from tests.whole import End, explained, f, node, plain, save, scores

HALF, BOOL, INT = TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.INT64

NODES = [
    node("Conv", "picture w b", "conv"),
    node("Relu", "conv", "relu"),
    node("GlobalAveragePool", "relu", "mean"),
    node("Flatten", "mean", "row"),
    node("Gather", "table which", "chosen", axis=0),
    node("Concat", "row token chosen", "all", axis=1),
    node("Gemm", "all v", "z"),
    node("Where", "quiet zero z", "y"),
]
CONSTANTS = {
    "w": f(4, 3, 3, 3),
    "b": f(4),
    "v": f(10, 5),
    "table": f(7, 3),
    "zero": np.zeros(1, "float32"),
    "scale": np.ones(1, "float32"),
}
INPUTS = [
    End("token", ["n", 3]),
    End("picture", ["n", 3, "height", "width"]),
    End("which", [1], INT),
    End("quiet", [], BOOL),
]
GIVEN = {"token": f(1, 3, seed=8), "which": np.array([4]), "quiet": np.array(False)}
PICTURE = np.random.default_rng(0).uniform(size=(1, 3, 12, 12)).astype("float32")


@pytest.fixture
def model(tmp_path):
    return save(tmp_path / "m.onnx", NODES, INPUTS, [End("y", ["n", 5])], CONSTANTS)


def test_all_inputs_are_named_where_some_are_missing(model):
    with pytest.raises(ModelError) as caught:
        heatcli.load(model)
    message = str(caught.value)
    assert "the model has 4 inputs (token, picture, which, quiet)" in message
    for line in (
        "  token float32 ?x3\n",
        "  picture float32 ?x3x?x?, which looks like the picture\n",
        "  which int64 1\n",
        "  quiet bool scalar\n",
        "--input token=FILE.npy --input which=FILE.npy --input quiet=FILE.npy",
    ):
        assert line in message
    with pytest.raises(ModelError, match=r"2 inputs \(picture, quiet\)"):
        heatcli.load(model, inputs={name: GIVEN[name] for name in ("token", "which")})


def test_scores_are_those_of_the_untouched_file(model, tmp_path):
    files = {}
    for name, value in GIVEN.items():
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], value)
    expected = plain(model, picture=PICTURE, **GIVEN)["y"][0]
    for inputs in (GIVEN, files, {name: str(file) for name, file in files.items()}):
        explainer = heatcli.load(model, inputs=inputs, size=12)
        assert explainer.network.input.name == "picture"
        np.testing.assert_allclose(scores(explainer, PICTURE)[0], expected, rtol=1e-5, atol=1e-6)
    quiet = heatcli.load(model, inputs={**GIVEN, "quiet": np.array(True)}, size=12)
    np.testing.assert_array_equal(scores(quiet, PICTURE)[0], 0)


def test_relevance_of_what_was_given_goes_to_constants(model):
    """The last layer shares in proportion to what each side adds: the row of the picture, token and chosen row."""
    explainer = heatcli.load(model, inputs=GIVEN, size=12, precision="float64")
    found = explained(explainer, PICTURE, range=(0, 1))
    beside = np.concatenate([GIVEN["token"], CONSTANTS["table"][[4]]], axis=1)[0].astype("float64")
    weights = CONSTANTS["v"][4:, found.target]
    constant = np.maximum(beside * weights, 0).sum()
    conv = np.lib.stride_tricks.sliding_window_view(PICTURE[0], (3, 3), axis=(1, 2))
    maps = np.einsum("cyxij,ocij->oyx", conv, CONSTANTS["w"]) + CONSTANTS["b"][:, None, None]
    row = np.maximum(maps, 0).mean(axis=(1, 2))
    rest = np.maximum(row * CONSTANTS["v"][:4, found.target], 0).sum()
    share = constant / (constant + rest)
    assert share > 0.05
    assert found.ledger.constants / found.ledger.start == pytest.approx(share, rel=1e-4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tokens": f(1, 3)}, "--input tokens: the model has no such input; its inputs are token float32 ?x3; picture"),
        ({"token": f(1, 4)}, "--input token: the array is float32 1x4; the model takes token float32 ?x3"),
        ({"token": f(3)}, "--input token: the array is float32 3; the model takes token float32 ?x3"),
        ({"token": f(2, 3)}, "an array given has 2 for the size 'n', which it shares with the picture"),
        ({"which": np.array([1.0])}, "--input which: the array is float64 1; the model takes which int64 1"),
        ({"quiet": np.array(1)}, "--input quiet: the array is int64 scalar; the model takes quiet bool scalar"),
        ({"token": np.array([["a", "b", "c"]])}, "--input token: an array of <U1; numbers are needed"),
        ({"token": "absent.npy"}, "--input token: absent.npy: no such file"),
        ({"picture": PICTURE}, "--input was given for all inputs (token, which, quiet, picture); one must be left"),
    ],
)
def test_what_does_not_fit_is_said(model, changed, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        heatcli.load(model, inputs={**GIVEN, **changed}, size=12)


def test_files_that_are_no_arrays(model, tmp_path):
    (tmp_path / "text.npy").write_text("no array", encoding="utf-8")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    for name in ("text.npy", "objects.npy", "."):
        with pytest.raises(UsageError, match="--input token: "):
            heatcli.load(model, inputs={**GIVEN, "token": tmp_path / name})
    with pytest.raises(UsageError, match="inputs must go from names"):
        heatcli.load(model, inputs=["token.npy"])


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (TensorProto.FLOAT16, np.array([[1.5, 2, 3]]), True),
        (TensorProto.FLOAT16, np.array([[1e9, 2, 3]]), False),
        (TensorProto.FLOAT, np.array([[1, 2, 3]]), True),
        (TensorProto.FLOAT, np.array([[-np.inf, 2, 3]]), True),
        (TensorProto.INT32, np.array([[1, 2, 3]]), True),
        (TensorProto.INT32, np.array([[1 << 40, 2, 3]]), False),
        (TensorProto.UINT8, np.array([[255, 2, 3]]), True),
        (TensorProto.UINT8, np.array([[-1, 2, 3]]), False),
        (TensorProto.BOOL, np.array([[True, False, True]]), True),
        (TensorProto.STRING, np.array([[1, 2, 3]]), False),
    ],
)
def test_types_that_keep_every_value_are_taken(tmp_path, kind, value, fits):
    nodes = [
        node("Cast", "token", "floats", to=1),
        node("Concat", "x floats", "all", axis=1),
        node("Gemm", "all v", "y"),
    ]
    ends = [End("x", [1, 4]), End("token", [1, 3], kind)], [End("y", [1, 5])]
    path = save(tmp_path / "m.onnx", nodes, *ends, {"v": f(7, 5)})
    if not fits:
        with pytest.raises(UsageError, match="--input"):
            heatcli.load(path, inputs={"token": value})
        return
    explainer = heatcli.load(path, inputs={"token": value})
    assert explainer.network.constants[0].shape == (1, 3)
    if np.isfinite(value).all():
        x, typed = f(1, 4), value.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
        np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x, token=typed)["y"][0], rtol=1e-5)


def test_inputs_with_values_of_their_own_are_not_needed(tmp_path):
    """An input that is an initializer too keeps its value, unless another is given; one that nobody reads is none."""
    nodes = [node("Mul", "x scale", "scaled"), node("Gemm", "scaled v", "y")]
    inputs = [End("scale", [1]), End("x", [1, 4]), End("unused", [5])]
    path = save(
        tmp_path / "m.onnx", nodes, inputs, [End("y", [1, 5])], {"v": f(4, 5), "scale": np.array([2], "float32")}
    )
    x = f(1, 4)
    np.testing.assert_allclose(scores(heatcli.load(path), x)[0], (2 * x @ f(4, 5))[0], rtol=1e-5)
    other = heatcli.load(path, inputs={"scale": np.array([-3.0])})
    np.testing.assert_allclose(scores(other, x)[0], (-3 * x @ f(4, 5))[0], rtol=1e-5)


def test_large_arrays_fold_into_the_graph(tmp_path):
    """An array given is a constant like any other: what hangs on it alone is computed once."""
    nodes = [node("MatMul", "mix v", "weights"), node("Gemm", "x weights", "y")]
    path = save(
        tmp_path / "m.onnx", nodes, [End("mix", [400, 30]), End("x", [1, 400])], [End("y", [1, 5])], {"v": f(30, 5)}
    )
    explainer = heatcli.load(path, inputs={"mix": f(400, 30)})
    assert [layer.operation for layer in explainer.network.layers] == ["Gemm"]
    x = f(1, 400)
    np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x, mix=f(400, 30))["y"][0], rtol=1e-4)


def test_what_looks_like_a_picture(tmp_path):
    """The largest input with channels and two sides; of rows and scalars none."""
    for shapes, likely in (
        ({"a": [1, 3, 32, 32], "b": [1, 64, 64, 3]}, "b"),
        ({"a": [1, 50, 50], "b": [1, 3]}, "a"),
        ({"a": [1, 50], "b": [1, 77]}, None),
        ({"a": [1, 12, 64, 64], "b": [1, 1, 8, 8]}, "b"),
    ):
        nodes = [node("ReduceSum", name, f"{name}/sum", keepdims=0) for name in shapes]
        nodes.append(node("Add", "a/sum b/sum", "y"))
        path = save(tmp_path / "m.onnx", nodes, [End(*entry) for entry in shapes.items()], [End("y", [])], {})
        with pytest.raises(ModelError) as caught:
            heatcli.load(path)
        marked = re.findall(r"^  (\w+) .*, which looks like the picture$", str(caught.value), re.MULTILINE)
        assert marked == ([likely] if likely else [])


def test_records_name_what_was_given(model, tmp_path):
    np.save(tmp_path / "token.npy", GIVEN["token"])
    explainer = heatcli.load(model, inputs={**GIVEN, "token": tmp_path / "token.npy"}, size=12)
    settings = explainer.explain(PICTURE).settings["inputs"]
    assert settings["token"]["file"] == str(tmp_path / "token.npy")
    assert settings["which"]["file"] is None
    other = heatcli.load(model, inputs={**GIVEN, "token": 2 * GIVEN["token"]}, size=12)
    again = other.explain(PICTURE).settings["inputs"]
    assert again["which"] == settings["which"]
    assert again["token"]["sha256"] != settings["token"]["sha256"]
    assert "inputs" not in heatcli.load(_alone(tmp_path)).explain(f(1, 4)).settings


def _alone(tmp_path):
    return save(
        tmp_path / "alone.onnx", [node("Gemm", "x v", "y")], [End("x", [1, 4])], [End("y", [1, 5])], {"v": f(4, 5)}
    )


def test_compiled_explainer_holds_what_was_given(model, tmp_path):
    explainer = heatcli.load(model, inputs=GIVEN, size=12)
    explainer.compile(tmp_path / "e.onnx", range=(0, 1))
    proto = onnx.load(tmp_path / "e.onnx")
    assert [entry.name for entry in proto.graph.input] == ["picture", "target"]
    found = plain(tmp_path / "e.onnx", picture=PICTURE, target=np.array([2]))
    alone = explained(explainer, PICTURE, 2, range=(0, 1))
    np.testing.assert_allclose(found["relevance"][0], alone.relevance, rtol=1e-3, atol=1e-6)
    assert any(entry.key == "heatcli.inputs" and "sha256" in entry.value for entry in proto.metadata_props)


def test_sixteen_pictures_and_a_token_for_each(tmp_path):
    """A fixed batch of sixteen with a further input of sixteen rows: the picture's is the first of them."""
    nodes = [*NODES[:4], node("Concat", "row token", "all", axis=1), node("Gemm", "all v", "y")]
    inputs = [End("picture", [16, 3, 8, 8]), End("token", [16, 3])]
    constants = {**CONSTANTS, "v": f(7, 5)}
    path = save(tmp_path / "m.onnx", nodes, inputs, [End("y", [16, 5])], constants)
    tokens, x = f(16, 3), PICTURE[:, :, :8, :8]
    explainer = heatcli.load(path, inputs={"token": tokens})
    whole = np.concatenate([x, np.zeros((15, 3, 8, 8), "float32")])
    expected = plain(path, picture=whole, token=tokens)["y"][0]
    np.testing.assert_allclose(scores(explainer, x)[0], expected, rtol=1e-5, atol=1e-6)
    explained(explainer, x)


def test_an_input_that_a_branch_alone_reads_is_needed(tmp_path):
    value = onnx.helper.make_tensor_value_info
    branches = {
        f"{name}_branch": onnx.helper.make_graph([node(operation, "x token", "out")], name, [], [value("out", 1, None)])
        for name, operation in (("then", "Mul"), ("else", "Sub"))
    }
    nodes = [
        node("ReduceSum", "x", "total", keepdims=0),
        node("Greater", "total zero", "bright"),
        onnx.helper.make_node("If", ["bright"], ["chosen"], **branches),
        node("MatMul", "chosen v", "y"),
    ]
    constants = {"zero": np.zeros((), "float32"), "v": f(4, 5)}
    path = save(tmp_path / "m.onnx", nodes, [End("x", [1, 4]), End("token", [1, 4])], [End("y", [1, 5])], constants)
    with pytest.raises(ModelError, match=r"2 inputs \(x, token\)"):
        heatcli.load(path)
    token, x = f(1, 4, seed=3), f(1, 4)
    found = heatcli.load(path, inputs={"token": token}).explain(x, method="occlusion")
    assert found.score == pytest.approx(float(plain(path, x=x, token=token)["y"].max()), rel=1e-5)


def test_initializers_of_old_files_can_be_replaced(tmp_path):
    """In files of IR version 3 every initializer is listed as an input too: they are no inputs to be asked for."""
    path = _alone(tmp_path)
    proto = onnx.load(path)
    proto.ir_version = 3
    proto.graph.input.append(onnx.helper.make_tensor_value_info("v", 1, [4, 5]))
    onnx.save(proto, path)
    weights = numpy_helper.to_array(proto.graph.initializer[0])
    np.testing.assert_allclose(scores(heatcli.load(path), f(1, 4))[0], (f(1, 4) @ weights)[0], rtol=1e-5)
    negated = heatcli.load(path, inputs={"v": -weights})
    np.testing.assert_allclose(scores(negated, f(1, 4))[0], -(f(1, 4) @ weights)[0], rtol=1e-5)
