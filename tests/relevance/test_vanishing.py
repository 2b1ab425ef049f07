"""Where no relevance can be lost: what is promised holds on real walks, and is not promised where it could fail."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import heatcli
from heatcli import methods, network
from heatcli.choosing import Choice
from heatcli.kernels.arrays import ArrayKernels
from heatcli.kernels.protocol import SMALLEST, whole
from heatcli.planning.layerwise import rules_for
from heatcli.relevance import propagate
from heatcli.relevance.vanishing import vanishing_of
from tests import light_models, single

RANDOM = np.random.default_rng(0)
W1 = RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
W2 = RANDOM.normal(size=(4, 4, 3, 3)).astype(np.float32)
W3 = RANDOM.normal(size=(4, 5)).astype(np.float32)
BOUNDS = (np.full((1, 1, 1, 1), -1, np.float32), np.full((1, 1, 1, 1), 1, np.float32))


def promised(tmp_path, *, activation="Relu", residual=False, bias=-0.1, low=-1.0, biases=True, rule=()):
    """Return the promised layers of conv–activation–conv(–sum)–activation–mean–dense, by name."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b"], ["conv1"], pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["conv1"], ["act1"]),
        helper.make_node("Conv", ["act1", "w2"], ["conv2"], pads=[1, 1, 1, 1]),
        *([helper.make_node("Add", ["conv2", "act1"], ["sum"])] if residual else []),
        helper.make_node(activation, ["sum" if residual else "conv2"], ["act2"]),
        helper.make_node("GlobalAveragePool", ["act2"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["y"]),
    ]
    constants = {"w1": W1, "w2": W2, "w3": W3, "b": np.full(4, bias, np.float32)}
    proto = single.model(nodes, {"x": (1, 3, 6, 6)}, constants, "y")
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    net = network.read(path)
    rules = rules_for(net, Choice(methods.named("deep-taylor"), rules=rule), bounded=True)
    bounds = {net.input.name: (np.full((1, 1, 1, 1), low, np.float32), BOUNDS[1])}
    found = vanishing_of(net, rules, bounds, biases=biases).lossless
    families = {layer.name: layer.operation for layer in net.layers}
    return sorted(families[name] for name in found)


def test_rectifiers_promise_all_but_the_class_scores(tmp_path):
    assert promised(tmp_path) == ["Conv", "Conv", "GlobalAveragePool"]


def test_residual_sums_too(tmp_path):
    assert promised(tmp_path, residual=True) == ["Add", "Conv", "Conv", "GlobalAveragePool"]


def test_other_activations_promise_nothing(tmp_path):
    assert promised(tmp_path, activation="Tanh") == []
    assert promised(tmp_path, activation="Sigmoid") == ["GlobalAveragePool"]  # positive, but so is relevance at x < 0


def test_positive_biases_that_are_no_neurons(tmp_path):
    assert promised(tmp_path, bias=0.1) == ["Conv", "Conv", "GlobalAveragePool"]
    assert promised(tmp_path, bias=0.1, biases=False) == ["Conv", "GlobalAveragePool"]


def test_a_range_without_zero(tmp_path):
    assert promised(tmp_path, low=0.5) == ["Conv", "GlobalAveragePool"]


def test_other_rules(tmp_path):
    """ε promises nothing at its own layer; shares of activations all the same vanish with them."""
    assert promised(tmp_path, rule=("conv2=epsilon",)) == ["Conv", "GlobalAveragePool"]
    assert promised(tmp_path, rule=("conv2=flat",)) == ["GlobalAveragePool"]


@pytest.mark.parametrize("name", ["inception_v1", "resnet50", "squeezenet", "shufflenet"])
def test_denominators_are_positive_under_relevance(light_models_by_name, monkeypatch, name):
    """On every promised layer of a whole walk: where z is zero no relevance arrived."""
    assert name in light_models.NAMES
    seen = []
    divide = ArrayKernels.divide

    def watched(self, r, z, epsilon, *, lossless=False):
        if lossless:
            seen.append(int(np.count_nonzero(whole(r)[np.broadcast_to(z, r.shape) <= SMALLEST])))
        return divide(self, r, z, epsilon, lossless=lossless)

    monkeypatch.setattr(ArrayKernels, "divide", watched)
    explainer = heatcli.load(light_models_by_name(name), range=(-2, 2))
    x = np.random.default_rng(1).uniform(-2, 2, explainer.network.input.shape).astype(np.float32)
    assert explainer.explain(x).ledger.start > 0
    assert len(seen) > 10
    assert sum(seen) == 0


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1", "densenet121"])
@pytest.mark.parametrize("biases", ["neurons", "ignore"])
def test_one_share_of_gamma_is_enough_behind_rectifiers(light_models_by_name, monkeypatch, name, biases):
    """The share for outputs that are not positive is left out where nothing arrives there: the map is the same."""
    path = light_models_by_name(name)
    x = RANDOM.normal(size=(1, 3, 224, 224)).astype(np.float32)
    settings = {"method": "lrp-epsilon-gamma-box", "biases": biases, "target": 7}
    quick = heatcli.load(path, range=(-5, 5)).explain(x, **settings)
    shares = propagate.Walk.shares
    counts = []

    def all_shares(self, layer, rule):
        counts.append(len(rule.shares) - len(shares(self, layer, rule)))
        return list(enumerate(rule.shares))

    monkeypatch.setattr(propagate.Walk, "shares", all_shares)
    slow = heatcli.load(path, range=(-5, 5)).explain(x, **settings)
    np.testing.assert_allclose(quick.relevance, slow.relevance, rtol=0, atol=1e-5 * np.abs(slow.relevance).max())
    assert quick.ledger.biases == pytest.approx(slow.ledger.biases, rel=1e-4, abs=1e-6)
    assert (sum(counts) > 0) or name == "densenet121" or biases == "ignore"
