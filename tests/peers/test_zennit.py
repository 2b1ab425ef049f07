"""Whole deep Taylor maps agree with zennit's on torch modules and their ONNX exports."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")

from tests.peers import zennit_maps
from tests.peers.exporting import export
from tests.peers.ladder import ladder

zennit_maps.make_importable()
pytest.importorskip("zennit", reason="zennit is not installed (extra peers)")

import heatcli


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.5, 2.0)], ids=["unit", "centred"])
@pytest.mark.parametrize("name", ladder.builders)
def test_deep_taylor_map(name: str, bounds: tuple[float, float], tmp_path: Path):
    classifier = ladder.builders[name]()
    low, high = bounds
    picture = classifier.picture(low, high)
    logits = classifier.module(picture)[0].detach()
    target = int(logits.argmax())
    assert logits[target] > 0, "without evidence there is nothing to compare"
    theirs = zennit_maps.deep_taylor(classifier, picture, target, torch.tensor(low), torch.tensor(high)).numpy()

    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"))
    ours = explainer.explain(
        picture.numpy().astype(np.float32), target=target, pool="winner", biases="neurons", range=bounds
    )

    assert ours.score == pytest.approx(float(logits[target]), rel=1e-4)
    assert ours.relevance.shape == theirs.shape[1:]
    np.testing.assert_allclose(ours.relevance, theirs[0], rtol=0, atol=1e-3 * np.abs(theirs).max())
