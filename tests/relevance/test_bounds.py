"""Which layers come first, and how far black and white bound what lies before them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli import network
from heatcli.planning import layerwise
from heatcli.relevance.bounds import bounded_inputs, first_layers
from tests import dense

LOW, HIGH = -1.0, 2.0
SHAPE = (1, 2, 4, 4)
SCALE = np.array([2, -3], "float32").reshape(2, 1, 1)
WEIGHTS = np.random.default_rng(0).normal(size=(3, 2, 2, 2)).astype("float32")
CONSTANTS = {
    "w": WEIGHTS,
    "w4": np.random.default_rng(1).normal(size=(3, 4, 2, 2)).astype("float32"),
    "w3": np.random.default_rng(2).normal(size=(2, 2, 3, 3)).astype("float32"),
    "w1": np.random.default_rng(3).normal(size=(3, 1, 2, 2)).astype("float32"),
    "scale": SCALE,
    "one": np.array(1, "float32"),
    "two": np.array(2, "float32"),
    "five": np.array(5, "float32"),
    "half": np.array(0.5, "float32"),
    "frame": np.array([0, 0, 1, 0, 0, 0, 0, 0]),
    "slope": np.array([-0.5, 0.5], "float32").reshape(2, 1, 1),
}


def node(operation, inputs, output, **attributes):
    return helper.make_node(operation, inputs.split(), [output], **attributes)


def write(path, front, *, last="z", shape=SHAPE):
    """Write a classifier that starts with ``front`` and ends with a global average of ``last``."""
    nodes = [*front, node("GlobalAveragePool", last, "y")]
    used = {name for entry in nodes for name in entry.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in CONSTANTS.items() if name in used],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def between(front, low, high):
    """Return a case: the nodes from x to q, and the bounds of q, each a number or an array that broadcasts to it."""
    return front, low, high


AVERAGE = {"kernel_shape": [2, 2]}
KEEPING = {
    "nothing": between([], -1, 2),
    "Mul": between([node("Mul", "x scale", "q")], np.array([[-2], [-6]])[..., None], np.array([[4], [3]])[..., None]),
    "Sub": between([node("Sub", "x two", "q")], -3, 0),
    "subtracted": between([node("Sub", "two x", "q")], 0, 3),
    "Neg, Relu": between([node("Neg", "x", "n"), node("Relu", "n", "q")], 0, 1),
    "Relu": between([node("Relu", "x", "q")], 0, 2),
    "LeakyRelu": between([node("LeakyRelu", "x", "q", alpha=0.5)], -0.5, 2),
    "Clip": between([node("Clip", "x half one", "q")], 0.5, 1),
    "Sigmoid": between([node("Sigmoid", "x", "q")], 1 / (1 + np.exp(1)), 1 / (1 + np.exp(-2))),
    "AveragePool": between([node("AveragePool", "x", "q", **AVERAGE)], -1, 2),
    "MaxPool": between([node("MaxPool", "x", "q", **AVERAGE)], -1, 2),
    "Pad": between(
        [node("Pad", "x frame five", "q")],
        np.array([5, -1, -1, -1, -1])[:, None],
        np.array([5, 2, 2, 2, 2])[:, None],
    ),
    "Mul, Transpose": between(
        [node("Mul", "x scale", "m"), node("Transpose", "m", "q", perm=[0, 2, 1, 3])],
        np.array([[-2], [-6]]),
        np.array([[4], [3]]),
    ),
    "sum of both": between(
        [node("AveragePool", "x", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Add", "x a", "q")], -2, 4
    ),
    "larger of both": between(
        [node("AveragePool", "x", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Add", "a one", "b"),
         node("Max", "x b", "q")], 0, 3
    ),
}  # fmt: skip

OTHERS = {
    "Abs": [node("Abs", "x", "q")],
    "Pow": [node("Pow", "x two", "q")],
    "square": [node("Mul", "x x", "q")],
    "LeakyRelu of negative slope": [node("LeakyRelu", "x", "q", alpha=-0.5)],
    "PRelu of negative slope": [node("PRelu", "x slope", "q")],
    "SiLU": [node("Sigmoid", "x", "s"), node("Mul", "x s", "q")],
    "HardSwish": [node("HardSwish", "x", "q")],
    "LRN": [node("LRN", "x", "q", size=3)],
    "difference of both": [
        node("AveragePool", "x", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Sub", "x a", "q"),
    ],
    "gate": [
        node("AveragePool", "x", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Sigmoid", "a", "g"),
        node("Mul", "x g", "q"),
    ],
    "mixed signs, then a sum": [node("Mul", "x scale", "m"), node("ReduceSum", "m axis", "q")],
    "mixed signs, then a mean": [node("Mul", "x scale", "m"), node("ReduceMean", "m", "q", axes=[1])],
    "mixed signs, then a maximum": [node("Mul", "x scale", "m"), node("ReduceMax", "m", "q", axes=[1])],
    "mixed signs, then a sum with itself": [
        node("Mul", "x scale", "m"), node("Transpose", "m", "t", perm=[0, 1, 3, 2]), node("Add", "t x", "q"),
    ],
    "broken, then kept": [node("Abs", "x", "a"), node("Sigmoid", "a", "q")],
}  # fmt: skip
CONSTANTS["axis"] = np.array([1])
ONE_CHANNEL = ("mixed signs, then a sum", "mixed signs, then a mean", "mixed signs, then a maximum")


def first_only(path, front, weights="w"):
    return write(path, [*front, node("Conv", f"{'q' if front else 'x'} {weights}", "z")])


@pytest.mark.parametrize("name", KEEPING)
def test_black_and_white_are_pushed_through(tmp_path, name):
    front, low, high = KEEPING[name]
    weights = "w" if name != "Mul, Transpose" else "w4"
    net = network.read(first_only(tmp_path / "m.onnx", front, weights))
    source = bounded_inputs(net)
    assert first_layers(net) == ("z",)
    assert source is not None
    assert len(source) == 1
    ends = (np.full((1, 1, 1, 1), LOW, "float32"), np.full((1, 1, 1, 1), HIGH, "float32"))
    found = layerwise.push(net, ends, source, None)[source[0]]
    shape = net.shapes[source[0]]
    np.testing.assert_allclose(found[0], np.broadcast_to(low, shape), atol=1e-6)
    np.testing.assert_allclose(found[1], np.broadcast_to(high, shape), atol=1e-6)


def explained(path, **settings):
    """Explain a picture within the range whose best class has a positive score."""
    explainer = heatcli.load(path, range=(LOW, HIGH), precision="float64")
    for seed in range(20):
        x = np.random.default_rng(seed).uniform(LOW, HIGH, explainer.network.input.shape).astype("float32")
        explanation = explainer.explain(x, **settings)
        if explanation.score > 0:
            return explanation, x
    raise AssertionError("no positive score")


@pytest.mark.parametrize("name", KEEPING)
def test_the_first_layer_gets_z_box(tmp_path, name):
    weights = "w" if name != "Mul, Transpose" else "w4"
    path = first_only(tmp_path / "m.onnx", KEEPING[name][0], weights)
    explanation, _ = explained(path)
    assert explanation.settings["input_rule"] == "zB"
    assert not any("zB" in warning for warning in explanation.warnings)
    assert explanation.relevance.min() >= 0
    assert abs(explanation.ledger.error) <= 1e-9


@pytest.mark.parametrize("name", OTHERS)
def test_where_order_is_lost_there_are_no_bounds(tmp_path, name):
    path = first_only(tmp_path / "m.onnx", OTHERS[name], "w1" if name in ONE_CHANNEL else "w")
    net = network.read(path)
    assert first_layers(net) == ("z",)
    assert bounded_inputs(net) is None
    explanation, _ = explained(path)
    assert explanation.settings["input_rule"] == "w2"
    assert any("w2 instead of zB" in warning for warning in explanation.warnings)
    assert explanation.relevance.min() >= 0
    with pytest.raises(heatcli.HeatcliError, match="zB"):
        explained(path, input_rule="zB")


def rules_of(explanation):
    return {row.name: row.rule for row in explanation.ledger.layers}


def test_two_parallel_first_layers_have_a_range_each(tmp_path):
    front = [
        node("Conv", "x w", "a"),
        node("Relu", "x", "q"),
        node("Conv", "q w", "b"),
        node("Concat", "a b", "z", axis=1),
    ]
    path = write(tmp_path / "m.onnx", front)
    net = network.read(path)
    assert sorted(first_layers(net)) == ["a", "b"]
    assert sorted(bounded_inputs(net)) == ["q", "x"]
    ends = (np.full((1, 1, 1, 1), LOW, "float32"), np.full((1, 1, 1, 1), HIGH, "float32"))
    pushed = layerwise.push(net, ends, bounded_inputs(net), None)
    assert {name: (low.min(), low.max(), high.min(), high.max()) for name, (low, high) in pushed.items()} == {
        "x": (LOW, LOW, HIGH, HIGH),
        "q": (0, 0, HIGH, HIGH),
    }
    assert explained(path)[0].settings["input_rule"] == "zB"
    assigned = heatcli.load(path, range=(LOW, HIGH)).assigned_rules()
    assert assigned["a"] == assigned["b"] == "zB"


def test_one_unbounded_first_layer_takes_the_range_from_all(tmp_path):
    front = [
        node("Conv", "x w", "a"),
        node("Abs", "x", "q"),
        node("Conv", "q w", "b"),
        node("Concat", "a b", "z", axis=1),
    ]
    path = write(tmp_path / "m.onnx", front)
    assert bounded_inputs(network.read(path)) is None
    assigned = heatcli.load(path, range=(LOW, HIGH)).assigned_rules()
    assert assigned["a"] == assigned["b"] == "w2"


MIXED = {
    "Concat": ([node("Concat", "x a", "q", axis=1), node("Conv", "q w4", "z")], "z"),
    "Add": ([node("Add", "x a", "q"), node("Conv", "q w", "z")], "z"),
    "Max": ([node("Max", "x a", "q"), node("Conv", "q w", "z")], "z"),
    "Mul": ([node("Sigmoid", "a", "g"), node("Mul", "x g", "q"), node("Conv", "q w", "z")], "z"),
    "late": ([node("Add", "x a", "q"), node("Relu", "q", "p"), node("Conv", "p w", "z")], "z"),
}


@pytest.mark.parametrize("name", MIXED)
def test_pixels_mixed_with_features_are_no_pixels(tmp_path, name):
    """Only the convolution of the picture alone is first; the one behind the mixture is as any other."""
    rest, last = MIXED[name]
    path = write(tmp_path / "m.onnx", [node("Conv", "x w3", "a", pads=[1, 1, 1, 1]), *rest], last=last)
    net = network.read(path)
    assert first_layers(net) == ("a",)
    assert bounded_inputs(net) == ("x",)
    explanation, _ = explained(path)
    rules = rules_of(explanation)
    assert rules[last] == "z+"
    assert rules.get("a", "zB") == "zB"
    assert heatcli.load(path, range=(LOW, HIGH)).assigned_rules()["a"] == "zB"
    assert explanation.relevance.min() >= 0


def test_first_layer_by_hand(tmp_path):
    """Pixels scaled by numbers of either sign: z^B with the pushed range, worked out over the dense matrix."""
    path = first_only(tmp_path / "m.onnx", [node("Mul", "x scale", "q")])
    explanation, x = explained(path)
    geometry = dense.Geometry((4, 4), (2, 2), (1, 1), (1, 1), (0, 0, 0, 0))
    matrix = dense.convolution(WEIGHTS.astype(float), 1, geometry)
    q = (x * SCALE).astype(float)
    y = (q.reshape(-1) @ matrix).reshape(3, 9)
    scores = y.mean(axis=1)
    best = int(scores.argmax())
    r = np.zeros((3, 9))
    r[best] = np.maximum(y[best], 0) / np.maximum(y[best], 0).sum() * scores[best]
    ends = np.stack([np.broadcast_to(end * SCALE, SHAPE) for end in (LOW, HIGH)])
    low, high = ends.min(axis=0).reshape(-1), ends.max(axis=0).reshape(-1)
    expected = dense.rule("zB", q.reshape(-1), matrix, np.zeros(27), r.reshape(-1), low, high)
    np.testing.assert_allclose(explanation.relevance.reshape(-1), expected, rtol=1e-5, atol=1e-6)
