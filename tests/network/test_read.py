"""Files become layer lists, or are refused with one clear reason."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from heatcli import network, runtime
from heatcli.errors import ModelError, NotAClassifier, UnreadableModel, UnsupportedModel
from heatcli.forward import Forward
from heatcli.network.layers import Concatenation, Linear, LocalResponseNormalization, MaxPooling, Reshape

WEIGHTS = numpy_helper.from_array(np.ones((4, 3, 3, 3), "float32"), "w")


def save(path, nodes, inputs, outputs, initializers=(WEIGHTS,), domain=None):
    """Write a model of float tensors; ``inputs`` and ``outputs`` are (name, shape)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        list(initializers),
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def classifier(path, *, shape=(1, 3, 8, 8), inputs=()):
    """Write the smallest classifier there is: convolution, global average."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["z"]),
        *(helper.make_node("Add", ["z", name], ["y"]) for name, _ in inputs),
    ]
    last = "y" if inputs else "z"
    return save(path, nodes, [("x", list(shape)), *inputs], [(last, ["n", 4, 1, 1])])


def plain(path, x):
    """Return the first output of onnxruntime alone."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def test_forward_pass_equals_the_untouched_file(light_model):
    read = network.read(light_model)
    x = np.random.default_rng(0).normal(size=read.input.shape).astype("float32")
    found = Forward(read).run(x)[read.output.name]
    expected = plain(light_model, x)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    known = {read.input.name}
    for layer in read.layers:  # every layer reads what came before it, and the last one gives the scores
        assert set(layer.inputs) <= known
        known.add(layer.name)
    assert read.output.logits == read.layers[-1].name


TRAINED = ("bvlc_googlenet_opset8", "squeezenet_v1.1_caffe_opset9", "cifar10_large_keras_nhwc", "onnxweb_sethjuarez")


@pytest.mark.parametrize("name", TRAINED)
def test_forward_pass_of_trained_networks(data, name):
    path = data / "models" / f"{name}.onnx"
    read = network.read(path)
    x = np.random.default_rng(0).uniform(0, 1, size=read.input.shape).astype("float32")
    expected = plain(path, x)
    np.testing.assert_allclose(Forward(read).run(x)[read.output.name], expected, atol=1e-4 * np.abs(expected).max())


def test_googlenet_as_the_paper_has_it(data):
    """Softmax is walked through, initializers are no inputs, Dropout vanishes, Concat and LRN are kept."""
    read = network.read(data / "models" / "bvlc_googlenet_opset8.onnx")
    kinds = [type(layer) for layer in read.layers]
    assert read.input.name == "data"
    assert (read.output.kind, read.output.logits, read.output.classes) == ("softmax", "loss3/classifier", 1000)
    assert sum(issubclass(kind, Linear) for kind in kinds) == 58
    assert kinds.count(LocalResponseNormalization) == 2
    assert kinds.count(Concatenation) == 9
    assert kinds.count(MaxPooling) == 13
    assert all(layer.operation != "Softmax" for layer in read.layers)
    assert not any(isinstance(layer, Reshape) and layer.operation == "Dropout" for layer in read.layers)
    assert all(read.shapes[layer.name] for layer in read.layers)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello world\n" * 20, "cannot be read as an ONNX model"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "cannot be read as an ONNX model"),
    ],
)
def test_files_that_are_no_model(tmp_path, content, reason):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UnreadableModel, match=reason) as caught:
        network.read(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_model(tmp_path, share):
    whole = classifier(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError):
        network.read(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UnreadableModel, match="no such model file"):
        network.read(tmp_path / "none.onnx")
    with pytest.raises(UnreadableModel, match="not a regular file"):
        network.read(tmp_path)


def test_every_unsupported_node_is_named_at_once(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("CumSum", ["c", "axis"], ["s"]),
        helper.make_node("Hardmax", ["s"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["z"]),
    ]
    axis = numpy_helper.from_array(np.array(1), "axis")
    path = save(tmp_path / "m.onnx", nodes, [("x", [1, 3, 8, 8])], [("z", [1, 4, 1, 1])], (WEIGHTS, axis))
    with pytest.raises(UnsupportedModel) as caught:
        network.read(path).require_layers()
    assert [(node.operation, node.name) for node in caught.value.nodes] == [("CumSum", "s"), ("Hardmax", "e")]
    assert "CumSum (s)" in str(caught.value)
    assert "Hardmax (e)" in str(caught.value)


def test_custom_operations_are_named(tmp_path):
    nodes = [helper.make_node("Foo", ["x"], ["y"], domain="my.domain"), helper.make_node("Relu", ["y"], ["z"])]
    path = save(tmp_path / "m.onnx", nodes, [("x", [1, 10])], [("z", [1, 10])], (), domain="my.domain")
    with pytest.raises(UnsupportedModel, match=re.escape("my.domain:Foo (y): a custom operation")):
        network.read(path)


def test_split_with_a_nameless_output_is_refused_before_it_runs(tmp_path):
    node = helper.make_node("Split", ["x"], ["z", ""], axis=1)
    path = save(tmp_path / "m.onnx", [node], [("x", [1, 10])], [("z", [1, 5])], ())
    with pytest.raises(UnsupportedModel, match=r"Split \(z\): an output without a name"):
        network.read(path)


def test_split_with_a_nameless_output_is_seen_inside_of_branches(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("Split", ["x"], ["part", ""], axis=1)],
        "branch",
        [],
        [helper.make_tensor_value_info("part", TensorProto.FLOAT, [1, 5])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["any"], to=TensorProto.BOOL),
        helper.make_node("If", ["any"], ["z"], then_branch=branch, else_branch=branch),
    ]
    path = save(tmp_path / "m.onnx", nodes, [("x", [1, 10])], [("z", [1, 5])], ())
    with pytest.raises(UnsupportedModel, match=r"Split \(part\): an output without a name"):
        network.read(path)


def test_a_loop_is_named_and_never_run(tmp_path, monkeypatch):
    """Whether it ends shows only when it runs: this one does not."""
    monkeypatch.setattr(runtime, "open_session", lambda *_, **__: pytest.fail("was opened"))
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1, 10]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w2", TensorProto.FLOAT, [1, 10]),
        ],
    )
    true = numpy_helper.from_array(np.array(True), "true")
    node = helper.make_node("Loop", ["", "true", "x"], ["z"], body=body)
    path = save(tmp_path / "m.onnx", [node], [("x", [1, 10])], [("z", [1, 10])], (true,))
    with pytest.raises(UnsupportedModel, match=r"Loop \(z\): control flow .* a loop may have no end"):
        network.read(path)


def test_detection_model_is_no_classifier(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    shape = [1, 4, 6, 6]
    path = save(tmp_path / "m.onnx", nodes, [("x", [1, 3, 8, 8])], [("y", shape), ("z", shape)])
    with pytest.raises(NotAClassifier, match="y 1x4x6x6, z 1x4x6x6"):
        network.read(path)


def test_two_inputs_are_named(tmp_path):
    path = classifier(tmp_path / "m.onnx", inputs=[("q", [1, 4, 1, 1])])
    with pytest.raises(ModelError, match=r"2 inputs \(x, q\)"):
        network.read(path)


def test_open_sizes_are_settled_and_said(tmp_path):
    path = classifier(tmp_path / "m.onnx", shape=("n", 3, "h", "w"))
    guessed = network.read(path)
    assert guessed.input.shape == (1, 3, 224, 224)
    assert guessed.input.free
    assert any("--size" in note for note in guessed.notes)
    settled = network.read(path, size=(16, 24))
    assert settled.input.shape == (1, 3, 16, 24)
    assert settled.shapes["c"] == (1, 4, 14, 22)
    assert not settled.notes


def test_size_that_contradicts_the_file(tmp_path):
    with pytest.raises(Exception, match="contradicts") as caught:
        network.read(classifier(tmp_path / "m.onnx"), size=(16, 16))
    assert caught.value.exit_code == 2
