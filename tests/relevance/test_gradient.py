"""The gradient rule against finite differences through onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import heatcli

NETWORKS = ("inception_v1", "densenet121", "shufflenet", "squeezenet")


@pytest.mark.parametrize("name", NETWORKS)
def test_directional_derivatives(light_models_by_name, name):
    """⟨∂f/∂x, d⟩ is the slope of f along d, in a direction that matters and in random ones."""
    path = light_models_by_name(name)
    explainer = heatcli.load(path, precision="float64")
    network = explainer.network
    x = np.random.default_rng(0).normal(size=network.input.shape).astype("float32")
    explanation = explainer.explain(x, target=7, method="gradient")
    gradient = explanation.relevance.astype(np.float64)[None]

    def score(z):
        return explainer.explain(z.astype("float32"), target=7, method="gradient").score

    random = np.random.default_rng(1)
    directions = [gradient / np.linalg.norm(gradient)]
    directions += [d / np.linalg.norm(d) for d in random.normal(size=(2, *x.shape))]
    for place, direction in enumerate(directions):
        step = 0.02
        slope = (score(x + step * direction) - score(x - step * direction)) / (2 * step)
        expected = np.vdot(gradient, direction)
        noise = 1e-6 * abs(explanation.score) / step
        tolerance = 0.02 * abs(np.linalg.norm(gradient)) + noise
        assert slope == pytest.approx(expected, abs=tolerance), (name, place)
    assert np.linalg.norm(gradient) > 10 * noise
