"""What scikit-learn's networks are exported with: linear classifiers, scalers, norms and labels of ``ai.onnx.ml``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from heatcli.network.classical import DOMAIN, labels_of
from heatcli.network.rewriting.registry import Steps, Unwritable, rewrites

TRANSFORMS = {"NONE": "Identity", "LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}
TINY = float(np.finfo(np.float32).tiny)
COMPARES_FLOATS = 11
"""The operator set from which on Equal takes floats."""


@rewrites("Scaler", domain=DOMAIN)
def scaler(node: onnx.NodeProto, steps: Steps) -> str:
    """Write (x − offset) · scale."""
    steps.accept("offset", "scale")
    offset, scale = (steps.constant(steps.attribute(name, []), np.float32) for name in ("offset", "scale"))
    return steps.node("Mul", steps.node("Sub", node.input[0], offset), scale)


@rewrites("Normalizer", domain=DOMAIN)
def normalizer(node: onnx.NodeProto, steps: Steps) -> str:
    """Write x over Σ|x|, over √Σx², or over its largest element; a row of zeros stays one."""
    steps.accept("norm")
    x, norm = node.input[0], steps.attribute("norm", "MAX")
    if norm == "MAX":
        if steps.opset < COMPARES_FLOATS:
            raise Unwritable(f"its norm MAX with the operator set {steps.opset}")
        largest = steps.reduce("ReduceMax", x, [-1])
        nothing = steps.node("Equal", largest, steps.number(0))
        return steps.node("Div", x, steps.node("Where", nothing, steps.number(1), largest))
    terms = steps.node("Abs", x) if norm == "L1" else steps.node("Mul", x, x)
    total = steps.reduce("ReduceSum", terms, [-1])
    length = total if norm == "L1" else steps.node("Sqrt", total)
    return steps.node("Div", x, steps.node("Max", length, steps.number(TINY)))


@rewrites("LinearClassifier", domain=DOMAIN)
def linear_classifier(node: onnx.NodeProto, steps: Steps) -> Sequence[str]:
    """Write the label of the best class, and the transform of x Wᵀ + b.

    One row of W with two labels means the scores [1 − s, s], and with the logistic transform those of [−s, s].
    """
    steps.accept(
        "classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class", "post_transform"
    )
    transform, labels = steps.attribute("post_transform", "NONE"), labels_of(node)
    bias = np.asarray(steps.attribute("intercepts"), np.float32)
    weights = np.asarray(steps.attribute("coefficients"), np.float32).reshape(bias.size, -1)
    shift = 0.0
    if bias.size == 1 and len(labels) == 2:
        shift = 0.0 if transform == "LOGISTIC" else 1.0
        weights, bias = np.concatenate([-weights, weights]), np.concatenate([shift - bias, bias])
        transform = "NONE" if transform in ("SOFTMAX", "SOFTMAX_ZERO") else transform  # as onnxruntime does
    if transform not in TRANSFORMS:
        raise Unwritable(f"its post_transform {transform} is not supported")
    scores = steps.node("Gemm", node.input[0], steps.constant(weights), steps.constant(bias), transB=1)
    after = steps.node(TRANSFORMS[transform], scores, axis=1 if transform == "SOFTMAX" else None)
    ranking = steps.node("Add", scores, steps.constant([-shift, 0], np.float32)) if shift else scores
    best = steps.node("ArgMax", ranking, axis=1, keepdims=0)
    return steps.node("Gather", steps.constant(labels, _kind(labels)), best, axis=0), after


@rewrites("ArrayFeatureExtractor", domain=DOMAIN)
def feature_extractor(node: onnx.NodeProto, steps: Steps) -> str:
    """Write picking along the last axis; of a single axis it makes a row."""
    steps.accept()
    x, places = node.input
    picked = steps.node("Gather", x, steps.reshape(places, [-1]), axis=-1)
    return picked if len(steps.shape(x)) > 1 else steps.reshape(picked, [1, -1])


def _kind(labels: Sequence[object]) -> type:
    return object if isinstance(labels[0], str) else np.int64
