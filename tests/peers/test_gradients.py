"""Integrated gradients, SmoothGrad, deconvnet, guided backprop agree with captum and torch on exported modules."""

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")
attr = pytest.importorskip("captum.attr", reason="captum is not installed (extra peers)")

import heatcli
from tests.peers.exporting import export
from tests.peers.ladder import ladder

NAMES = ("perceptron", "vgg", "googlenet", "dilated_and_grouped", "ceil_mode_pools", "padded_average_pools")
TARGET = 3


def compare(ours, theirs) -> None:
    expected = theirs.detach().numpy()[0]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")
@pytest.mark.parametrize(("method", "peer"), [("deconvnet", "Deconvolution"), ("guided-backprop", "GuidedBackprop")])
@pytest.mark.parametrize("name", NAMES)
def test_rectifiers_that_look_back(name: str, method: str, peer: str, tmp_path: Path):
    classifier = ladder.builders[name]()
    picture = classifier.picture(-1.5, 2.0).requires_grad_()
    theirs = getattr(attr, peer)(copy.deepcopy(classifier.module)).attribute(picture, target=TARGET)
    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"))
    found = explainer.explain(picture.detach().numpy().astype(np.float32), target=TARGET, method=method)
    compare(found.relevance, theirs)
    plain = explainer.explain(picture.detach().numpy().astype(np.float32), target=TARGET, method="gradient")
    assert not np.allclose(found.relevance, plain.relevance, rtol=0, atol=1e-2 * np.abs(plain.relevance).max())


def test_a_ceiling_is_a_rectifier_too(tmp_path: Path):
    """Captum knows ReLU alone; ReLU6 is the same with a ceiling, beyond which nothing passes."""

    class Rectifier(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.clamp(0, 6)

        @staticmethod
        def backward(context, r):
            (x,) = context.saved_tensors
            return r.clamp(min=0) * ((x > 0) & (x < 6))

    classifier = ladder.builders["mobilenet"]()
    picture = classifier.picture(-9, 12.0).requires_grad_()
    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"))
    module = copy.deepcopy(classifier.module)
    for place, layer in enumerate(module):
        if isinstance(layer, torch.nn.ReLU6):
            module[place] = type("Guided", (torch.nn.Module,), {"forward": lambda self, x: Rectifier.apply(x)})()
        elif isinstance(layer, torch.nn.ReLU):
            module[place] = type(
                "Guided", (torch.nn.Module,), {"forward": lambda self, x: Rectifier.apply(x / 100) * 100}
            )()
    (theirs,) = torch.autograd.grad(module(picture)[0, TARGET], picture)
    found = explainer.explain(picture.detach().numpy().astype(np.float32), target=TARGET, method="guided-backprop")
    compare(found.relevance, theirs)


@pytest.mark.parametrize(("baseline", "value"), [("black", -1.5), ("grey", 0.25), ("white", 2.0), (0.5, 0.5)])
@pytest.mark.parametrize("name", ["perceptron", "vgg", "mobilenet"])
def test_integrated_gradients(name: str, baseline: str | float, value: float, tmp_path: Path):
    classifier = ladder.builders[name]()
    picture = classifier.picture(-1.5, 2.0)
    theirs = attr.IntegratedGradients(classifier.module).attribute(
        picture, baselines=value, target=TARGET, n_steps=12, method="riemann_middle"
    )
    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"), range=(-1.5, 2.0))
    found = explainer.explain(
        picture.numpy().astype(np.float32), target=TARGET, method="integrated-gradients", steps=12, baseline=baseline
    )
    compare(found.relevance, theirs)


def test_smoothgrad(tmp_path: Path):
    classifier = ladder.builders["vgg"]()
    picture = classifier.picture(-1.5, 2.0)
    noise = np.random.default_rng(7).standard_normal((9, *picture.shape))
    total = torch.zeros_like(picture)
    for copy_of_noise in noise:
        near = (picture + 0.2 * 3.5 * torch.from_numpy(copy_of_noise).to(picture.dtype)).requires_grad_()
        total += torch.autograd.grad(classifier.module(near)[0, TARGET], near)[0]
    explainer = heatcli.load(export(classifier, tmp_path / "model.onnx"), range=(-1.5, 2.0))
    found = explainer.explain(
        picture.numpy().astype(np.float32), target=TARGET, method="smoothgrad", steps=9, noise=0.2, seed=7
    )
    compare(found.relevance, total / 9)
