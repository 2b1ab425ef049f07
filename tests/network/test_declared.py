"""What a file says of its tensors: what cannot be true is refused before memory is taken."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from tests.network.strangers import CONVOLUTION, FLOAT, classifier, f, proto, refusal, tensor

# constants ------------------------------------------------------------------------------------------------------------


CONSTANTS: dict[str, tuple[Callable[[], onnx.TensorProto], str]] = {
    "too few bytes": (lambda: tensor(raw_data=bytes(99)), r"shape \[5, 3, 3, 3\] needs 540 bytes, but the file has 99"),
    "too many bytes": (lambda: tensor(raw_data=bytes(1000)), "needs 540 bytes, but the file has 1,000"),
    "nothing": (tensor, "needs 135 numbers, but the file has 0"),
    "another field": (lambda: tensor(int64_data=[1] * 135), "needs 135 numbers, but the file has 0"),
    "negative": (lambda: tensor(dims=[5, -3, 3, 3], raw_data=bytes(540)), r"negative size: 5x-3x3x3"),
    "huge": (lambda: tensor(dims=[2**62, 3, 3, 3]), r"4611686018427387904x3x3x3; 2G elements are accepted; --lim"),
    "huge in all": (lambda: tensor(dims=[2**20] * 4), r"1048576x1048576x1048576x1048576; 2G elements are accepted"),
    "huge times none": (lambda: tensor(dims=[2**62, 0]), r"2G elements are accepted"),
    "no type": (lambda: tensor(kind=0, raw_data=bytes(540)), r"no known type of numbers \(0\)"),
    "a type of tomorrow": (lambda: tensor(kind=99, raw_data=bytes(540)), r"no known type of numbers \(99\)"),
}  # fmt: skip


@pytest.mark.parametrize("place", ["initializer", "attribute", "branch"])
@pytest.mark.parametrize("case", CONSTANTS)
def test_constants_that_are_not_what_they_say(tmp_path, case, place, unopened):
    build, said = CONSTANTS[case]
    if place == "initializer":
        model = classifier(w=build())
    else:
        held = helper.make_node("Constant", [], ["w"], value=build())
        if place == "branch":
            out = helper.make_tensor_value_info("w", FLOAT, None)
            graph = helper.make_graph([held], "branch", [], [out])
            held = helper.make_node("If", ["yes"], ["w"], then_branch=graph, else_branch=graph)
        model = proto([held, *CONVOLUTION], {"yes": np.array(True)})
    assert re.search(said, refusal(model, tmp_path / "m.onnx"))


def test_weights_in_all(tmp_path, unopened):
    outside = tensor(dims=[25_000, 20_000], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="w.bin")
    with (tmp_path / "w.bin").open("wb") as stream:
        stream.truncate(4 * 25_000 * 20_000)
    model = proto(CONVOLUTION, {"w": f(5, 3, 3, 3), **{f"w{n}": outside.__deepcopy__() for n in range(5)}})
    said = refusal(model, tmp_path / "m.onnx")
    assert said.startswith("has constants of 10G bytes; 8G are accepted; --limit weights=11G accepts it")


def test_text_where_weights_should_be(tmp_path):
    words = numpy_helper.from_array(np.array([["a", "b"]], object), "w")
    assert "onnxruntime cannot open the model" in refusal(classifier(w=words), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("indices", "dims", "said"),
    [
        ([5, 9], [3, 3], "indices outside its shape 3x3"),
        ([-1, 2], [3, 3], "indices outside its shape 3x3"),
        ([[0, 0], [1, 3]], [3, 3], "indices outside its shape 3x3"),
        ([1, 2, 3], [3, 3], "has 2 values, but indices for another number"),
        ([[0, 0, 0], [1, 1, 1]], [3, 3], "has 2 values, but indices for another number"),
        ([0, 1], [2**40, 2**30], "2G elements are accepted"),
        ([0, 1], [-3, 3], "negative size"),
    ],
)
def test_sparse_constants_with_wrong_indices(tmp_path, indices, dims, said, unopened):
    model = classifier()
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([1, 2]), "s"), numpy_helper.from_array(np.array(indices), "i"), dims
    )
    model.graph.sparse_initializer.append(sparse)
    assert said in refusal(model, tmp_path / "m.onnx")
    node = helper.make_node("Constant", [], ["s"], sparse_value=sparse)
    assert said in refusal(proto([node, *CONVOLUTION], {"w": f(5, 3, 3, 3)}), tmp_path / "m.onnx")


def test_an_attribute_that_is_two_things(tmp_path, monkeypatch, unopened):
    """Behind its tensor stands a sparse one whose values lie in a file where the command was called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(bytes(4))
    (tmp_path / "there").mkdir()
    node = helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(f(1), "s"))
    sparse = node.attribute[0].sparse_tensor
    sparse.dims.append(4)
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(4), "i"))
    sparse.values.CopyFrom(
        TensorProto(name="v", dims=[4], data_type=TensorProto.UINT8, data_location=TensorProto.EXTERNAL)
    )
    sparse.values.external_data.add(key="location", value="secret")
    model = proto([node, *CONVOLUTION], {"w": f(5, 3, 3, 3)})
    assert "the file secret with the model's weights is missing" in refusal(model, tmp_path / "there" / "m.onnx")


@pytest.mark.parametrize("form", ["linear", "by axis", "in a node"])
def test_sparse_weights_are_the_dense_ones(tmp_path, form):
    dense = f(5, 3, 3, 3)
    dense[np.abs(dense) < 1] = 0
    places = np.argwhere(dense) if form == "by axis" else np.flatnonzero(dense)
    values = numpy_helper.from_array(dense[dense != 0], "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places), dense.shape)
    model = proto(CONVOLUTION, {})
    if form == "in a node":
        model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    else:
        model.graph.sparse_initializer.append(sparse)
    path, x = tmp_path / "m.onnx", f(1, 3, 8, 8).clip(0, 1)
    path.write_bytes(model.SerializeToString())
    found = heatcli.load(path, range=(0, 1)).explain(x)
    path.write_bytes(classifier(w=dense).SerializeToString())
    np.testing.assert_allclose(found.relevance, heatcli.load(path, range=(0, 1)).explain(x).relevance, atol=1e-7)


# what is declared -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["input", "output", "value_info"])
@pytest.mark.parametrize("sides", [[1, 3, 2**62, 8], [2**20] * 4])
def test_declared_sizes(tmp_path, place, sides, unopened):
    model = classifier()
    info = helper.make_tensor_value_info("x" if place == "input" else "logits", FLOAT, sides)
    if place == "value_info":
        info.name = "c"
        model.graph.value_info.append(info)
    else:
        getattr(model.graph, place)[0].CopyFrom(info)
    assert "2G elements are accepted; --limit dimension=" in refusal(model, tmp_path / "m.onnx")


def test_inputs_without_a_type(tmp_path, unopened):
    model = classifier()
    model.graph.input[0].ClearField("type")
    assert "the input x is no tensor of numbers with a known number of axes" in refusal(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("side", [-1, 0])
def test_sizes_that_are_not_positive_are_open(tmp_path, side):
    model = proto(CONVOLUTION, {"w": f(5, 3, 3, 3)}, shape=(1, 3, side, side))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert heatcli.load(path, size=8).network.input.shape == (1, 3, 8, 8)
