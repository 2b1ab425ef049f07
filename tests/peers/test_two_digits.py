"""The detector of two digits agrees with torch: its gradient squared, and each step of its training."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra peers)")

from models.two_digits import train
from models.two_digits.architecture import GROUP, POOLED, Weights, read_onnx, start
from models.two_digits.maps import MODEL, open_explainer
from models.two_digits.mnist import SIDE, Digits
from models.two_digits.pairs import BLACK, WHITE, PairMaker


def parameters(weights: Weights) -> list:
    return [torch.from_numpy(np.asarray(value, np.float64)).requires_grad_() for value in vars(weights).values()]


def scores(x, w1, b1, w2, b2):
    pooled = (x @ w1 + b1).relu().reshape(-1, POOLED, GROUP).sum(dim=2)
    return (pooled @ w2 + b2).relu().sum(dim=1)


def test_sensitivity_is_the_square_of_the_gradient() -> None:
    explainer, values = open_explainer(), parameters(read_onnx(MODEL))
    for seed in range(5):
        x = np.random.default_rng(seed).uniform(BLACK, WHITE, (1, 1, SIDE, 2 * SIDE)).astype(np.float32)
        pixels = torch.from_numpy(x).double().reshape(1, -1).requires_grad_()
        score = scores(pixels, *values)
        (gradient,) = torch.autograd.grad(score.sum(), pixels)
        expected = gradient.square().numpy().reshape(SIDE, 2 * SIDE)
        explanation = explainer.explain(x, method="sensitivity")
        assert explanation.score == pytest.approx(score.item(), rel=1e-5)
        assert expected.any()
        np.testing.assert_allclose(explanation.heatmap, expected, rtol=0, atol=1e-5 * expected.max())


def test_a_step_goes_down_the_gradient_and_keeps_biases_at_zero_or_below() -> None:
    rng, rate = np.random.default_rng(0), 1e-5
    x = rng.uniform(BLACK, WHITE, (20, 2 * SIDE * SIDE)).astype(np.float32)
    wanted = np.where(rng.random(20) < 0.5, 100, 0).astype(np.float32)
    trainee, values = train.Trainee(start(1)), parameters(start(1))
    for _ in range(2):  # after the first, some biases are below zero
        loss = (scores(torch.from_numpy(x).double(), *values) - torch.from_numpy(wanted)).square().mean()
        gradients = torch.autograd.grad(loss, values)
        assert trainee.step(torch.from_numpy(x), torch.from_numpy(wanted), rate).item() == pytest.approx(
            loss.item(), rel=1e-5
        )
        stepped = [(value - rate * slope).detach() for value, slope in zip(values, gradients, strict=True)]
        values = [(value.clamp(max=0) if value.ndim == 1 else value).requires_grad_() for value in stepped]
    for name, expected in zip(("w1", "b1", "w2", "b2"), values, strict=True):
        found = getattr(trainee.weights(), name)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-6)
    assert trainee.weights().b1.min() < 0 == trainee.weights().b1.max()


def test_the_learning_rate_warms_up_stays_and_falls_to_a_tenth() -> None:
    at = {1: 2e-8, 2_500: 5e-5, 5_000: 1e-4, 100_000: 1e-4, 200_000: 1e-4, 250_000: 5.5e-5, 300_000: 1e-5}
    assert {iteration: train.rate(iteration) for iteration in at} == pytest.approx(at)
    assert train.rate(300, 300) == pytest.approx(1e-5)


def test_training_is_the_same_each_time_and_lowers_the_loss() -> None:
    labels = (np.arange(60) % 10).astype(np.uint8)
    images = np.zeros((60, SIDE, SIDE), np.uint8)
    images[:, 8:20, 8:20] = np.where(labels < 4, 250, 60)[:, None, None]
    ends = []
    for _ in range(2):
        trainee = train.Trainee(start(1))
        with torch.no_grad():
            losses = [loss.item() for _, loss in train.training(trainee, PairMaker(Digits(images, labels)), 300)]
        ends.append(trainee.weights())
    assert np.mean(losses[-20:]) < 0.2 * np.mean(losses[:5])
    assert np.array_equal(ends[0].w1, ends[1].w1)


def test_the_sidecar_is_the_one_that_training_writes(tmp_path: Path) -> None:
    train.write_sidecar(tmp_path / "two_digits.heatcli.json")
    beside = MODEL.with_suffix(".heatcli.json")
    assert (tmp_path / "two_digits.heatcli.json").read_bytes() == beside.read_bytes()
