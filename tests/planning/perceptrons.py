"""Networks of dense layers from matrices, and their float64 twins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray
Matrices = Sequence[tuple[Array, Array]]


def saved(path: Path, matrices: Matrices, *, last: str = "scores", dtype: int = TensorProto.FLOAT) -> Path:
    """Write x W + b with rectifiers between to ``path``, weights (I, O) and biases (O,) in order."""
    nodes, source = [], "x"
    if dtype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT))
        source = "float"
    for place in range(len(matrices)):
        end = place == len(matrices) - 1
        nodes.append(helper.make_node("Gemm", [source, f"w{place}", f"b{place}"], [last if end else f"z{place}"]))
        if not end:
            nodes.append(helper.make_node("Relu", [f"z{place}"], [f"h{place}"]))
        source = f"h{place}"
    constants = {
        f"{name}{place}": value.astype("float32")
        for place, pair in enumerate(matrices)
        for name, value in zip("wb", pair, strict=True)
    }
    ins, outs = matrices[0][0].shape[0], matrices[-1][0].shape[1]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", dtype, [1, ins])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, outs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def scores(matrices: Matrices, x: Array) -> Array:
    """Return the class scores of ``x`` (…, I) in float64."""
    for place, (weights, bias) in enumerate(matrices):
        x = x.astype(np.float64) @ weights + bias
        if place < len(matrices) - 1:
            x = np.maximum(x, 0)
    return x


def gradient(matrices: Matrices, x: Array, target: int, *, sharpness: float | None = None) -> Array:
    """Return the derivative of a class score at ``x`` (I,) in float64.

    With a ``sharpness`` that of smooth rectifiers t⁻¹ log(½ + ½ exp(tz)), t being so much over the mean size of z.
    """
    masks = []
    for weights, bias in matrices[:-1]:
        x = x.astype(np.float64) @ weights + bias
        masks.append(x > 0 if sharpness is None else 0.5 + 0.5 * np.tanh(0.5 * sharpness * x / np.abs(x).mean()))
        x = np.maximum(x, 0)
    back = matrices[-1][0][:, target].astype(np.float64)
    for (weights, _), mask in zip(reversed(matrices[:-1]), reversed(masks), strict=True):
        back = weights @ (back * mask)
    return back


def drawn(seed: int, *sizes: int) -> list[tuple[Array, Array]]:
    """Draw weights and biases of layers of these ``sizes``, representable in float32."""
    random = np.random.default_rng(seed)
    return [
        (
            random.normal(size=(ins, outs)).astype("float32") / np.float32(np.sqrt(ins)),
            0.1 * random.normal(size=outs).astype("float32"),
        )
        for ins, outs in pairwise(sizes)
    ]
