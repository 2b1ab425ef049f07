"""The light ImageNet networks of the onnx package with seeded random weights in place of their constant ones.

Their weights are ConstantOfShape nodes, one number for a whole layer. They become initializers, listed as graph inputs
too, as files of that age have it. The networks then behave like trained ones as far as sizes go: activations neither
vanish nor explode, and class scores differ.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
BRANCH_GAIN = 0.4
"""Scale of a batch normalisation before a sum; without it sixteen sums make activations 256 times as large."""
LOGIT_GAIN = 0.1
"""Scale of the last layer, so that logits stay between 1 and 200 for pixels of ±1 and of ±120 alike."""


def with_random_weights(path: Path, seed: int = 0) -> onnx.ModelProto:
    """Return the light model at ``path`` with every constant weight drawn anew from ``seed``.

    Weights of convolutions and fully connected layers are N(0, 2/fan-in), or N(0, 1/fan-in) where no ReLU follows, a
    tenth of that in the last layer; their biases N(0, 0.02²). Batch normalisations get scales 1±0.1 (0.4±0.04 before a
    sum), shifts and means N(0, 0.1²), variances in [0.8, 1.2].
    """
    model = onnx.load(path)
    graph = model.graph
    given = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape"}
    shapes = {name: tuple(int(length) for length in given[node.input[0]]) for name, node in makers.items()}
    shapes |= {name: value.shape for name, value in given.items() if value.dtype == np.float32}
    unneeded = set(shapes) | {node.input[0] for node in makers.values()}

    weights = Weights(graph, np.random.default_rng(seed))
    tensors = [numpy_helper.from_array(weights.draw(name, shape), name) for name, shape in shapes.items()]
    fresh = onnx.GraphProto(name=graph.name)
    fresh.node.extend(node for node in graph.node if node.output[0] not in makers)
    fresh.output.extend(graph.output)
    fresh.input.extend(entry for entry in graph.input if entry.name not in unneeded)
    fresh.input.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    fresh.initializer.extend(entry for entry in graph.initializer if entry.name not in unneeded)
    fresh.initializer.extend(tensors)
    model.graph.CopyFrom(fresh)
    return model


class Weights:
    """Draws a constant according to the node of ``graph`` that uses it and the place it has there."""

    def __init__(self, graph: onnx.GraphProto, random: np.random.Generator) -> None:
        self.random = random
        self.users: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        for node in graph.node:
            for place, name in enumerate(node.input):
                self.users.setdefault(name, []).append((node, place))
        self.last = [node.output[0] for node in graph.node if node.op_type in ("Conv", "Gemm")][-1]

    def draw(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a float32 array of ``shape`` for the constant ``name``; one that nothing uses is left at zero."""
        noise = self.random.standard_normal(shape, dtype=np.float32)
        if name not in self.users:
            return np.zeros(shape, np.float32)
        node, place = self.users[name][0]
        while node.op_type in ("Unsqueeze", "Reshape"):
            node, place = self.users[node.output[0]][0]
        match node.op_type, place:
            case (("Conv" | "Gemm"), 1):
                return noise * self.deviation(node, shape)
            case (("Conv" | "Gemm"), 2):
                return noise * np.float32(0.02)
            case "BatchNormalization", 1:
                return (1 + noise / 10) * np.float32(BRANCH_GAIN if self.next_operation(node) == "Sum" else 1)
            case "BatchNormalization", 4:
                return self.random.uniform(0.8, 1.2, shape).astype(np.float32)
            case "Mul", _:
                return 1 + noise / 10
            case (("BatchNormalization" | "Add"), _):
                return noise / 10
        raise ValueError(f"{name}: no rule for input {place} of {node.op_type}")

    def deviation(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> np.float32:
        """Return the standard deviation of the weights of a convolution or fully connected layer."""
        transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
        fan_in = math.prod(shape[1:]) if node.op_type == "Conv" else shape[-1] if transposed else shape[-2]
        gain = 1 if self.next_operation(node) in ("Conv", "Sum") else 2
        return np.float32(math.sqrt(gain / fan_in) * (LOGIT_GAIN if node.output[0] == self.last else 1))

    def next_operation(self, node: onnx.NodeProto) -> str:
        """Return the operation that follows ``node``, batch normalisation passed over, or nothing at the end."""
        while users := self.users.get(node.output[0]):
            node = users[0][0]
            if node.op_type != "BatchNormalization":
                return node.op_type
        return ""
