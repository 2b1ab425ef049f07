"""Integrated gradients and SmoothGrad beside float64 twins of small networks, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

import heatcli
from heatcli.errors import UsageError
from tests.planning import perceptrons

MATRICES = perceptrons.drawn(0, 12, 9, 7, 4)
X = np.random.default_rng(1).uniform(-2, 3, 12).astype("float32")


@pytest.fixture
def explainer(tmp_path):
    return heatcli.load(perceptrons.saved(tmp_path / "m.onnx", MATRICES), range=(-2, 3))


def test_integrated_gradients_by_the_midpoint_rule(explainer):
    found = explainer.explain(X, target=2, method="integrated-gradients", steps=7)
    points = -2 + (np.arange(7)[:, None] + 0.5) / 7 * (X.astype(np.float64) + 2)
    expected = (X + 2.0) * np.mean([perceptrons.gradient(MATRICES, point, 2) for point in points], axis=0)
    np.testing.assert_allclose(found.relevance, expected[None] if found.relevance.ndim == 2 else expected, atol=1e-5)


def test_they_are_complete_on_a_fine_path(explainer):
    found = explainer.explain(X, target=2, method="integrated-gradients", steps=2000)
    rise = perceptrons.scores(MATRICES, X)[2] - perceptrons.scores(MATRICES, np.full(12, -2.0))[2]
    assert found.ledger.pixels == pytest.approx(rise, rel=2e-3)
    assert not found.warnings
    assert found.ledger.biases is None


def test_a_coarse_path_says_what_it_misses(tmp_path):
    """F = relu(x − 0.6): the middle of the only piece lies before the bend, where the slope is 0."""
    matrices = [(np.array([[1.0, 0]]), np.array([-0.6, 0])), (np.eye(2), np.zeros(2))]
    explainer = heatcli.load(perceptrons.saved(tmp_path / "m.onnx", matrices), range=(0, 1))
    found = explainer.explain(np.array([1.0], "float32"), target=0, method="integrated-gradients", steps=1)
    assert not found.relevance.any()
    assert found.warnings == ("the map adds up to 0, not to f(x) − f(baseline), 0.4; more --steps come nearer",)


def test_where_the_path_begins_is_said_and_recorded(explainer, tmp_path):
    found = explainer.explain(X, method="integrated-gradients", steps=3)
    assert "begins at black" in found.notes[0]
    assert "--baseline" in found.notes[0]
    assert (found.settings["baseline"], found.settings["steps"]) == ("black", 3)
    unknown = heatcli.load(perceptrons.saved(tmp_path / "n.onnx", MATRICES))
    found = unknown.explain(X, method="integrated-gradients", steps=3)
    assert "begins at 0, the range of the input not being known" in found.notes[0]
    assert found.settings["baseline"] == 0
    same = unknown.explain(X, method="integrated-gradients", steps=3, baseline=0.0)
    np.testing.assert_array_equal(same.relevance, found.relevance)
    assert not same.notes
    with pytest.raises(UsageError, match="needs the range of the input; give it with --range, or a number"):
        unknown.explain(X, method="integrated-gradients", baseline="white")


def test_a_baseline_without_a_finite_score_is_refused(explainer, tmp_path):
    with pytest.raises(UsageError, match=r"--baseline 1e\+300: no input is that large"):
        explainer.explain(X, method="integrated-gradients", steps=3, baseline=1e300)
    matrices = [(matrix * 10, bias) for matrix, bias in MATRICES]
    beyond = heatcli.load(perceptrons.saved(tmp_path / "beyond.onnx", matrices))
    with (
        np.errstate(all="ignore"),
        pytest.raises(UsageError, match=r"--baseline 3e\+38: the network's score is not finite there"),
    ):
        beyond.explain(X, method="integrated-gradients", steps=3, baseline=3e38)


def test_how_strong_the_noise_is_is_said_as_it_is(explainer):
    for noise, said in ((0.005, "0.5%"), (0.125, "12.5%"), (2.0, "200%")):
        found = explainer.explain(X, method="smoothgrad", noise=noise)
        assert f"25 copies with noise of {said} of the input's range" in found.notes[0]


def test_smoothgrad_is_the_mean_over_copies(explainer):
    found = explainer.explain(X, target=1, method="smoothgrad", steps=6, noise=0.3, seed=4)
    noise = np.random.default_rng(4).standard_normal((6, 1, 12))[:, 0]
    expected = np.mean([perceptrons.gradient(MATRICES, X + 1.5 * each, 1) for each in noise], axis=0)
    np.testing.assert_allclose(found.relevance.reshape(-1), expected, atol=1e-5)


def test_the_same_seed_gives_the_same_map(explainer):
    one, same, other = (explainer.explain(X, method="smoothgrad", seed=seed).relevance for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_a_range_noise_is_a_share_of_the_values(tmp_path):
    explainer = heatcli.load(perceptrons.saved(tmp_path / "m.onnx", MATRICES))
    found = explainer.explain(X, target=1, method="smoothgrad", steps=2)
    noise = np.random.default_rng(0).standard_normal((2, 12))
    spread = 0.15 * (float(X.max()) - float(X.min()))
    expected = np.mean([perceptrons.gradient(MATRICES, X + spread * each, 1) for each in noise], axis=0)
    np.testing.assert_allclose(found.relevance.reshape(-1), expected, atol=1e-5)
    assert "15% of the range of its values" in found.notes[0]


def test_whole_numbers_stay_whole_numbers(tmp_path):
    """Where the input is uint8 the path takes the nearest pixels, and noise does not leave 0 to 255."""
    matrices = [(w / np.float32(100), b) for w, b in MATRICES]
    explainer = heatcli.load(
        perceptrons.saved(tmp_path / "m.onnx", matrices, dtype=TensorProto.UINT8), range=(0, 255), preprocess="raw"
    )
    x = np.random.default_rng(2).integers(0, 256, 12).astype("uint8")
    found = explainer.explain(x, target=0, method="integrated-gradients", steps=5)
    points = np.rint((np.arange(5)[:, None] + 0.5) / 5 * x)
    expected = x * np.mean([perceptrons.gradient(matrices, point, 0) for point in points], axis=0)
    np.testing.assert_allclose(found.relevance.reshape(-1), expected, atol=1e-5)
    assert np.isfinite(explainer.explain(x, target=0, method="smoothgrad", noise=2.0).relevance).all()


def test_several_classes_share_the_points(explainer):
    calls = [0]
    found = explainer.explain_targets(
        X, targets=(0, 3), method="smoothgrad", steps=4, advance=lambda: calls.__setitem__(0, calls[0] + 1)
    )
    assert calls == [4] == [explainer.steps(method="smoothgrad", steps=4)]
    for explanation in found:
        alone = explainer.explain(X, target=explanation.target, method="smoothgrad", steps=4)
        np.testing.assert_allclose(explanation.relevance, alone.relevance, atol=1e-6)


def test_the_compiled_engine_gives_the_same(tmp_path, explainer):
    compiled = heatcli.load(tmp_path / "m.onnx", range=(-2, 3), engine="compiled")
    for method in ("integrated-gradients", "smoothgrad", "deconvnet", "guided-backprop"):
        one, other = (each.explain(X, method=method) for each in (explainer, compiled))
        np.testing.assert_allclose(one.relevance, other.relevance, atol=1e-4 * np.abs(one.relevance).max())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "gradient", "steps": 3}, "--steps does not go with gradient"),
        ({"method": "smoothgrad", "baseline": "black"}, "--baseline does not go with smoothgrad"),
        ({"method": "integrated-gradients", "noise": 0.1}, "--noise does not go with integrated-gradients"),
        ({"method": "deep-taylor", "time_limit": 3.0}, "--time-limit does not go with deep-taylor"),
        ({"method": "smoothgrad", "noise": 0.0}, "--noise 0.0: a number above 0"),
        ({"method": "smoothgrad", "noise": float("nan")}, "--noise nan"),
        ({"method": "smoothgrad", "steps": 0}, "--steps 0: a whole number from 1 on"),
        ({"method": "smoothgrad", "seed": -1}, "--seed -1: a whole number from 0 on"),
        ({"method": "integrated-gradients", "baseline": "blue"}, "unknown value 'blue' for baseline"),
        ({"method": "integrated-gradients", "layers": True}, "--layers does not go with integrated-gradients"),
        ({"method": "integrated-gradients", "evidence": "one"}, "--evidence does not go with integrated-gradients"),
    ],
)
def test_what_does_not_go_together_is_refused(explainer, settings, message):
    with pytest.raises(UsageError, match=message):
        explainer.explain(X, **settings)


def test_it_cannot_be_compiled(explainer, tmp_path):
    with pytest.raises(UsageError, match="smoothgrad runs the network on many inputs"):
        explainer.compile(tmp_path / "e.onnx", method="smoothgrad")
