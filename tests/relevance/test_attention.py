"""Attention: weights are constants, and relevance goes through the values by the rule of linear layers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import heatcli
from heatcli.network.layers import DataProduct
from tests import single

TOKENS, WIDTH, CLASSES = 5, 6, 3


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def weights(seed=0):
    random = np.random.default_rng(seed)
    shapes = {"q": (4, WIDTH), "k": (4, WIDTH), "v": (4, WIDTH), "o": (TOKENS * WIDTH, CLASSES)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def network(path, w, *, values_first=False):
    """One head over tokens x (1, T, 4): class scores from softmax(Q Kᵀ) V, or from Vᵀ softmax(Q Kᵀ)ᵀ."""
    nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [name]) for name in "qkv"]
    nodes += [
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["s"]),
        helper.make_node("Softmax", ["s"], ["a"], axis=-1),
    ]
    if values_first:
        nodes += [
            helper.make_node("Transpose", ["a"], ["at"], perm=[0, 2, 1]),
            helper.make_node("Transpose", ["v"], ["vt"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["vt", "at"], ["mixed"]),
            helper.make_node("Transpose", ["mixed"], ["mix"], perm=[0, 2, 1]),
        ]
    else:
        nodes.append(helper.make_node("MatMul", ["a", "v"], ["mix"]))
    nodes += [helper.make_node("Flatten", ["mix"], ["flat"]), helper.make_node("MatMul", ["flat", "wo"], ["y"])]
    constants = {f"w{name}": value for name, value in w.items()}
    onnx.save(single.model(nodes, {"x": (1, TOKENS, 4)}, constants, "y"), path)
    return path


def by_hand(w, x):
    """Return attention weights (T, T), values (T, W), mixed values (T, W) in float64."""
    x = x[0].astype(np.float64)
    q, k, v = (x @ w[name].astype(np.float64) for name in "qkv")
    a = softmax(q @ k.T)
    return a, v, a @ v


@pytest.fixture(params=[False, True], ids=["weights first", "values first"])
def head(request, tmp_path):
    w = weights()
    explainer = heatcli.load(network(tmp_path / "head.onnx", w, values_first=request.param), precision="float64")
    for seed in range(50):
        x = np.random.default_rng(seed).normal(size=(1, TOKENS, 4)).astype(np.float32)
        scores = by_hand(w, x)[2].reshape(-1) @ w["o"]
        if scores.max() > 1:
            return explainer, w, x, int(scores.argmax())
    raise AssertionError("no positive score")


def test_which_side_holds_the_values(head):
    explainer, *_ = head
    scores, mixed = [layer for layer in explainer.network.layers if isinstance(layer, DataProduct)]
    assert scores.values is None
    assert explainer.network.shapes[mixed.inputs[mixed.values]] in ((1, TOKENS, WIDTH), (1, WIDTH, TOKENS))


def test_epsilon_zero_is_input_times_gradient_with_weights_detached(head):
    """F is then linear in x: R = x ⊙ ∂f/∂x with the attention weights held fixed."""
    explainer, w, x, target = head
    a, _, mixed = by_hand(w, x)
    through = a.T @ w["o"].astype(np.float64)[:, target].reshape(mixed.shape) @ w["v"].astype(np.float64).T
    found = explainer.explain(x, target=target, method="lrp-epsilon", input_rule="z+", rules=("*=epsilon:0",))
    np.testing.assert_allclose(found.relevance.reshape(TOKENS, 4), x[0] * through, rtol=1e-4, atol=1e-5)


def test_z_plus_through_the_values(head):
    """R_V = V⁺ ⊙ Aᵀ (R_O / A V⁺), and nothing for queries and keys."""
    explainer, w, x, target = head
    a, v, mixed = by_hand(w, x)
    top = float(mixed.reshape(-1) @ w["o"][:, target])
    o = w["o"].astype(np.float64)[:, target].reshape(mixed.shape)
    shares = np.maximum(mixed * o, 0)
    arrived = shares / shares.sum() * top
    z = a @ np.maximum(v, 0)
    expected = np.maximum(v, 0) * (a.T @ np.divide(arrived, z, out=np.zeros_like(z), where=z > 1e-30))
    found = explainer.explain(x, target=target, layers=True)
    (name,) = [layer.name for layer in explainer.network.layers if layer.name == "v"]
    np.testing.assert_allclose(found.layers[name].reshape(v.shape), expected, rtol=1e-4, atol=1e-6 * top)
    assert "q" not in found.layers
    assert "k" not in found.layers
    assert abs(found.ledger.error) < 1e-9
    assert found.ledger.lost == pytest.approx(arrived[z <= 1e-30].sum(), abs=1e-6)


def test_two_signals_get_half_each(tmp_path):
    """A product with no softmax on either side, x Wq (x Wk)ᵀ: both sides by the rule, half of the relevance each."""
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["q"]),
        helper.make_node("MatMul", ["x", "wk"], ["k"]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["s"]),
        helper.make_node("Flatten", ["s"], ["flat"]),
        helper.make_node("MatMul", ["flat", "wo"], ["y"]),
    ]
    random = np.random.default_rng(3)
    constants = {
        "wq": random.uniform(0.1, 1, (4, WIDTH)),
        "wk": random.uniform(0.1, 1, (4, WIDTH)),
        "wo": random.uniform(0.1, 1, (TOKENS * TOKENS, 2)),
    }
    path = tmp_path / "bilinear.onnx"
    constants = {name: value.astype(np.float32) for name, value in constants.items()}
    onnx.save(single.model(nodes, {"x": (1, TOKENS, 4)}, constants, "y"), path)
    x = random.uniform(0.1, 1, (1, TOKENS, 4)).astype(np.float32)
    found = heatcli.load(path, precision="float64").explain(x, layers=True)
    for name in ("q", "k"):
        assert found.layers[name].sum() == pytest.approx(found.score / 2, rel=1e-5)
