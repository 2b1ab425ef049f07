"""Relevance models in the walk: eq. 14 and 15 of the paper beside a twin of plain loops, the account, empty maps."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli import network
from heatcli.relevance.composites import COMPOSITES, assign
from heatcli.relevance.detection import detections
from heatcli.relevance.models import RelevanceModel, with_models
from heatcli.relevance.propagate import Assignment, Propagator
from tests import dense, whole
from tests.dense import Geometry

LOW, HIGH = -0.5, 1.5


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Return fixed random numbers that float32 holds exactly, in float64."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32").astype(np.float64)


class Pooled:
    """Dense 6 → 8, rectifier, sums of pairs, dense 4 → 5, rectifier, sum: the paper's network of 6.1, small."""

    w1, b1 = numbers(6, 8, seed=1), -0.1 * np.abs(numbers(8, seed=2))
    w2, b2 = numbers(4, 5, seed=3), -0.1 * np.abs(numbers(5, seed=4))
    v, upper, d = numbers(6, 8, seed=5), numbers(5, 8, seed=6), -0.2 * np.abs(numbers(8, seed=7))

    def write(self, path):
        nodes = [
            whole.node("Gemm", "x w1 b1", "one"),
            whole.node("Relu", "one", "detected"),
            whole.node("Reshape", "detected pairs", "grouped"),
            whole.node("ReduceSum", "grouped last", "pooled", keepdims=0),
            whole.node("Gemm", "pooled w2 b2", "two"),
            whole.node("Relu", "two", "above"),
            whole.node("ReduceSum", "above axis", "f", keepdims=1),
        ]
        floats = {name: getattr(self, name).astype("float32") for name in ("w1", "b1", "w2", "b2")}
        constants = {**floats, "pairs": np.array([1, 4, 2]), "last": np.array([2]), "axis": np.array([1])}
        return whole.save(path, nodes, [whole.End("x", [1, 6])], [whole.End("f", [1, 1])], constants)

    def forward(self, x):
        """Return every activation by name."""
        one = x @ self.w1 + self.b1
        grouped = np.maximum(one, 0).reshape(1, 4, 2)
        two = grouped.sum(2) @ self.w2 + self.b2
        above = np.maximum(two, 0)
        found = {"x": x, "one": one, "detected": np.maximum(one, 0), "grouped": grouped, "pooled": grouped.sum(2)}
        return found | {"two": two, "above": above, "f": above.sum(1, keepdims=True)}

    def twin(self, x, rule):
        """Return y_j and R_i of one input by loops over neurons: R_l = x_l, since the top is a sum of x_l."""
        r_l = self.forward(x)["above"][0]
        y, r = np.zeros(8), np.zeros(6)
        for j in range(8):
            a = min(0.0, sum(r_l[k] * self.upper[k, j] for k in range(5)) + self.d[j])
            y[j] = max(0.0, sum(x[0, i] * self.v[i, j] for i in range(6)) + a)
        for j in range(8):
            q = np.zeros(6)
            for i in range(6):
                v, x_i = self.v[i, j], x[0, i]
                q[i] = {
                    "zB": x_i * v - LOW * max(0, v) - HIGH * min(0, v),
                    "z+": max(0, x_i * v),
                    "w2": v * v,
                }[rule]
            if y[j] > 0:
                r += q / q.sum() * y[j]
        return y, r


def propagator(net, models, rule=None, dtype=np.float64, bounds=None):
    assigned = assign(net, COMPOSITES["deep-taylor"], bounded=bounds is not None, input_rule=rule)
    return Propagator(Assignment(with_models(net, models), assigned, bounds or {}, models=models), dtype)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    net = network.read(Pooled().write(tmp_path_factory.mktemp("pooled") / "net.onnx"))
    (detection,) = detections(net)
    return net, {"one": RelevanceModel(detection, Pooled.v, Pooled.upper, Pooled.d)}


@pytest.mark.parametrize("rule", ["zB", "z+", "w2"])
def test_equations_14_and_15(pooled, rule):
    net, models = pooled
    spread = (np.full((1, 6), LOW), np.full((1, 6), HIGH))
    walk = propagator(net, models, rule, bounds={"x": spread})
    seen = 0
    for seed in range(20):
        x = np.random.default_rng(seed).uniform(LOW, HIGH, (1, 6))
        values = Pooled().forward(x)
        f = float(values["f"][0, 0])
        kept: list[dict] = []
        ((relevance, ledger),) = walk.run(values, [0], [f], kept=kept)
        y, r = Pooled().twin(x, rule)
        if f == 0:
            assert not relevance.any()
            continue
        seen += bool((y > 0).any())
        np.testing.assert_allclose(kept[0]["one"][0], y, rtol=0, atol=1e-10)
        np.testing.assert_allclose(relevance[0], r, rtol=0, atol=1e-10)
        assert relevance.min() >= 0
        assert ledger.lost == pytest.approx(f - y.sum(), abs=1e-9)
        assert ledger.pixels == pytest.approx(y.sum(), abs=1e-9)
        assert abs(ledger.error) < 1e-9
        assert all(abs(row.error) <= 1e-9 * f for row in ledger.layers)
    assert seen > 5


def test_the_layer_loses_nothing_at_its_denominators(pooled):
    net, models = pooled
    bounds = {"x": (np.full((1, 6), LOW), np.full((1, 6), HIGH))}
    assert "one" in propagator(net, models, bounds=bounds).assignment.vanishing.lossless
    beyond = {"x": (np.full((1, 6), 0.5), np.full((1, 6), HIGH))}
    assert "one" not in propagator(net, models, bounds=beyond).assignment.vanishing.lossless
    assert "one" not in propagator(net, models, "w2", bounds=bounds).assignment.vanishing.lossless


def test_several_classes_in_one_walk(tmp_path):
    """What a class gets does not hang on which others are explained with it."""
    w1, w2, w3 = numbers(5, 6, seed=1), numbers(6, 7, seed=2), numbers(7, 3, seed=3)
    nodes = [
        whole.node("MatMul", "x w1", "one"),
        whole.node("Relu", "one", "r1"),
        whole.node("MatMul", "r1 w2", "two"),
        whole.node("Relu", "two", "r2"),
        whole.node("MatMul", "r2 w3", "y"),
    ]
    constants = {name: value.astype("float32") for name, value in {"w1": w1, "w2": w2, "w3": w3}.items()}
    path = whole.save(tmp_path / "net.onnx", nodes, [whole.End("x", [1, 5])], [whole.End("y", [1, 3])], constants)
    net = network.read(path)
    lower, upper = detections(net)
    models = {
        "one": RelevanceModel(lower, numbers(5, 6, seed=4), numbers(7, 6, seed=5), -np.ones(6)),
        "two": RelevanceModel(upper, numbers(6, 7, seed=6), numbers(3, 7, seed=7), -np.ones(7)),
    }
    x = numbers(1, 5, seed=8)
    values = {"x": x, "one": x @ w1, "r1": np.maximum(x @ w1, 0)}
    values |= {"two": values["r1"] @ w2, "r2": np.maximum(values["r1"] @ w2, 0)}
    walk = propagator(net, models)
    together = walk.run(values, [0, 1, 2], [3.0, 0.5, 0.0])
    assert together[0][0].any()
    assert not np.allclose(together[0][0] / 3.0, together[1][0] / 0.5)  # y is not linear in R
    for target, (start, (relevance, _)) in enumerate(zip([3.0, 0.5, 0.0], together, strict=True)):
        ((alone, _),) = walk.run(values, [target], [start])
        np.testing.assert_allclose(relevance, alone, rtol=0, atol=1e-12)
    assert not together[2][0].any()  # nothing arrives: nothing is predicted
    r_top = np.array([3.0, 0.0, 0.0])  # the upper model sees the class scores, the lower one what the upper predicts
    y_two = np.maximum(values["r1"][0] @ models["two"].weights + np.minimum(r_top @ models["two"].upper - 1, 0), 0)
    y_one = np.maximum(x[0] @ models["one"].weights + np.minimum(y_two @ models["one"].upper - 1, 0), 0)
    kept: list[dict] = []
    walk.run(values, [0], [3.0], kept=kept)
    np.testing.assert_allclose(kept[0]["two"][0], y_two, rtol=0, atol=1e-12)
    np.testing.assert_allclose(kept[0]["one"][0], y_one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_the_same_neuron_at_every_place(tmp_path, groups):
    """Conv with stride and padding, rectifier, max pool, conv, mean: beside matrices over all places."""
    first = Geometry((9, 8), (3, 2), (2, 1), (1, 2), (1, 1, 0, 1))
    pool = Geometry(first.output, (2, 2), (2, 2), (1, 1), (0, 0, 0, 0))
    second = Geometry(pool.output, (2, 2), (1, 1), (1, 1), (1, 0, 0, 1))
    w1, w2, w3 = numbers(4, 2 // groups, 3, 2, seed=1), numbers(3, 4, 2, 2, seed=2), np.abs(numbers(3, 2, seed=3))
    nodes = [
        whole.node("Conv", "x w1", "one", strides=[2, 1], dilations=[1, 2], pads=[1, 1, 0, 1], group=groups),
        whole.node("Relu", "one", "r1"),
        whole.node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        whole.node("Conv", "p1 w2", "two", pads=[1, 0, 0, 1]),
        whole.node("Relu", "two", "r2"),
        whole.node("GlobalAveragePool", "r2", "mean"),
        whole.node("Flatten", "mean", "flat"),
        whole.node("MatMul", "flat w3", "y"),
    ]
    constants = {name: value.astype("float32") for name, value in {"w1": w1, "w2": w2, "w3": w3}.items()}
    path = whole.save(tmp_path / "net.onnx", nodes, [whole.End("x", [1, 2, 9, 8])], [whole.End("y", [1, 2])], constants)
    net = network.read(path)
    lower, _ = detections(net)
    v, upper, d = numbers(4, 2 // groups, 3, 2, seed=4), numbers(3, 4, seed=5), -np.abs(numbers(4, seed=6))
    models = {"one": RelevanceModel(lower, v, upper, d)}

    x = np.random.default_rng(9).uniform(0, 1, (1, 2, 9, 8))
    one = (x.reshape(-1) @ dense.convolution(w1, groups, first)).reshape(1, 4, *first.output)
    r1 = np.maximum(one, 0)
    p1 = np.stack([[r1[0, :, 2 * a : 2 * a + 2, 2 * b : 2 * b + 2].max((1, 2)) for b in range(pool.output[1])]
                   for a in range(pool.output[0])]).transpose(2, 0, 1)[None]  # fmt: skip
    matrix2 = dense.convolution(w2, 1, second)
    two = (p1.reshape(-1) @ matrix2).reshape(1, 3, *second.output)
    r2 = np.maximum(two, 0)
    mean = r2.mean((2, 3), keepdims=True)
    values = {"x": x, "one": one, "r1": r1, "p1": p1, "two": two, "r2": r2, "mean": mean, "flat": mean[..., 0, 0]}
    f = float(values["flat"][0] @ w3[:, 0])

    # R of the second convolution's output: z+ on top, in proportion in the mean
    share = values["flat"][0] * w3[:, 0] / (values["flat"][0] @ w3[:, 0]) * f
    r_two = r2[0] / np.maximum(r2[0].sum((1, 2), keepdims=True), 1e-30) * share[:, None, None]

    # which of its places cover a place of the first: windows of ones through both layers
    ones = dense.convolution(np.ones((1, 1, 2, 2)), 1, second)
    pools = dense.window_average(1, pool, None)
    covers = ((pools @ ones) > 0).astype(float)  # (places of one, places of two)
    seen = r_two.reshape(3, -1) @ covers.T  # (L, places)
    a = np.minimum(0, upper.T @ seen + d[:, None])
    matrix = dense.convolution(v, groups, first)
    y = np.maximum(0, (x.reshape(-1) @ matrix).reshape(4, -1) + a).reshape(-1)
    q = np.maximum(x.reshape(-1, 1) * matrix, 0)
    expected = q @ np.where(y > 0, y / np.where(y > 0, q.sum(0), 1), 0)

    kept: list[dict] = []
    ((relevance, ledger),) = propagator(net, models, "z+").run(values, [0], [f], kept=kept)
    np.testing.assert_allclose(kept[0]["two"][0], r_two, rtol=0, atol=1e-10)
    np.testing.assert_allclose(kept[0]["one"].reshape(-1), y, rtol=0, atol=1e-10)
    np.testing.assert_allclose(relevance.reshape(-1), expected, rtol=0, atol=1e-10)
    assert (y > 0).any()
    assert (a < 0).any()
    assert ledger.lost == pytest.approx(f - y.sum())


def test_the_weights_of_the_network_stay_as_they_are(pooled):
    net, models = pooled
    other = with_models(net, models)
    np.testing.assert_array_equal(net.layers[0].weights, Pooled.w1)
    np.testing.assert_array_equal(other.layers[0].weights, Pooled.v)
    assert other.layers[0].bias is None
    assert with_models(net, {}) is net
