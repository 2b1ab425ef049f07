"""Whole small models in every form in which files come: written here, run untouched, and explained by the package."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import heatcli

Array = np.ndarray
FLOAT = TensorProto.FLOAT
ML = "ai.onnx.ml"


class End(NamedTuple):
    """An input or output as the file declares it; no shape for one that is not a tensor."""

    name: str
    shape: list | None
    kind: int = FLOAT


def node(operation, inputs, outputs, domain="", **attributes):
    """Return a node; names are given with spaces between."""
    return helper.make_node(operation, inputs.split(), outputs.split(), domain=domain, **attributes)


def save(path: Path, nodes, inputs, outputs, constants, *, opset=17, ml=3) -> Path:
    """Write a model of ``nodes``; ``inputs`` and ``outputs`` are ends, ``constants`` arrays by name."""
    graph = helper.make_graph(
        nodes,
        "whole",
        [helper.make_tensor_value_info(end.name, end.kind, end.shape) for end in inputs],
        [helper.make_tensor_value_info(end.name, end.kind, end.shape) for end in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, ml)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def plain(path: Path, **feeds: Array) -> dict:
    """Return every output of the untouched file by name, as onnxruntime alone computes them."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def scores(explainer: heatcli.Explainer, x: Array) -> tuple[Array, Array]:
    """Return score and probability of every class."""
    classes = range(explainer.network.output.classes)
    found = explainer.explain_targets(x, targets=list(classes))
    return np.array([e.score for e in found]), np.array([e.probability for e in found])


def explained(explainer: heatcli.Explainer, x: Array, target="top", **settings) -> heatcli.Explanation:
    """Explain ``x`` and hold the account to what it promises."""
    explanation = explainer.explain(x, target=target, **settings)
    assert explanation.ledger.error is None or abs(explanation.ledger.error) < 1e-5
    return explanation


def f(*shape, seed=0) -> Array:
    """Return fixed random numbers of ``shape``."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")
