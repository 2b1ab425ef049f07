"""Chains, gates and affine layers are recognised by what they compute, in whatever spelling."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from heatcli.network import patterns
from heatcli.network.layers import Activation, Affine, Chain, Convolution, DataProduct, Dense, Gating, Summation
from tests import single

SHAPE = (1, 4, 3, 3)


def read(nodes, constants, shapes):
    """Read several nodes over the input ``x`` and recognise patterns; the last node's output counts as the scores."""
    layers = []
    known = {"x": SHAPE, **shapes}
    for node in nodes:
        layers += single.read_node(node, {"x": SHAPE}, constants, known)
    return patterns.recognise(layers, known, nodes[-1].output[0], "x")


def one(value):
    return np.array(value, "float32")


SPELLINGS = {
    "silu": (
        [("Sigmoid", ["x"], "s"), ("Mul", ["x", "s"], "y")],
        {},
    ),
    "hard-swish as HardSigmoid and Mul": (
        [("HardSigmoid", ["x"], "s"), ("Mul", ["s", "x"], "y")],
        {},
    ),
    "hard-swish as Add, Clip, Mul, Div": (
        [
            ("Add", ["x", "three"], "a"),
            ("Clip", ["a", "zero", "six"], "c"),
            ("Div", ["c", "six"], "d"),
            ("Mul", ["x", "d"], "y"),
        ],
        {"three": one(3), "zero": one(0), "six": one(6)},
    ),
    "gelu by Erf": (
        [
            ("Div", ["x", "root"], "d"),
            ("Erf", ["d"], "e"),
            ("Add", ["e", "one"], "p"),
            ("Mul", ["x", "p"], "m"),
            ("Mul", ["m", "half"], "y"),
        ],
        {"root": one(1.41421356), "one": one(1), "half": one(0.5)},
    ),
    "gelu by Tanh": (
        [
            ("Mul", ["x", "x"], "x2"),
            ("Mul", ["x2", "x"], "x3"),
            ("Mul", ["x3", "k"], "kx3"),
            ("Add", ["x", "kx3"], "i"),
            ("Mul", ["i", "r"], "ri"),
            ("Tanh", ["ri"], "t"),
            ("Add", ["t", "one"], "t1"),
            ("Mul", ["x", "t1"], "m"),
            ("Mul", ["m", "half"], "y"),
        ],
        {"k": one(0.044715), "r": one(0.7978846), "one": one(1), "half": one(0.5)},
    ),
    "mish": (
        [("Softplus", ["x"], "p"), ("Tanh", ["p"], "t"), ("Mul", ["x", "t"], "y")],
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_elementwise_chain_is_one_activation(name):
    spelled, constants = SPELLINGS[name]
    nodes = [helper.make_node(operation, inputs, [output]) for operation, inputs, output in spelled]
    layers = read(nodes, constants, {node.output[0]: SHAPE for node in nodes})
    chains = [layer for layer in layers if isinstance(layer, Chain)]
    assert len(chains) == 1
    assert chains[0].inputs == ("x",)
    assert all(isinstance(layer, Chain | Affine) for layer in layers)


@pytest.mark.parametrize("name", SPELLINGS)
def test_gradient_of_a_chain_by_finite_differences(name):
    spelled, constants = SPELLINGS[name]
    nodes = [helper.make_node(operation, inputs, [output]) for operation, inputs, output in spelled]
    shapes = {"x": SHAPE, **{node.output[0]: SHAPE for node in nodes}}
    layers = read(nodes, constants, shapes)
    net = single.network_of(layers, shapes, "x")
    x = np.random.default_rng(0).normal(size=SHAPE) * 2
    proto = single.model(nodes, {"x": SHAPE}, constants, "y")
    captured = {}
    for node in nodes:
        proto.graph.output[0].name = node.output[0]
        captured[node.output[0]] = single.run(proto, {"x": x.astype("float32")})
    found, _ = single.relevance(net, single.named("gradient"), {"x": x, **captured}, np.ones(SHAPE))
    proto.graph.output[0].name = "y"
    step = 2e-3
    up, down = (single.run(proto, {"x": (x + d).astype("float32")}) for d in (step, -step))
    np.testing.assert_allclose(found, (up - down) / (2 * step), atol=2e-2)


def test_squeeze_and_excitation_gates_the_signal():
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["g"]),
        helper.make_node("Conv", ["g", "w"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["s", "x"], ["y"]),
    ]
    small = (1, 4, 1, 1)
    layers = read(nodes, {"w": np.ones((4, 4, 1, 1), "float32")}, {"g": small, "c": small, "s": small, "y": SHAPE})
    (gate,) = (layer for layer in layers if isinstance(layer, Gating))
    assert gate.inputs[gate.signal] == "x"


def test_two_signals_share():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["x", "w"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    layers = read(nodes, {"w": np.ones((4, 4, 1, 1), "float32")}, {"a": SHAPE, "b": SHAPE, "y": SHAPE})
    assert next(layer for layer in layers if isinstance(layer, Gating)).signal is None


def test_a_gate_that_is_expanded_is_smaller_than_the_signal():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3]),
        helper.make_node("Expand", ["m", "shape"], ["e"]),
        helper.make_node("Mul", ["e", "a"], ["y"]),
    ]
    shapes = {"a": SHAPE, "m": (1, 4, 1, 1), "e": SHAPE, "y": SHAPE}
    layers = read(nodes, {"w": np.ones((4, 4, 1, 1), "float32"), "shape": np.array(SHAPE)}, shapes)
    assert next(layer for layer in layers if isinstance(layer, Gating)).signal == 1


COMPUTED_ON = {
    "mixed across heads": [
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "w"], ["m"]),
        helper.make_node("Transpose", ["m"], ["a"], perm=[0, 3, 1, 2]),
    ],
    "added to those of places, and one again": [
        helper.make_node("Add", ["s", "places"], ["t"]),
        helper.make_node("ReduceSum", ["t", "last"], ["m"]),
        helper.make_node("Div", ["t", "m"], ["a"]),
    ],
    "nothing where it is not a number": [
        helper.make_node("IsNaN", ["s"], ["t"]),
        helper.make_node("Where", ["t", "zero", "s"], ["a"]),
    ],
}


@pytest.mark.parametrize("form", COMPUTED_ON)
def test_what_is_computed_of_attention_weights_is_weights(form):
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], axis=-1),
        *COMPUTED_ON[form],
        helper.make_node("Relu", ["x"], ["v"]),
        helper.make_node("MatMul", ["a", "v"], ["y"]),
    ]
    constants = {"w": np.ones((3, 3), "float32"), "places": np.ones((3, 4, 4), "float32"), "zero": one(0)}
    heads, turned = (1, 3, 4, 4), (1, 4, 4, 3)
    shapes = dict.fromkeys("xsavty", heads) | {"m": (1, 3, 4, 1)}
    if form == "mixed across heads":
        shapes |= {"t": turned, "m": turned}
    layers = read(nodes, {**constants, "last": np.array([-1])}, shapes)
    product = next(layer for layer in layers if isinstance(layer, DataProduct))
    assert product.inputs[product.values] == "v"


def test_residual_sum_stays_a_sum():
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "x"], ["y"])]
    layers = read(nodes, {"w": np.ones((4, 4, 1, 1), "float32")}, {"a": SHAPE, "y": SHAPE})
    assert isinstance(layers[-1], Summation)


@pytest.mark.parametrize("used_twice", [False, True])
def test_affine_layers_fold_into_the_linear_layer_before_them(used_twice):
    random = np.random.default_rng(0)
    w, b = random.normal(size=(4, 4, 1, 1)).astype("float32"), random.normal(size=4).astype("float32")
    scale, shift = (random.normal(size=(4, 1, 1)).astype("float32") for _ in range(2))
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"]),
        helper.make_node("Mul", ["a", "scale"], ["m"]),
        helper.make_node("Add", ["m", "shift"], ["s"]),
        helper.make_node("Add", ["s", "a" if used_twice else "x"], ["y"]),
    ]
    constants = {"w": w, "b": b, "scale": scale, "shift": shift}
    layers = read(nodes, constants, {"a": SHAPE, "m": SHAPE, "s": SHAPE, "y": SHAPE})
    convolution = layers[0]
    assert isinstance(convolution, Convolution)
    if used_twice:
        assert convolution.name == "a"
        np.testing.assert_array_equal(convolution.weights, w)
    else:
        assert convolution.name == "s"
        np.testing.assert_allclose(convolution.weights, w * scale[..., None])
        np.testing.assert_allclose(convolution.bias, b.reshape(4, 1, 1) * scale + shift, rtol=1e-6)


def test_bias_behind_a_matrix_product_becomes_its_bias():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    layers = read(
        nodes,
        {"w": np.ones((3, 5), "float32"), "b": np.arange(5, dtype="float32")},
        {"m": (1, 4, 3, 5), "y": (1, 4, 3, 5)},
    )
    assert len(layers) == 1
    assert isinstance(layers[0], Dense)
    np.testing.assert_array_equal(layers[0].bias.reshape(-1), np.arange(5))


def test_nonnegative_tensors():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["p", "minus"], ["a"]),
        helper.make_node("Sub", ["r", "p"], ["d"]),
        helper.make_node("Add", ["d", "a"], ["y"]),
    ]
    known = {"x": SHAPE, "r": SHAPE, "p": SHAPE, "a": SHAPE, "d": SHAPE, "y": SHAPE}
    layers = [
        layer for node in nodes for layer in single.read_node(node, {"x": SHAPE}, {"minus": one([[[-1.0]]])}, known)
    ]
    assert patterns.nonnegative(layers) == {"r", "p"}
    assert any(isinstance(layer, Activation) for layer in layers)


def test_parameters_are_counted_without_fixed_weights():
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"]),
        helper.make_node("Add", ["a", "x"], ["s"]),
        helper.make_node("AveragePool", ["s"], ["y"], kernel_shape=[3, 3]),
    ]
    constants = {"w": np.ones((4, 4, 1, 1), "float32"), "b": np.ones(4, "float32")}
    layers = read(nodes, constants, {"a": SHAPE, "s": SHAPE, "y": (1, 4, 1, 1)})
    assert [layer.parameters for layer in layers] == [20, 0, 0]
