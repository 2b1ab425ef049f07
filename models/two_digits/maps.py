"""Heatmaps of pairs by the paper's four methods, as heatcli makes them from the files that lie here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

import heatcli
from heatcli.errors import HeatcliError, ModelError, UsageError
from models.two_digits.mnist import SIDE
from models.two_digits.pairs import BLACK, WHITE

Array = np.ndarray
MODEL = Path(__file__).with_name("two_digits.onnx")
METHODS = {
    "sensitivity": "sensitivity",
    "simple-taylor": "Taylor, simple",
    "deep-taylor-minmax": "deep Taylor, min–max",
    "deep-taylor": "deep Taylor, training-free",
}
"""What ``--method`` takes, and how figures name it; in the paper's order."""


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one ``method`` for N pairs.

    ``scores`` f(x) (N,) float64; ``relevance`` (N, 28, 56) float32; ``roots`` (N, 28, 56) float32, None for a method
    without root points; ``failed`` (N,) bool: the method found no answer and the map is empty; ``seconds`` a map.
    """

    method: str
    scores: Array
    relevance: Array
    roots: Array | None
    failed: Array
    seconds: float

    @property
    def sums(self) -> Array:
        """Σ_p R_p of every map, (N,) float64."""
        sums: Array = self.relevance.sum(axis=(1, 2), dtype=np.float64)
        return sums


def open_explainer(model: Path = MODEL) -> heatcli.Explainer:
    """Return heatcli's explainer of the network, for inputs from −0.5 to +1.5, on one thread."""
    return heatcli.load(model, range=(BLACK, WHITE), threads=1)


def scores_of(x: Array, model: Path = MODEL) -> Array:
    """Return f(x) of pairs ``x`` (N, 1, 28, 56), (N,) float64; onnxruntime runs the file as it is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"pictures": x[at : at + 500]})[0] for at in range(0, len(x), 500)]
    scores: Array = np.concatenate(parts).reshape(-1).astype(np.float64)
    return scores


def maps_of(x: Array, method: str, explainer: heatcli.Explainer, model: Path = MODEL) -> Maps:
    """Explain by ``method`` why f is as high as it is for each of ``x`` (N, 1, 28, 56).

    Raises HeatcliError where the method cannot be used at all; a pair that it has no answer for counts as ``failed``.
    """
    relevance, roots = np.zeros((2, len(x), SIDE, 2 * SIDE), np.float32)
    failed, rooted = np.zeros(len(x), bool), False
    begun = time.perf_counter()
    for index, picture in enumerate(x):
        try:
            explanation = explainer.explain(picture, method=method)
        except (UsageError, ModelError):
            raise
        except HeatcliError:
            failed[index] = True
            continue
        relevance[index] = explanation.heatmap
        if explanation.root is not None:
            roots[index], rooted = explanation.root.reshape(SIDE, 2 * SIDE), True
    seconds = (time.perf_counter() - begun) / len(x)
    return Maps(method, scores_of(x, model), relevance, roots if rooted else None, failed, seconds)
