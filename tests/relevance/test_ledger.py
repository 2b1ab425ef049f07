"""The account closes on every network, for every method that conserves, at every layer, in both precisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import heatcli
from heatcli.methods import METHODS

TRAINED = (
    "bvlc_googlenet_opset8",
    "squeezenet_v1.1_caffe_opset9",
    "onnc_resnet20",
    "cifar10_resnet4b_pytorch",
    "mnist_cntk_opset8",
    "onnxweb_sethjuarez",
    "keras_mlperf_resnet8_cifar10",
    "cifar10_large_keras_nhwc",
    "tflite_mobilenet_v2_fp32_nhwc_float",
    "ch_ppocr_mobile_v2.0_cls_infer",
    "face_antispoof_minifasnet",
)
CONSERVING = tuple(name for name, method in METHODS.items() if method.conserves and not method.fitted)
RANGE = (-1.0, 1.0)


def explained(path: Path, precision: str, **settings):
    """Explain the best class of a random picture within RANGE whose score is positive."""
    return positive(heatcli.load(path, range=RANGE, precision=precision), **settings)


def positive(explainer: heatcli.Explainer, **settings):
    """Explain random pictures, a few at most, until the best class has a positive score."""
    for seed in range(5):
        x = np.random.default_rng(seed).uniform(*RANGE, explainer.network.input.shape).astype("float32")
        explanation = explainer.explain(x, **settings)
        if explanation.score > 0:
            return explanation
    raise AssertionError("no positive score in five random pictures")


def check(explanation, tolerance: float) -> None:
    """Hold the whole account and that of every layer against ``tolerance``, relative to f(x).

    Rules with negative shares can pass totals of many times f(x) through a network with random weights (1e11 times on
    DenseNet under ε = 1e-6); rounding grows with them, so their account is held to the largest total that it carries.
    """
    ledger = explanation.ledger
    assert ledger.start == explanation.score > 0
    largest = ledger.start
    if explanation.signed:
        largest = max(largest, *(abs(total) for row in ledger.layers for total in (row.incoming, row.outgoing)))
    assert abs(ledger.error) * ledger.start <= tolerance * largest
    assert ledger.pixels == pytest.approx(explanation.relevance.sum(dtype=np.float64), rel=1e-5, abs=1e-5)
    for row in ledger.layers:
        assert abs(row.error) <= tolerance * max(largest, abs(row.incoming), abs(row.outgoing)), row
    if not explanation.signed:
        assert explanation.relevance.min() >= 0
        assert min(ledger.biases, ledger.constants, ledger.lost) >= 0


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("method", CONSERVING)
def test_trained_networks(data, name, method):
    path = data / "models" / f"{name}.onnx"
    check(explained(path, "float32", method=method), 1e-4)
    check(explained(path, "float64", method=method), 1e-9)


@pytest.mark.parametrize("name", TRAINED)
def test_pixels_alone_sum_to_the_score_without_biases(data, name):
    explanation = explained(data / "models" / f"{name}.onnx", "float64", biases="ignore")
    ledger = explanation.ledger
    assert ledger.biases == 0
    assert ledger.pixels == pytest.approx(ledger.score - ledger.lost - ledger.constants, rel=1e-9)
    if ledger.lost == 0:
        assert explanation.relevance.sum(dtype=np.float64) == pytest.approx(explanation.score, rel=1e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
def test_light_networks(light_model, precision, tolerance):
    explainer = heatcli.load(light_model, range=RANGE, precision=precision)
    for method in CONSERVING:
        check(positive(explainer, method=method), tolerance)
    check(positive(explainer, biases="ignore"), tolerance)
    check(positive(explainer, pool="winner", input_rule="w2"), tolerance)


@pytest.mark.parametrize("rule", ["z+", "w2", "flat", "epsilon:0.1", "gamma:0.5", "alpha-beta:2,1", "alpha-beta:1,0"])
@pytest.mark.parametrize("biases", ["neurons", "ignore"])
def test_every_rule_at_every_layer(light_models_by_name, rule, biases):
    """One rule for all linear layers, averages and sums of a network with groups, concatenations and residual sums."""
    settings = {"rules": [f"*={rule}"], "biases": biases, "method": "lrp-epsilon"}
    path = light_models_by_name("shufflenet")
    single, double = (explained(path, precision, **settings) for precision in ("float32", "float64"))
    check(single, 1e-4)
    check(double, 1e-9)
    used = {row.rule for row in double.ledger.layers if row.operation in ("Conv", "Gemm")}
    assert used == {rule}
    if rule in ("z+", "w2", "flat", "alpha-beta:1,0"):
        assert double.relevance.min() >= 0


@pytest.mark.parametrize("evidence", ["one", "probability"])
def test_other_starts(light_models_by_name, evidence):
    explainer = heatcli.load(light_models_by_name("squeezenet"), range=RANGE)
    x = np.random.default_rng(0).uniform(*RANGE, explainer.network.input.shape).astype("float32")
    explanation = explainer.explain(x, evidence=evidence)
    expected = 1.0 if evidence == "one" else explanation.probability
    assert explanation.ledger.start == expected
    assert abs(explanation.ledger.error) < 1e-4


def plain_logits(path: Path, x: np.ndarray, name: str) -> np.ndarray:
    """Return the tensor ``name`` from onnxruntime alone, flat."""
    model = onnx.load(path)
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {session.get_inputs()[0].name: x})[0].reshape(-1)


def test_no_evidence_gives_an_empty_map_and_says_so(light_models_by_name):
    explainer = heatcli.load(light_models_by_name("squeezenet"), range=RANGE)
    x = np.random.default_rng(0).uniform(*RANGE, explainer.network.input.shape).astype("float32")
    worst = int(np.argmin(plain_logits(light_models_by_name("squeezenet"), x, "r65")))
    explanation = explainer.explain(x, target=worst)
    assert explanation.score <= 0
    assert not explanation.relevance.any()
    assert explanation.ledger.start == 0
    assert explanation.ledger.error == 0
    assert any("no evidence" in warning for warning in explanation.warnings)
