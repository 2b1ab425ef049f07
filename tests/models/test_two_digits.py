"""The paper's detector of two digits: its file, and its heatmaps beside the rules written out."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

from heatcli.network.layers import Activation, Dense, Reduction, Reshape
from heatcli.pictures.facts import read_sidecar
from models.two_digits import stack
from models.two_digits.architecture import DETECTORS, GROUP, PIXELS, POOLED, Weights, read_onnx, start, write_onnx
from models.two_digits.maps import MODEL, open_explainer, scores_of
from models.two_digits.mnist import SIDE
from models.two_digits.pairs import BLACK, WHITE
from tests.dense import rule

explainer = cache(open_explainer)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(BLACK, WHITE, (count, 1, SIDE, 2 * SIDE)).astype(np.float32)


# the file -------------------------------------------------------------------------------------------------------------


def test_the_layers_are_those_of_the_paper_the_sums_among_them() -> None:
    layers = explainer().network.layers
    assert [(layer.name, type(layer), layer.operation) for layer in layers] == [
        ("pixels", Reshape, "Flatten"),
        ("dense1", Dense, "Gemm"),
        ("detection1", Activation, "Relu"),
        ("groups", Reshape, "Reshape"),
        ("pooling1", Reduction, "ReduceSum"),
        ("dense2", Dense, "Gemm"),
        ("detection2", Activation, "Relu"),
        ("score", Reduction, "ReduceSum"),
    ]
    rules = explainer().assigned_rules()
    assert (rules["dense1"], rules["dense2"]) == ("zB", "z+")


def test_the_file_is_free_in_the_batch_and_written_in_standard_operations() -> None:
    model = onnx.load(MODEL)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert MODEL.stat().st_size < 3_000_000
    x = noise(3)
    np.testing.assert_allclose(scores_of(x), [scores_of(each[None])[0] for each in x], rtol=1e-5, atol=1e-4)


def test_no_bias_is_positive_and_all_is_float32() -> None:
    weights = read_onnx(MODEL)
    assert weights.w1.shape == (PIXELS, DETECTORS)
    assert weights.w2.shape == (POOLED, DETECTORS)
    assert max(weights.b1.max(), weights.b2.max()) <= 0
    assert {value.dtype for value in vars(weights).values()} == {np.dtype(np.float32)}


def test_black_and_white_of_a_picture_are_the_ends_of_the_range() -> None:
    preprocessing = explainer().preprocessing
    assert preprocessing is not None
    assert explainer().labels == ("digit 0-3",)
    assert read_sidecar(MODEL)["channels"] == "grey"
    low, high = preprocessing.bounds()
    assert (low.item(), high.item()) == pytest.approx((BLACK, WHITE), abs=1e-7)
    pixels = np.arange(SIDE * 2 * SIDE, dtype=np.int64).reshape(SIDE, 2 * SIDE) % 256
    x, _ = preprocessing.tensor(PIL.Image.fromarray(pixels.astype(np.uint8)))
    assert x.shape == (1, 1, SIDE, 2 * SIDE)
    np.testing.assert_allclose(x[0, 0], pixels / 127.5 - 0.5, atol=1e-6)


def test_the_file_holds_the_weights_that_were_written(tmp_path: Path) -> None:
    weights = start(3)
    write_onnx(weights, tmp_path / "model.onnx")
    again = read_onnx(tmp_path / "model.onnx")
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(weights).items())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    x = noise(4)
    scores = written_out(weights, x)[-1].sum(axis=1)
    np.testing.assert_allclose(scores_of(x, tmp_path / "model.onnx"), scores, rtol=1e-5)


def test_the_start_is_normal_with_biases_of_zero() -> None:
    weights = start(1)
    assert weights.w1.std() == pytest.approx(0.05, rel=0.01)
    assert abs(weights.w2.mean()) < 0.001
    assert not weights.b1.any()
    assert not weights.b2.any()
    assert np.array_equal(weights.w1, start(1).w1)
    assert not np.array_equal(weights.w1, start(2).w1)


# its heatmaps on inputs that need no data -----------------------------------------------------------------------------


def written_out(weights: Weights, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Input, first detection, first pooling and second detection layer, (N, neurons) float64."""
    pixels = x.reshape(len(x), -1).astype(np.float64)
    detection1 = np.maximum(pixels @ weights.w1.astype(np.float64) + weights.b1, 0)
    pooling1 = detection1.reshape(len(x), POOLED, GROUP).sum(axis=2)
    return pixels, detection1, pooling1, np.maximum(pooling1 @ weights.w2.astype(np.float64) + weights.b2, 0)


def deep_taylor(weights: Weights, x: np.ndarray) -> np.ndarray:
    """The paper's rules as matrices in float64 for one input: z⁺ on top, z^B at the pixels."""
    pixels, detection1, pooling1, detection2 = (values[0] for values in written_out(weights, x))
    w1, b1, w2, b2 = (np.asarray(value, np.float64) for value in vars(weights).values())
    low, high = np.full(PIXELS, BLACK), np.full(PIXELS, WHITE)
    nothing = np.zeros(POOLED)
    groups = np.repeat(np.eye(POOLED), GROUP, axis=0)
    on_pooling = rule("z+", pooling1, w2, b2, detection2, nothing, nothing)
    on_detection = rule("z+", detection1, groups, nothing, on_pooling, nothing, nothing)
    return rule("zB", pixels, w1, b1, on_detection, low, high).reshape(SIDE, 2 * SIDE)


@pytest.mark.parametrize("seed", range(6))
def test_the_map_is_that_of_the_rules_written_out_and_the_account_closes(seed: int) -> None:
    x = noise(1, seed)
    explanation = explainer().explain(x)
    assert explanation.score == pytest.approx(scores_of(x)[0], rel=1e-5)
    assert explanation.score > 0
    assert abs(explanation.ledger.error or 0.0) < 1e-5
    assert (explanation.ledger.biases, explanation.ledger.constants, explanation.ledger.lost) == (0, 0, 0)
    assert explanation.relevance.min() >= 0
    expected = deep_taylor(read_onnx(MODEL), x)
    assert expected.sum() == pytest.approx(explanation.score, rel=1e-5)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=0, atol=1e-4 * expected.max())


RELEVANCE = MODEL.with_suffix(".relevance.npz")


def min_max(weights: Weights, x: np.ndarray) -> np.ndarray:
    """Equations 14 and 15 as matrices in float64 for one input, with z^B at the pixels and the numbers of the file."""
    with np.load(RELEVANCE) as held:
        v, upper, d = (held[f"0/{name}"].astype(np.float64) for name in ("v", "upper", "offset"))
    pixels, _, _, detection2 = (values[0] for values in written_out(weights, x))
    y = np.maximum(0, pixels @ v + np.minimum(0, detection2 @ upper + d))
    low, high, nothing = np.full(PIXELS, BLACK), np.full(PIXELS, WHITE), np.zeros(DETECTORS)
    return rule("zB", pixels, v, nothing, y, low, high).reshape(SIDE, 2 * SIDE)


@pytest.mark.parametrize("seed", range(6))
def test_the_min_max_map_is_that_of_its_equations(seed: int) -> None:
    x = noise(1, seed)
    explanation = explainer().explain(x, method="deep-taylor-minmax")
    expected = min_max(read_onnx(MODEL), x)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=0, atol=1e-4 * max(1e-6, expected.max()))
    assert explanation.relevance.min() >= 0
    assert explanation.ledger.lost == pytest.approx(explanation.score - expected.sum(), abs=1e-3 * explanation.score)
    assert abs(explanation.ledger.error or 0.0) < 1e-5


def test_the_relevance_models_are_those_of_this_file() -> None:
    with np.load(RELEVANCE, allow_pickle=False) as held:
        described = json.loads(str(held["description"]))
        assert all(held[name].dtype == np.float32 for name in held.files if name != "description")
    assert described["model"]["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert described["settings"]["pictures"] == stack.COUNT
    (layer,) = described["layers"]
    assert (layer["name"], layer["groups"], layer["uppers"]) == ("dense1", POOLED, ["dense2"])
    assert layer["error"] < 0.05
    assert RELEVANCE.stat().st_size < 3_000_000
