"""Constants outside the model file: beside it, beyond two gigabytes, and nowhere else."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import UnreadableModel

FLOAT = TensorProto.FLOAT


def dense(path, weights: onnx.TensorProto, shape, *, dtype=FLOAT):
    """Write a network of one dense layer on a picture of ``shape``; return its path."""
    classes = weights.dims[1]
    bias = np.linspace(0.1, 0.2, classes).astype(helper.tensor_dtype_to_np_dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w", "b"], ["logits"])],
        "dense",
        [helper.make_tensor_value_info("x", dtype, [1, *shape])],
        [helper.make_tensor_value_info("logits", dtype, [1, classes])],
        [weights, numpy_helper.from_array(bias, "b")],
    )
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    return path


def outside(dims, location, offset=0, *, dtype=FLOAT):
    """Return a constant that lies in another file."""
    tensor = TensorProto(name="w", data_type=dtype, dims=dims, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=str(location))
    tensor.external_data.add(key="offset", value=str(offset))
    return tensor


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(size=(3 * 8 * 8, 5)).astype("float32")


@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize("offset", [0, 4096, 2])
def test_weights_beside_the_model(tmp_path, weights, kind, offset):
    """A file of weights gives the explanation that the same weights inside the file give."""
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    stored = weights.astype(kind)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(bytes(offset) + stored.tobytes())
    apart = dense(
        tmp_path / "apart.onnx", outside(stored.shape, "weights/w.bin", offset, dtype=dtype), (3, 8, 8), dtype=dtype
    )
    whole = dense(tmp_path / "whole.onnx", numpy_helper.from_array(stored, "w"), (3, 8, 8), dtype=dtype)
    x = np.random.default_rng(1).uniform(size=(1, 3, 8, 8)).astype("float32")
    one, other = (heatcli.load(path, range=(0, 1)).explain(x) for path in (apart, whole))
    np.testing.assert_array_equal(one.relevance, other.relevance)
    assert one.score == pytest.approx(float((x.reshape(1, -1) @ stored.astype("float64")).max()), abs=0.3)


def test_weights_of_more_than_two_gigabytes(tmp_path):
    """Only one column of the matrix is not zero, so the file has a hole, and the answer is known."""
    inputs, classes = 3 * 96 * 96, 20_000
    size = inputs * classes * 4
    assert size > 2**31
    if shutil.disk_usage(tmp_path).free < 2 * size:
        pytest.skip("not enough disk for a model of more than two gigabytes")
    with (tmp_path / "w.bin").open("wb") as stream:
        stream.truncate(size)
        for row in range(0, inputs, 1000):
            stream.seek((row * classes + 7) * 4)
            stream.write(np.float32(1 + row / inputs).tobytes())
    path = dense(tmp_path / "large.onnx", outside((inputs, classes), "w.bin"), (3, 96, 96))
    x = np.random.default_rng(1).uniform(size=(1, 3, 96, 96)).astype("float32")
    found = heatcli.load(path, range=(0, 1)).explain(x, target=7, method="lrp-epsilon")
    expected = np.zeros(inputs)
    rows = np.arange(0, inputs, 1000)
    expected[rows] = x.reshape(-1)[rows] * (1 + rows / inputs)
    bias = np.linspace(0.1, 0.2, classes)[7]
    assert found.score == pytest.approx(expected.sum() + bias, rel=1e-5)
    assert found.ledger.biases == pytest.approx(bias, rel=1e-4)
    np.testing.assert_allclose(found.relevance.reshape(-1), expected, rtol=1e-4)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin", ""])
def test_weights_outside_the_folder_are_refused(tmp_path, weights, location):
    (tmp_path / "secret.bin").write_bytes(weights.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    path = dense(folder / "m.onnx", outside(weights.shape, location), (3, 8, 8))
    with pytest.raises(UnreadableModel, match="outside the model's folder"):
        heatcli.load(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path, weights):
    (tmp_path / "secret.bin").write_bytes(weights.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret.bin")
    path = dense(folder / "m.onnx", outside(weights.shape, "w.bin"), (3, 8, 8))
    with pytest.raises(UnreadableModel, match="outside the model's folder"):
        heatcli.load(path)


def test_missing_and_short_files_are_named(tmp_path, weights):
    path = dense(tmp_path / "m.onnx", outside(weights.shape, "w.bin"), (3, 8, 8))
    with pytest.raises(UnreadableModel, match=r"w\.bin with the model's weights is missing"):
        heatcli.load(path)
    (tmp_path / "w.bin").write_bytes(weights.tobytes()[:-4])
    with pytest.raises(UnreadableModel, match=r"w\.bin beside the model is too short for w"):
        heatcli.load(path)
