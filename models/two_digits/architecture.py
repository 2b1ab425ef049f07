"""The network of the paper's section 6.1: detection, pooling, detection, pooling; and its ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli.replacing import replacing
from models.two_digits.mnist import SIDE

Array = np.ndarray
PIXELS = 2 * SIDE * SIDE
DETECTORS = 400
GROUP = 4
"""Detection neurons of the first layer that are summed to one pooling neuron."""
POOLED = DETECTORS // GROUP
SPREAD = 0.05
"""Standard deviation of the weights at the start."""
OPSET = 17


@dataclass(frozen=True, eq=False)
class Weights:
    """``w1`` (1568, 400), ``b1`` (400,), ``w2`` (100, 400), ``b2`` (400,), all float32; no bias is above 0."""

    w1: Array
    b1: Array
    w2: Array
    b2: Array


def start(seed: int) -> Weights:
    """Return the weights before training: normal with standard deviation 0.05, biases 0; from ``seed`` alone."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return (SPREAD * rng.standard_normal(shape)).astype(np.float32)

    return Weights(
        w1=normal(PIXELS, DETECTORS),
        b1=np.zeros(DETECTORS, np.float32),
        w2=normal(POOLED, DETECTORS),
        b2=np.zeros(DETECTORS, np.float32),
    )


def write_onnx(weights: Weights, path: Path) -> None:
    """Write the network as ONNX, opset 17, free in the batch: ``pictures`` (N, 1, 28, 56) to ``score`` (N, 1).

    The sums are written as sums, so that the file shows what is a detection and what is a pooling layer.
    """
    nodes = [
        helper.make_node("Flatten", ["pictures"], ["pixels"], "pixels"),
        helper.make_node("Gemm", ["pixels", "dense1.weight", "dense1.bias"], ["dense1"], "dense1"),
        helper.make_node("Relu", ["dense1"], ["detection1"], "detection1"),
        helper.make_node("Reshape", ["detection1", "groups.shape"], ["groups"], "groups"),
        helper.make_node("ReduceSum", ["groups", "pooling1.axes"], ["pooling1"], "pooling1", keepdims=0),
        helper.make_node("Gemm", ["pooling1", "dense2.weight", "dense2.bias"], ["dense2"], "dense2"),
        helper.make_node("Relu", ["dense2"], ["detection2"], "detection2"),
        helper.make_node("ReduceSum", ["detection2", "score.axes"], ["score"], "score", keepdims=1),
    ]
    constants = {
        "dense1.weight": weights.w1,
        "dense1.bias": weights.b1,
        "groups.shape": np.array([-1, POOLED, GROUP], np.int64),
        "pooling1.axes": np.array([2], np.int64),
        "dense2.weight": weights.w2,
        "dense2.bias": weights.b2,
        "score.axes": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "two_digits",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 1, SIDE, 2 * SIDE])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="heatcli")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as stream:
        stream.write(model.SerializeToString())


def read_onnx(path: Path) -> Weights:
    """Return the weights in a file that ``write_onnx`` wrote."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    return Weights(values["dense1.weight"], values["dense1.bias"], values["dense2.weight"], values["dense2.bias"])
