"""Rows for training are what neurons see: a model that is fed with them says what the walk says at these places."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli import network
from heatcli.fitting.descent import Descent
from heatcli.fitting.samples import View, model, own_bias, parameters
from heatcli.fitting.training import Parameters, forward
from heatcli.kernels.arrays import ArrayKernels
from heatcli.kernels.terms import ALL
from heatcli.relevance.detection import detections
from heatcli.relevance.models import predicted, with_models
from tests import whole


def read(path, nodes, constants, shape, classes=3):
    ends = [whole.End("x", list(shape))], [whole.End("y", [1, classes])]
    return network.read(whole.save(path, nodes, *ends, constants))


def convolutions(tmp_path, groups):
    """A grouped convolution with stride, dilation and uneven padding, a pool, two convolutions side by side, a sum."""
    nodes = [
        whole.node("Conv", "x w1 b1", "one", strides=[2, 1], dilations=[1, 2], pads=[1, 2, 0, 1], group=groups),
        whole.node("Relu", "one", "r1"),
        whole.node("MaxPool", "r1", "p1", kernel_shape=[2, 3], strides=[1, 2], pads=[0, 1, 1, 1]),
        whole.node("Conv", "p1 w2", "two", pads=[1, 1, 1, 1]),
        whole.node("Relu", "two", "r2"),
        whole.node("Conv", "p1 w3", "three"),
        whole.node("Relu", "three", "r3"),
        whole.node("Concat", "r2 r3", "both", axis=1),
        whole.node("GlobalAveragePool", "both", "mean"),
        whole.node("Flatten", "mean", "flat"),
        whole.node("MatMul", "flat w4", "y"),
    ]
    constants = {"w1": whole.f(6, 4 // groups, 3, 2), "b1": -0.1 * np.abs(whole.f(6)), "w2": whole.f(5, 6, 3, 3)}
    constants |= {"w3": whole.f(2, 6, 1, 1), "w4": np.abs(whole.f(7, 3))}
    return read(tmp_path / "net.onnx", nodes, constants, (1, 4, 11, 9))


def rows_of_dense(tmp_path):
    """Dense layers on five rows, each row by itself, then their mean."""
    nodes = [
        whole.node("MatMul", "x w1", "one"),
        whole.node("Relu", "one", "r1"),
        whole.node("MatMul", "r1 w2", "two"),
        whole.node("Relu", "two", "r2"),
        whole.node("ReduceMean", "r2", "mean", axes=[1], keepdims=0),
        whole.node("MatMul", "mean w4", "y"),
    ]
    constants = {"w1": whole.f(4, 6), "w2": whole.f(6, 5), "w4": np.abs(whole.f(5, 3))}
    return read(tmp_path / "net.onnx", nodes, constants, (1, 5, 4))


@pytest.mark.parametrize("kind", ["conv", "grouped", "depthwise", "rows"])
def test_what_a_row_says_is_what_the_walk_says_at_its_place(tmp_path, kind):
    groups = {"conv": 1, "grouped": 2, "depthwise": 2, "rows": 0}[kind]
    net = convolutions(tmp_path, groups) if groups else rows_of_dense(tmp_path)
    detection = detections(net)[0]
    view = View(detection, net.shapes)
    x = np.random.default_rng(1).uniform(0, 1, net.input.shape).astype(np.float32)
    (arrived, other) = Descent(net, detection, {}).run(x, [-1, -2])
    assert arrived.relevance.shape == net.shapes["one"]
    assert set(arrived.above) == {upper.layer.name for upper in detection.uppers}
    assert not np.allclose(arrived.relevance, other.relevance)

    places = np.random.default_rng(2).permutation(view.places)[: view.places // 2]
    rows = view.rows(arrived.x, arrived.relevance, arrived.above, places)
    random = np.random.default_rng(3)
    own = parameters(detection.layer.weights, detection.layer)
    seen = Parameters(
        own + 0.1 * random.normal(size=own.shape).astype(np.float32),
        random.normal(size=(view.seen, detection.neurons)).astype(np.float32),
        -random.exponential(size=detection.neurons).astype(np.float32),
    )
    found = model(detection, seen)
    assert found.weights.shape == detection.layer.weights.shape
    replaced = with_models(net, {"one": found})
    kernels = ArrayKernels(replaced.shapes, np.float32, batched=True)
    linear = kernels.map(found.layer, ALL)
    assert linear is not None
    whole_layer = predicted(found, linear.apply([arrived.x]), arrived.above, kernels, replaced.shapes)
    by_place = whole_layer.reshape(6, -1).T if groups else whole_layer.reshape(-1, 6)
    np.testing.assert_allclose(forward(seen, rows)[0], by_place[places], rtol=1e-5, atol=1e-6)
    assert (by_place > 0).any()
    at_layer = arrived.relevance.reshape(6, -1).T if groups else arrived.relevance.reshape(-1, 6)
    np.testing.assert_array_equal(rows.relevance, at_layer[places])


def test_weights_keep_their_shape(tmp_path):
    """The layer's own weights as parameters, and back, are the same; rows times them are the layer itself."""
    net = convolutions(tmp_path, 2)
    detection = detections(net)[0]
    layer, view = detection.layer, View(detection, net.shapes)
    own = Parameters(parameters(layer.weights, layer), np.zeros((view.seen, 6), np.float32), np.zeros(6, np.float32))
    np.testing.assert_array_equal(model(detection, own).weights, layer.weights)
    x = np.random.default_rng(1).uniform(0, 1, net.input.shape).astype(np.float32)
    arrived = Descent(net, detection, {}).run(x, [-1])[0]
    rows = view.rows(x, arrived.relevance, {}, np.arange(view.places))
    values = whole.plain(tmp_path / "net.onnx", x=x)
    assert values["y"].shape == (1, 3)
    kernels = ArrayKernels(net.shapes, np.float32, batched=True)
    linear = kernels.map(layer, ALL)
    expected = np.maximum(linear.apply([x]), 0).reshape(6, -1).T
    np.testing.assert_allclose(forward(own, rows)[0], expected, rtol=1e-5, atol=1e-5)
    assert not rows.upper.any()  # no relevance reached a layer above


def test_biases_of_a_layer(tmp_path):
    layer = detections(convolutions(tmp_path, 1))[0].layer
    np.testing.assert_array_equal(own_bias(layer, 6), -0.1 * np.abs(whole.f(6)))
    without = detections(rows_of_dense(tmp_path))[0].layer
    assert not own_bias(without, 6).any()


def test_what_arrives_adds_up_to_the_score(tmp_path):
    """All layers of this network keep relevance: what arrives at its first is f(x), for each class."""
    net = rows_of_dense(tmp_path)
    x = np.random.default_rng(1).uniform(0, 1, net.input.shape).astype(np.float32)
    scores = whole.plain(tmp_path / "net.onnx", x=x)["y"][0]
    found = Descent(net, detections(net)[0], {}).run(x, [0, 1, 2])
    assert [one.relevance.sum() for one in found] == pytest.approx(scores, rel=1e-5)
    assert all(one.relevance.min() >= 0 for one in found)
