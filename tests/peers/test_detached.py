"""The ε rule with ε = 0 is input × gradient of a torch module in which all that the rules hold constant is detached."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")

import copy
from dataclasses import dataclass

import heatcli
from tests.peers.classifier import Classifier
from tests.peers.detached import Detached
from tests.peers.exporting import export
from tests.peers.modern import modern
from tests.peers.transformers import transformers

BUILDERS = transformers.builders | modern.builders
RANGE = (-1.0, 1.5)


def explained(module: torch.nn.Module, picture: torch.Tensor, target: int | None = None):
    """Return logits, the class (the best one without ``target``) and its ∂logit/∂x by torch, without the batch axis."""
    picture = picture.clone().requires_grad_()
    logits = module(picture)[0]
    chosen = int(logits.argmax()) if target is None else target
    (gradient,) = torch.autograd.grad(logits[chosen], picture)
    return logits.detach().numpy(), chosen, gradient.numpy()[0]


@dataclass(frozen=True)
class Case:
    """A classifier, its file opened by heatcli, a picture whose best class has evidence, and R = x · c by torch."""

    classifier: Classifier
    explainer: heatcli.Explainer
    picture: torch.Tensor
    target: int
    relevance: np.ndarray

    @property
    def x(self) -> np.ndarray:
        """The picture for heatcli."""
        return self.picture.numpy().astype(np.float32)


def decided(classifier: Classifier) -> tuple[torch.Tensor, int, np.ndarray]:
    """Return a picture, its class and its relevance, of which float32 and float64 give the same.

    Where a tensor nearly vanishes y/x is large and has no digits left in float32, as which a file computes.
    """
    single = copy.deepcopy(classifier.module).float()
    for seed in range(1, 200):
        picture = classifier.picture(*RANGE, seed)
        with Detached():
            logits, target, gradient = explained(classifier.module, picture)
            relevance = picture.numpy()[0] * gradient
            largest = np.abs(relevance).max()
            if logits[target] < 0.1 or largest > 30 * logits[target]:
                continue
            _, _, rough = explained(single, picture.float(), target)
        if np.abs(picture.numpy()[0] * (rough - gradient)).max() < 5e-5 * largest:
            return picture, target, relevance
    raise AssertionError("no picture with evidence that float32 is enough for")


@pytest.fixture(scope="module", params=BUILDERS)
def case(request, tmp_path_factory) -> Case:
    classifier = BUILDERS[request.param]()
    path = export(classifier, tmp_path_factory.mktemp("detached") / f"{request.param}.onnx")
    explainer = heatcli.load(path, precision="float64", range=RANGE)
    return Case(classifier, explainer, *decided(classifier))


def test_epsilon_zero(case: Case):
    ours = case.explainer.explain(case.x, target=case.target, method="lrp-epsilon", rules=["*=epsilon:0"])
    scale = np.abs(case.relevance).max()
    np.testing.assert_allclose(ours.relevance, case.relevance, rtol=0, atol=1e-3 * scale)
    assert ours.ledger.biases + ours.ledger.constants == pytest.approx(
        ours.score - case.relevance.sum(), abs=1e-3 * scale
    )
    assert ours.ledger.lost == 0


def test_scores_and_gradient(case: Case):
    logits, _, gradient = explained(case.classifier.module, case.picture, case.target)
    ours = case.explainer.explain(case.x, target=case.target, method="gradient")
    assert ours.score == pytest.approx(logits[case.target], rel=1e-4)
    np.testing.assert_allclose(ours.relevance, gradient, rtol=0, atol=1e-4 * np.abs(gradient).max())


def test_account_of_deep_taylor(case: Case):
    ours = case.explainer.explain(case.x, target=case.target)
    assert abs(ours.ledger.error) < 1e-9
    assert ours.relevance.min() >= 0
