"""What each family does with relevance, on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from heatcli.network import patterns
from heatcli.network.layers import Chain, Extremum, Gating
from tests import single


def array(*values):
    return np.array([values], float)


def shared(nodes, values, r, *, rule="pass", constants=None, last="y", opset=18):
    """Send ``r`` through nodes over the data tensors ``values`` (all tensors by name, the last node's output too).

    Return the relevance of every tensor that no node makes, by name, and what was booked (biases, constants, lost).
    """
    shapes = {name: value.shape for name, value in values.items()}
    layers = []
    for node in nodes:
        layers += single.read_node(node, shapes, constants or {}, shapes, opset=opset)
    sources = [name for name in values if not any(name in node.output for node in nodes)]
    layers = patterns.recognise(layers, shapes, last, sources[0])
    found, booked = {}, None
    for source in sources:
        net = single.network_of(layers, shapes, source)
        closes = len(sources) == 1 and rule != "gradient"
        found[source], booked = single.relevance(net, single.named(rule), values, r, closes=closes)
    if rule != "gradient":
        assert sum(part.sum() for part in found.values()) + booked.sum() == pytest.approx(r.sum(), abs=1e-12)
    return found, booked, layers[-1]


def equal(found, *expected):
    np.testing.assert_allclose(found, np.array([expected]), atol=1e-12)


def node(operation, inputs, output="y", **attributes):
    return helper.make_node(operation, inputs.split(), [output], **attributes)


# extrema --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["Max", "Min"])
@pytest.mark.parametrize("rule", ["pass", "gradient"])
def test_the_winner_takes_all_and_the_first_of_equals(operation, rule):
    a, c = array(1, 5, 3), array(2, 4, 3)
    best = np.maximum if operation == "Max" else np.minimum
    found, booked, layer = shared(
        [node(operation, "a c")], {"a": a, "c": c, "y": best(a, c)}, array(1, 10, 100), rule=rule
    )
    assert isinstance(layer, Extremum)
    wins = {"Max": ((0, 10, 100), (1, 0, 0)), "Min": ((1, 0, 100), (0, 10, 0))}[operation]
    equal(found["a"], *wins[0])
    equal(found["c"], *wins[1])
    assert not booked.any()


def test_of_three_operands_one_wins():
    a, c, d = array(1, 0, 0), array(0, 2, 0), array(0, 2, 3)
    found, _, _ = shared(
        [node("Max", "a c d")], {"a": a, "c": c, "d": d, "y": array(1, 2, 3)}, array(1, 10, 100), rule="pass"
    )
    equal(found["a"], 1, 0, 0)
    equal(found["c"], 0, 10, 0)
    equal(found["d"], 0, 0, 100)


def test_what_a_constant_wins_is_booked():
    a, k = array(1, 5, 3), array(2, 4, 3)
    found, booked, _ = shared(
        [node("Max", "k a")], {"a": a, "y": np.maximum(a, k)}, array(1, 10, 100), constants={"k": k}
    )
    equal(found["a"], 0, 10, 0)  # equals go to the first, here the constant
    np.testing.assert_allclose(booked, [0, 101, 0])


def test_a_broadcast_operand_collects_its_wins():
    a, c = np.array([[[1.0, 5.0], [7.0, 2.0]]]), np.array([[[3.0], [6.0]]])
    found, _, _ = shared(
        [node("Max", "a c")],
        {"a": a, "c": c, "y": np.maximum(a, c)},
        np.array([[[1.0, 10.0], [100.0, 1000.0]]]),
    )
    equal(found["a"], [0, 10], [100, 0])
    equal(found["c"], [1], [1000])


# gating ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid", "Tanh", "Erf"])
@pytest.mark.parametrize("order", ["a g", "g a"])
def test_the_signal_takes_all(gate, order):
    a, c, g = array(1, -2), array(3, 1), array(0.5, 0.7)
    found, booked, layer = shared(
        [node(gate, "c", "g"), node("Mul", order)], {"a": a, "c": c, "g": g, "y": a * g}, array(1, 10)
    )
    assert isinstance(layer, Gating)
    equal(found["a"], 1, 10)
    assert not found["c"].any()
    assert not booked.any()


def test_a_gate_is_one_behind_moves_and_constants_too():
    a, c = np.ones((1, 2, 2, 2)), np.ones((1, 2))
    nodes = [
        node("Sigmoid", "c", "s"),
        node("Mul", "s two", "t"),
        node("Unsqueeze", "t axes", "u"),
        node("Expand", "u shape", "e"),
        node("Mul", "e a"),
    ]
    values = {"c": c, "a": a, "s": c, "t": c, "u": c.reshape(1, 2, 1, 1), "e": a, "y": a}
    constants = {"two": np.array(2.0), "axes": np.array([2, 3]), "shape": np.array([1, 2, 2, 2])}
    found, _, _ = shared(nodes, values, np.arange(8.0).reshape(1, 2, 2, 2), constants=constants)
    np.testing.assert_array_equal(found["a"].reshape(-1), np.arange(8))
    assert not found["c"].any()


def test_a_clipped_ramp_is_a_gate_and_an_open_one_is_not():
    a, c = array(1, 2), array(0.5, 0.25)
    values = {"a": a, "c": c, "g": c, "y": a * c}
    for constants, inputs, expected in (
        ({"zero": np.array(0.0), "one": np.array(1.0)}, "c zero one", (1, 10)),
        ({"zero": np.array(0.0)}, "c zero", (0.5, 5)),
    ):
        found, _, _ = shared([node("Clip", inputs, "g"), node("Mul", "g a")], values, array(1, 10), constants=constants)
        equal(found["a"], *expected)


def test_two_signals_get_half_each():
    a, c = array(1, 2), array(3, 4)
    found, _, _ = shared([node("Mul", "a c")], {"a": a, "c": c, "y": a * c}, array(1, 10))
    equal(found["a"], 0.5, 5)
    equal(found["c"], 0.5, 5)


def test_two_gates_get_half_each():
    a, c = array(1, 2), array(3, 4)
    nodes = [node("Tanh", "a", "t"), node("Sigmoid", "c", "s"), node("Mul", "t s")]
    found, _, _ = shared(nodes, {"a": a, "c": c, "t": a, "s": c, "y": a * c}, array(1, 10))
    equal(found["a"], 0.5, 5)
    equal(found["c"], 0.5, 5)


@pytest.mark.parametrize("order", ["a c", "c a"])
def test_the_side_of_broadcast_shape_is_the_gate(order):
    a, c = np.ones((1, 2, 2)), np.ones((1, 2, 1))
    found, _, _ = shared([node("Mul", order)], {"a": a, "c": c, "y": a}, np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    equal(found["a"], [1, 2], [3, 4])
    assert not found["c"].any()


def test_half_each_is_summed_over_what_was_broadcast():
    a, c = np.ones((1, 2, 1)), np.ones((1, 1, 2))
    found, _, _ = shared(
        [node("Mul", "a c")], {"a": a, "c": c, "y": np.ones((1, 2, 2))}, np.array([[[1.0, 2.0], [3.0, 4.0]]])
    )
    equal(found["a"], [1.5], [3.5])
    equal(found["c"], [2, 3])


def test_the_dividend_takes_all():
    a, c = array(1, 2), array(3, 4)
    found, _, _ = shared([node("Div", "a c")], {"a": a, "c": c, "y": a / c}, array(1, 10))
    equal(found["a"], 1, 10)
    assert not found["c"].any()


def test_gradients_of_product_and_quotient():
    a, c = array(1, 2), array(4, 5)
    found, _, _ = shared([node("Mul", "a c")], {"a": a, "c": c, "y": a * c}, array(1, 10), rule="gradient")
    equal(found["a"], 4, 50)
    equal(found["c"], 1, 20)
    found, _, _ = shared([node("Div", "a c")], {"a": a, "c": c, "y": a / c}, array(1, 10), rule="gradient")
    equal(found["a"], 1 / 4, 10 / 5)
    equal(found["c"], -1 / 16, -20 / 25)


# chains and elementwise layers ----------------------------------------------------------------------------------------


def silu():
    x = array(-1, 2)
    s = 1 / (1 + np.exp(-x))
    return [node("Sigmoid", "x", "s"), node("Mul", "x s")], {"x": x, "s": s, "y": x * s}


def test_a_chain_passes_relevance():
    nodes, values = silu()
    found, booked, layer = shared(nodes, values, array(3, 5))
    assert isinstance(layer, Chain)
    equal(found["x"], 3, 5)
    assert not booked.any()


def test_the_gradient_of_a_chain_collects_both_ways():
    nodes, values = silu()
    x, s = values["x"], values["s"]
    found, _, _ = shared(nodes, values, array(3, 5), rule="gradient")
    np.testing.assert_allclose(found["x"], array(3, 5) * (s + x * s * (1 - s)))


@pytest.mark.parametrize(
    ("operation", "constants"), [("Relu", ""), ("Sigmoid", ""), ("Abs", ""), ("Mul", "k"), ("Add", "k"), ("Div", "k")]
)
def test_elementwise_layers_are_passed_by(operation, constants):
    x = array(-1, 2)
    found, booked, _ = shared(
        [node(operation, f"x {constants}")], {"x": x, "y": x}, array(3, 5), constants={"k": np.array([-2.0, 4.0])}
    )
    equal(found["x"], 3, 5)
    assert not booked.any()


def test_a_constant_that_broadcasts_up_gathers_relevance():
    x, k = array(1, 2)[..., None], np.array([[2.0, -1.0, 4.0]])
    r = np.array([[[1.0, 2, 3], [4, 5, 6]]])
    found, _, _ = shared([node("Mul", "x k")], {"x": x, "y": x * k}, r, constants={"k": k})
    equal(found["x"], [6], [15])
    found, _, _ = shared([node("Mul", "x k")], {"x": x, "y": x * k}, r, constants={"k": k}, rule="gradient")
    equal(found["x"], [2 - 2 + 12], [8 - 5 + 24])


# normalisation, attention ---------------------------------------------------------------------------------------------


NORMALISED = {
    "LRN": node("LRN", "x", size=3),
    "LayerNormalization": node("LayerNormalization", "x k k"),
    "InstanceNormalization": node("InstanceNormalization", "x k k"),
    "RMSNormalization": node("RMSNormalization", "x k"),
}


@pytest.mark.parametrize("operation", NORMALISED)
def test_normalisation_is_passed_by(operation):
    random = np.random.default_rng(0)
    x, y, r = (random.normal(size=(1, 2, 3, 2)) for _ in range(3))
    found, booked, _ = shared([NORMALISED[operation]], {"x": x, "y": y}, r, constants={"k": array(2, -3)[0]}, opset=23)
    np.testing.assert_allclose(found["x"], r)
    assert not booked.any()


def test_the_gradient_of_a_layer_normalisation():
    """By hand, for x of two elements: n = ±d / √(d² + ε) with d half their difference."""
    x, r, scale, epsilon = array(3.0, 1.0), array(5.0, 7.0), np.array([2.0, -1.0]), 0.25
    nodes = [node("LayerNormalization", "x scale shift", epsilon=epsilon)]
    values, constants = {"x": x, "y": x}, {"scale": scale, "shift": np.array([1.0, 1.0])}
    found, _, _ = shared(nodes, values, r, rule="gradient", constants=constants)
    slope = 0.5 * epsilon / (1 + epsilon) ** 1.5 * (5.0 * 2.0 + 7.0 * 1.0)  # ∂n/∂d = ε / (d² + ε)^(3/2), d = 1
    equal(found["x"], slope, -slope)


def test_the_gradient_of_a_softmax():
    """(diag y − y yᵀ) r, for every row."""
    y, r = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]), np.array([[1.0, -2, 3], [4, 5, -6]])
    found, _, _ = shared([node("Softmax", "x", axis=1)], {"x": np.log(y), "y": y}, r, rule="gradient")
    for place in (0, 1):
        jacobian = np.diag(y[place]) - np.outer(y[place], y[place])
        np.testing.assert_allclose(found["x"][place], jacobian @ r[place], atol=1e-12)


def test_a_softmax_that_is_no_weight_is_passed_by():
    y = array(0.25, 0.75)
    found, booked, _ = shared([node("Softmax", "x", axis=1)], {"x": np.log(y), "y": y}, array(3, 5))
    equal(found["x"], 3, 5)
    assert not booked.any()


# moving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["constant", "data"])
def test_where_gives_back_to_the_branch_taken(mask):
    a, c, chosen = array(1, 2, 3), array(4, 5, 6), np.array([[True, False, True]])
    values = {"a": a, "c": c, "y": np.where(chosen, a, c)}
    if mask == "constant":
        found, booked, _ = shared([node("Where", "t a c")], values, array(1, 10, 100), constants={"t": chosen})
    else:
        nodes, values = [node("Less", "a c", "t"), node("Where", "t a c")], {**values, "t": chosen}
        found, booked, _ = shared(nodes, values, array(1, 10, 100))
    equal(found["a"], 1, 0, 100)
    equal(found["c"], 0, 10, 0)
    assert not booked.any()


def test_what_where_takes_from_a_constant_is_booked():
    a, chosen = np.array([[[1.0], [2.0]]]), np.array([[True, False, True]])
    y = np.where(chosen, a, 7.0)
    found, booked, _ = shared(
        [node("Where", "t a k")],
        {"a": a, "y": y},
        np.array([[[1.0, 10, 100], [1000, 10000, 100000]]]),
        constants={"t": chosen, "k": np.array(7.0)},
    )
    equal(found["a"], [101], [101000])
    np.testing.assert_allclose(booked, [0, 10010, 0])


def test_what_arrives_at_a_comparison_is_lost():
    a, c = array(1, 5), array(2, 4)
    nodes, values = [node("Greater", "a c", "t"), node("Cast", "t", to=1)], {"a": a, "c": c, "y": array(0, 1)}
    found, booked, _ = shared(nodes, {**values, "t": np.array([[False, True]])}, array(3, 5))
    assert not found["a"].any()
    assert not found["c"].any()
    np.testing.assert_allclose(booked, [0, 0, 8])


def test_padding_books_its_frame():
    x = np.ones((1, 1, 2))
    found, booked, _ = shared(
        [node("Pad", "x pads k")],
        {"x": x, "y": np.ones((1, 1, 5))},
        np.array([[[1.0, 10, 100, 1000, 10000]]]),
        constants={"pads": np.array([0, 0, 1, 0, 0, 2]), "k": np.array(1.0)},
    )
    equal(found["x"], [10, 100])
    np.testing.assert_allclose(booked, [0, 11001, 0])


def test_padding_that_crops():
    x = np.ones((1, 1, 4))
    found, booked, _ = shared(
        [node("Pad", "x pads k")],
        {"x": x, "y": np.ones((1, 1, 4))},
        np.array([[[1.0, 10, 100, 1000]]]),
        constants={"pads": np.array([0, 0, -1, 0, 0, 1]), "k": np.array(1.0)},
    )
    equal(found["x"], [0, 1, 10, 100])
    np.testing.assert_allclose(booked, [0, 1000, 0])


def test_concatenation_books_its_constants():
    a, c = array(1, 2), array(3)
    found, booked, _ = shared(
        [node("Concat", "k a c a", axis=1)],
        {"a": a, "c": c, "y": array(9, 1, 2, 3, 1, 2)},
        array(1, 10, 100, 1000, 10000, 100000),
        constants={"k": array(9)},
    )
    equal(found["a"], 10010, 100100)
    equal(found["c"], 1000)
    np.testing.assert_allclose(booked, [0, 1, 0])


def test_gathering_accumulates():
    x = array(1, 2, 3)
    found, _, _ = shared(
        [node("Gather", "x at", axis=1)],
        {"x": x, "y": array(3, 1, 3, 2)},
        array(1, 10, 100, 1000),
        constants={"at": np.array([2, 0, -1, 1])},
    )
    equal(found["x"], 10, 1000, 101)


def test_slicing_backwards():
    x = array(1, 2, 3, 4)
    found, _, _ = shared(
        [node("Slice", "x start end axis step")],
        {"x": x, "y": array(4, 2)},
        array(1, 10),
        constants={k: np.array([v]) for k, v in {"start": -1, "end": -9, "axis": -1, "step": -2}.items()},
    )
    equal(found["x"], 0, 10, 0, 1)


def test_splitting_and_joining():
    x = array(1, 2, 3)
    nodes = [helper.make_node("Split", ["x", "sizes"], ["a", "c"], axis=1), node("Concat", "c a c", axis=1)]
    values = {"x": x, "a": array(1, 2), "c": array(3), "y": array(3, 1, 2, 3)}
    found, _, _ = shared(nodes, values, array(1, 10, 100, 1000), constants={"sizes": np.array([2, 1])})
    equal(found["x"], 10, 100, 1001)


def test_expanding_is_summed_back():
    x = np.array([[[1.0], [2.0]]])
    found, _, _ = shared(
        [node("Expand", "x shape")],
        {"x": x, "y": np.ones((2, 2, 2))},
        np.arange(8.0).reshape(2, 2, 2),
        constants={"shape": np.array([2, 2, 2])},
    )
    equal(found["x"], [0 + 1 + 4 + 5], [2 + 3 + 6 + 7])


def test_transposing():
    x = np.arange(6.0).reshape(1, 2, 3)
    found, _, _ = shared(
        [node("Transpose", "x", perm=[2, 0, 1])], {"x": x, "y": x.transpose(2, 0, 1)}, x.transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(found["x"], x)


# sums in proportion ---------------------------------------------------------------------------------------------------


def test_summands_share_what_they_add():
    a, c = array(3, 3, -1, -1), array(1, -1, 2, -3)
    found, booked, _ = shared(
        [node("Add", "a c")], {"a": a, "c": c, "y": a + c}, array(8, 8, 8, 8), rule="proportional"
    )
    equal(found["a"], 6, 8, 0, 2)  # where both are negative, they share as much as they are
    equal(found["c"], 2, 0, 8, 6)
    assert not booked.any()


def test_what_is_subtracted_shares_with_the_opposite_sign():
    a, c = array(3, 3, -1, -1), array(1, -1, 2, -3)
    found, booked, _ = shared(
        [node("Sub", "a c")], {"a": a, "c": c, "y": a - c}, array(12, 12, 12, 12), rule="proportional"
    )
    equal(found["a"], 12, 9, 4, 0)
    equal(found["c"], 0, 3, 8, 12)
    assert not booked.any()


def test_nothing_plus_nothing_is_lost():
    a, c = array(0, 1), array(0, 1)
    found, booked, _ = shared([node("Add", "a c")], {"a": a, "c": c, "y": a + c}, array(8, 2), rule="proportional")
    equal(found["a"], 0, 1)
    np.testing.assert_allclose(booked, [0, 0, 8])


def test_a_broadcast_summand_collects_its_shares():
    a, c = np.array([[[1.0, 3.0], [-1.0, 2.0]]]), np.array([[[1.0], [2.0]]])
    found, _, _ = shared(
        [node("Add", "a c")], {"a": a, "c": c, "y": a + c}, np.full((1, 2, 2), 4.0), rule="proportional"
    )
    equal(found["a"], [2, 3], [0, 2])
    equal(found["c"], [2 + 1], [4 + 2])


def test_a_constant_summand_is_booked():
    a, k = np.array([[[1.0, 3.0], [4.0, 2.0]]]), np.array([[[3.0, 1.0], [0.0, -5.0]]])
    found, booked, _ = shared(
        [node("Sum", "k a")], {"a": a, "y": a + k}, np.full((1, 2, 2), 4.0), rule="proportional", constants={"k": k}
    )
    equal(found["a"], [1, 3], [4, 4])
    np.testing.assert_allclose(booked, [0, 4, 0])


def test_a_mean_shares_like_a_sum():
    a, c, d = array(1, 1), array(2, -2), array(1, 3)
    found, _, _ = shared(
        [node("Mean", "a c d")], {"a": a, "c": c, "d": d, "y": (a + c + d) / 3}, array(4, 4), rule="proportional"
    )
    equal(found["a"], 1, 1)
    equal(found["c"], 2, 0)
    equal(found["d"], 1, 3)


# pooling in proportion ------------------------------------------------------------------------------------------------


def pooled(operation, x, rule="proportional"):
    """Return what each element gets of 12 at the only output, and what was booked."""
    x = np.array(x, float).reshape(1, 1, 2, 2)
    largest = "Max" in operation
    y = x.max() if largest else x.mean()
    keep = {"kernel_shape": [2, 2]} if operation in ("MaxPool", "AveragePool") else {}
    axes = {"axes": [2, 3]} if operation.startswith("Reduce") else {}
    found, booked, _ = shared(
        [node(operation, "x", **keep, **axes)],
        {"x": x, "y": np.full((1, 1, 1, 1), y)},
        np.full((1, 1, 1, 1), 12.0),
        rule=rule,
        opset=11,
    )
    return found["x"].reshape(-1), booked


AVERAGES = ("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum")
MAXIMA = ("MaxPool", "GlobalMaxPool", "ReduceMax")


@pytest.mark.parametrize("operation", AVERAGES + MAXIMA)
def test_a_window_shares_in_proportion_to_its_positive_activations(operation):
    found, booked = pooled(operation, [1, 3, -9, 2])
    np.testing.assert_allclose(found, [2, 6, 0, 4])
    assert not booked.any()


@pytest.mark.parametrize("operation", AVERAGES)
def test_an_average_of_negative_activations(operation):
    """The shares are x_j / Σ x_j, whatever the sign that all of them have."""
    found, booked = pooled(operation, [-1, -3, 0, -2])
    np.testing.assert_allclose(found, [2, 6, 0, 4])
    assert not booked.any()


@pytest.mark.parametrize("operation", MAXIMA)
def test_negative_activations_alone_share_by_their_size(operation):
    """x_j / Σ x_j, as the paper's 5.2 has it for pooling, whatever the common sign."""
    found, booked = pooled(operation, [-3, -1, -4, -2])
    np.testing.assert_allclose(found, [3.6, 1.2, 4.8, 2.4])
    assert not booked.any()


@pytest.mark.parametrize("operation", AVERAGES)
def test_a_window_of_zeros_is_lost(operation):
    found, booked = pooled(operation, [0, 0, 0, 0])
    assert not found.any()
    np.testing.assert_allclose(booked, [0, 0, 12])


@pytest.mark.parametrize("operation", MAXIMA)
@pytest.mark.parametrize("rule", ["winner", "gradient"])
def test_winner_takes_all(operation, rule):
    found, booked = pooled(operation, [1, 3, -9, 3], rule=rule)
    np.testing.assert_allclose(found, [0, 12, 0, 0])
    assert not booked.any()


def test_overlapping_windows_accumulate():
    x = np.array([[[1.0, 3.0, 1.0]]])
    values = {"x": x, "y": np.array([[[3.0, 3.0]]])}
    found, _, _ = shared(
        [node("MaxPool", "x", kernel_shape=[2])], values, np.array([[[4.0, 8.0]]]), rule="proportional"
    )
    equal(found["x"], [1, 3 + 6, 2])
