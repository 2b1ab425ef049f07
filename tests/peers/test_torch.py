"""Class scores and their derivatives agree with torch on modules and their ONNX exports."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")

import heatcli
from tests.peers.exporting import export
from tests.peers.ladder import ladder
from tests.peers.varied import varied

BUILDERS = ladder.builders | varied.builders


@pytest.mark.parametrize("name", BUILDERS)
def test_scores_and_gradient(name: str, tmp_path: Path):
    classifier = BUILDERS[name]()
    picture = classifier.picture(-1.5, 2.0).requires_grad_()
    logits = classifier.module(picture)[0]
    target = 3
    (theirs,) = torch.autograd.grad(logits[target], picture)

    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"))
    ours = explainer.explain(picture.detach().numpy().astype(np.float32), target=target, method="gradient")

    scores = logits.detach().numpy()
    top = {entry.index: entry.score for entry in ours.top}
    assert ours.score == pytest.approx(scores[target], rel=1e-4, abs=1e-4 * np.abs(scores).max())
    assert top == pytest.approx({index: scores[index] for index in np.argsort(-scores)[: len(top)]}, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(ours.relevance, theirs.numpy()[0], rtol=0, atol=1e-4 * theirs.abs().max().item())
