"""Simple Taylor decomposition: roots that geometry knows, the box, what is reported where none is found."""

from __future__ import annotations

import numpy as np
import pytest

import heatcli
from heatcli.errors import HeatcliError, UsageError
from tests.planning import perceptrons


def rectified(tmp_path, weights, bias, **loading):
    """Load f = max(0, x·w + b) as class 0; class 1 is always 0."""
    matrices = [(np.stack([weights, np.zeros_like(weights)], axis=1), np.array([bias, 0.0])), (np.eye(2), np.zeros(2))]
    return heatcli.load(perceptrons.saved(tmp_path / "m.onnx", matrices), **loading)


W = np.array([3.0, -1.0, 0.5, 2.0])
X = np.array([1.0, 0.2, -0.4, 0.8], "float32")


def test_the_nearest_root_of_a_rectified_plane(tmp_path):
    """It lies straight down the slope, where a tenth is left; R = w ⊙ w (x·w + b) 0.9 / ‖w‖² (the paper's eq. 5)."""
    explainer = rectified(tmp_path, W, 0.5, range=(-9, 9))
    found = explainer.explain(X, target=0, method="simple-taylor")
    f = X @ W + 0.5
    np.testing.assert_allclose(found.root.reshape(-1), X - 0.9 * f * W / (W @ W), atol=2e-3)
    np.testing.assert_allclose(found.relevance.reshape(-1), W * W * 0.9 * f / (W @ W), rtol=2e-3)
    assert found.ledger.pixels == pytest.approx(0.9 * f, rel=2e-3)
    assert (found.relevance >= 0).all()


def test_the_nearest_root_in_a_box(tmp_path):
    """Pixels that reach the border stay there, the others go on: clip(x − λw)."""
    explainer = rectified(tmp_path, W, 4.0, range=(-0.5, 1))
    found = explainer.explain(X, target=0, method="simple-taylor")
    target = 0.1 * (X @ W + 4.0)
    ends = np.linspace(0, 2, 200001)[:, None]
    ray = np.clip(X.astype(np.float64) - ends * W, -0.5, 1)
    expected = ray[np.argmax(ray @ W + 4.0 < target)]
    np.testing.assert_allclose(found.root.reshape(-1), expected, atol=2e-3)
    assert expected[0] == -0.5  # the border matters here
    assert found.root.min() >= -0.5
    assert found.root.max() <= 1


def test_a_root_is_found_on_deeper_networks(tmp_path):
    """Every root has less than a tenth, lies in the box, and the gradient there makes the map."""
    matrices = perceptrons.drawn(3, 30, 40, 20, 5)
    explainer = heatcli.load(perceptrons.saved(tmp_path / "m.onnx", matrices), range=(-1, 1))
    pictures = np.random.default_rng(4).uniform(-1, 1, (20, 30)).astype("float32")
    for x in pictures:
        found = explainer.explain(x, method="simple-taylor")
        root, scores = found.root.reshape(-1), perceptrons.scores(matrices, x)
        assert found.score == pytest.approx(scores.max(), rel=1e-5)
        assert perceptrons.scores(matrices, root)[found.target] < 0.1 * found.score * (1 + 1e-5)
        assert np.abs(root).max() <= 1
        expected = perceptrons.gradient(matrices, root, found.target, sharpness=100) * (x - root)
        np.testing.assert_allclose(found.relevance.reshape(-1), expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_more_rounds_find_nearer_roots(tmp_path):
    matrices = perceptrons.drawn(3, 30, 40, 20, 5)
    explainer = heatcli.load(perceptrons.saved(tmp_path / "m.onnx", matrices), range=(-1, 1))
    pictures = np.random.default_rng(4).uniform(-1, 1, (10, 30)).astype("float32")
    distances = [
        [
            np.linalg.norm(explainer.explain(x, method="simple-taylor", steps=steps).root.reshape(-1) - x)
            for x in pictures
        ]
        for steps in (20, 40)
    ]
    assert np.all(np.asarray(distances[1]) <= distances[0])
    assert np.sum(distances[1]) < 0.999 * np.sum(distances[0])


def test_no_root_is_reported(tmp_path):
    """F = 1 + a little of x stays above a tenth in the box."""
    explainer = rectified(tmp_path, np.array([0.1, 0.1]), 1.0, range=(0, 1))
    with pytest.raises(HeatcliError, match=r"no root was found in \d+ rounds: f fell from 1\.2 to 1 at best.*0\.12"):
        explainer.explain(np.array([1, 1], "float32"), target=0, method="simple-taylor")


def test_what_is_advised_fits_what_ended_the_search(tmp_path):
    explainer = rectified(tmp_path, np.array([0.1, 0.1]), 1.0, range=(0, 1))
    x = np.array([1, 1], "float32")
    with pytest.raises(HeatcliError, match=r"in 2 rounds.* no way leads farther down, so try another method"):
        explainer.explain(x, target=0, method="simple-taylor")
    with pytest.raises(HeatcliError, match=r"in 1 round:.* try more --steps"):
        explainer.explain(x, target=0, method="simple-taylor", steps=1)
    with pytest.raises(HeatcliError, match=r"in 1 round:.* try a longer --time-limit"):
        explainer.explain(x, target=0, method="simple-taylor", time_limit=1e-9)


def test_time_is_bounded(tmp_path):
    matrices = perceptrons.drawn(5, 30, 40, 20, 5)
    explainer = heatcli.load(perceptrons.saved(tmp_path / "m.onnx", matrices), range=(-1, 1))
    rounds = [0]
    (found,) = explainer.explain_targets(
        np.ones(30, "float32"),
        method="simple-taylor",
        steps=1000,
        time_limit=1e-9,
        advance=lambda: rounds.__setitem__(0, rounds[0] + 1),
    )
    assert rounds == [1]
    assert found.warnings == ("the time was up before the search was; a longer --time-limit may find a nearer root",)
    assert not explainer.explain(np.ones(30, "float32"), method="simple-taylor").warnings


def test_without_evidence_the_map_is_empty(tmp_path):
    explainer = rectified(tmp_path, W, 0.5, range=(-9, 9))
    found = explainer.explain(-X, target=1, method="simple-taylor")
    assert not found.relevance.any()
    assert found.warnings == ("f(x) is 0, not positive: there is no evidence for this class and the map is empty",)
    np.testing.assert_array_equal(found.root.reshape(-1), -X)


def test_without_a_range_the_root_lies_anywhere(tmp_path):
    explainer = rectified(tmp_path, W, 0.5)
    found = explainer.explain(X, target=0, method="simple-taylor")
    assert "--range" in found.notes[0]
    np.testing.assert_allclose(found.root.reshape(-1), X - 0.9 * (X @ W + 0.5) * W / (W @ W), atol=2e-3)


def test_layers_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--layers does not go with simple-taylor"):
        rectified(tmp_path, W, 0.5, range=(-9, 9)).explain(X, target=0, method="simple-taylor", layers=True)
