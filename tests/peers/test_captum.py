"""Maps of the ε, γ and αβ rules and of occlusion agree with captum's on torch modules and their ONNX exports."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")
attr = pytest.importorskip("captum.attr", reason="captum is not installed (extra peers)")

import copy

from captum.attr._utils import lrp_rules

import heatcli
from tests.peers.exporting import export
from tests.peers.ladder import ladder

RULES = {
    "epsilon:0.01": lambda: lrp_rules.EpsilonRule(epsilon=0.01),
    "gamma:0.25": lambda: lrp_rules.GammaRule(gamma=0.25),
    "alpha-beta:1,0": lambda: lrp_rules.Alpha1_Beta0_Rule(),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["perceptron", "perceptron_on_picture", "dilated_and_grouped"])
def test_rule_on_every_linear_layer(name: str, rule: str, tmp_path: Path):
    classifier = ladder.builders[name]()
    linear = [layer for layer in classifier.module.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    if not rule.startswith("epsilon"):
        # captum does not split or scale biases as it does weights; without them there is one way to write the rules.
        for layer in linear:
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"), precision="float64")

    picture = classifier.picture(0, 1).requires_grad_()
    target = int(classifier.module(picture)[0].argmax())
    module = copy.deepcopy(classifier.module)  # captum writes into it
    for layer in module.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            layer.rule = RULES[rule]()
        elif isinstance(layer, torch.nn.Flatten):
            layer.rule = lrp_rules.EpsilonRule()
    theirs = attr.LRP(module).attribute(picture, target=target).detach().numpy()[0]
    ours = explainer.explain(picture.detach().numpy().astype(np.float32), target=target, rules=[f"*={rule}"])

    np.testing.assert_allclose(ours.relevance, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("window", [1, 4, 7])
@pytest.mark.parametrize("name", ["perceptron_on_picture", "dilated_and_grouped"])
def test_occlusion(name: str, window: int, tmp_path: Path):
    """There every channel has the whole drop, here each has its part of it."""
    classifier = ladder.builders[name]()
    picture = classifier.picture(0, 1)
    target = int(classifier.module(picture)[0].argmax())
    stride, channels = max(1, window // 2), picture.shape[1]
    theirs = attr.Occlusion(classifier.module).attribute(
        picture,
        target=target,
        sliding_window_shapes=(channels, window, window),
        strides=(channels, stride, stride),
        baselines=0.5,
    )
    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"))
    ours = explainer.explain(
        picture.numpy().astype(np.float32), target=target, method="occlusion", window=window, range=(0, 1)
    )

    expected = theirs[0].numpy() / channels
    np.testing.assert_allclose(ours.relevance, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
