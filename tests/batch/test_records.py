"""The record's schema, its numbers, and the file that keeps records."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from heatcli.batch import records
from heatcli.errors import PictureError
from heatcli.explanation import ClassScore, Explanation, ModelInfo
from heatcli.relevance.ledger import Ledger

MODEL = ModelInfo("net.onnx", "abc", "pytorch 2")
TOP_LEVEL = [
    *("schema", "input", "output", "model", "method", "settings", "preprocessing", "target", "top", "ledger"),
    *("relevance", "seconds", "versions", "warnings", "error"),
]


def explanation(relevance: np.ndarray, ledger: Ledger | None = None) -> Explanation:
    best = ClassScore(3, "shark", np.float32(2.0), math.nan)
    return Explanation(
        relevance=relevance,
        layout="NCHW",
        target=np.int64(3),
        label="shark",
        score=np.float32(2.0),
        probability=math.inf,
        top=(best,) * 7,
        ledger=ledger or Ledger(2.0, 2.0, 1.5, 0.5, 0.0, 0.0),
        method="deep-taylor",
        signed=False,
        settings={"range": (np.zeros(3), 1.0)},
        preprocessing={"source": "option"},
        model=MODEL,
        seconds={"read": 0.1, "forward": 0.2, "relevance": 0.3},
        warnings=("careful",),
    )


def made(relevance: np.ndarray, **kwargs: Ledger) -> records.Record:
    return records.record(
        explanation(relevance, **kwargs), source="a.jpg", output="a.png", settings={"style": "x"}, write_seconds=0.4
    )


def test_a_record_has_exactly_the_keys_of_the_schema_in_plain_json() -> None:
    entry = json.loads(records.line(made(np.ones((1, 2, 2), np.float32))))
    assert list(entry) == TOP_LEVEL
    assert entry["schema"] == 1
    assert entry["model"] == {"path": "net.onnx", "sha256": "abc", "producer": "pytorch 2"}
    assert entry["target"] == {"index": 3, "label": "shark", "score": 2.0, "probability": None}
    assert len(entry["top"]) == 5
    assert list(entry["ledger"]) == ["score", "start", "pixels", "biases", "constants", "lost", "error"]
    assert entry["ledger"]["error"] == 0
    assert entry["seconds"] == {"read": 0.1, "forward": 0.2, "relevance": 0.3, "write": 0.4}
    assert entry["settings"] == {"range": [[0, 0, 0], 1], "style": "x"}
    assert entry["error"] is None
    assert entry["warnings"] == ["careful"]
    assert {"heatcli", "onnxruntime", "numpy"} <= set(entry["versions"])


def test_relevance_is_summed_up_by_size() -> None:
    entry = made(np.array([[[3.0, -1.0]]], np.float32))
    assert entry["relevance"] == {"min": -1.0, "max": 3.0, "negative_share": 0.25, "border_share": 1.0}
    assert made(np.zeros((1, 2, 2), np.float32))["relevance"]["negative_share"] == 0


def test_the_border_is_the_outer_twentieth_of_each_side() -> None:
    relevance = np.zeros((1, 20, 40), np.float32)
    assert made(relevance)["relevance"]["border_share"] == 0
    relevance[:, 1:19, 2:38] = 1
    assert made(relevance)["relevance"]["border_share"] == 0
    relevance[:, 0] = 2
    assert made(relevance)["relevance"]["border_share"] == pytest.approx(80 / (80 + 18 * 36))
    assert made(np.ones((3, 40, 60), np.float32))["relevance"]["border_share"] == pytest.approx(1 - 0.9**2)


def test_methods_without_an_account_have_nulls() -> None:
    ledger = made(np.ones((1, 2, 2), np.float32), ledger=Ledger(2.0, 1.0, 0.3))["ledger"]
    assert ledger["pixels"] == 0.3
    assert [ledger[name] for name in ("biases", "constants", "lost", "error")] == [None] * 4


def test_a_failure_has_the_same_keys_and_says_why() -> None:
    entry = records.failure(
        PictureError("no picture"), source="a.txt", model=MODEL, method="gradient", settings={}, preprocessing=None
    )
    assert list(entry) == TOP_LEVEL
    assert entry["error"] == {"type": "PictureError", "message": "no picture"}
    assert entry["output"] is entry["target"] is None
    assert entry["preprocessing"] == {"source": "tensor"}
