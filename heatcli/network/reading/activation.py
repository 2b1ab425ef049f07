"""Readers of elementwise functions of one tensor."""

from __future__ import annotations

import numpy as np

from heatcli.network.layers import Activation, Layer
from heatcli.network.reading.registry import Argument, Node, constant, data, reads

Array = np.ndarray


def _activation(node: Node, x: Argument, *constants: float | Array, function: str | None = None) -> Layer:
    return Activation(
        name=node.name,
        operation=node.operation,
        inputs=(data(x).name,),
        function=function or node.operation,
        constants=tuple(np.asarray(value, getattr(value, "dtype", "float32")) for value in constants),
    )


@reads(
    "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Sign", "Abs", "Exp", "Log", "Sqrt", "Reciprocal",
    "HardSwish", "Mish",
)  # fmt: skip
def plain(node: Node, x: Argument) -> Layer:
    return _activation(node, x)


@reads("LeakyRelu")
def leaky_relu(node: Node, x: Argument, *, alpha: float = 0.01) -> Layer:
    return _activation(node, x, alpha)


@reads("PRelu")
def prelu(node: Node, x: Argument, slope: Argument) -> Layer:
    return _activation(node, x, constant(slope, "its slope"))


@reads("Elu")
def elu(node: Node, x: Argument, *, alpha: float = 1.0) -> Layer:
    return _activation(node, x, alpha)


@reads("Celu")
def celu(node: Node, x: Argument, *, alpha: float = 1.0) -> Layer:
    return _activation(node, x, alpha)


@reads("Selu")
def selu(node: Node, x: Argument, *, alpha: float = 1.6732632, gamma: float = 1.050701) -> Layer:
    return _activation(node, x, alpha, gamma)


@reads("HardSigmoid")
def hard_sigmoid(node: Node, x: Argument, *, alpha: float = 0.2, beta: float = 0.5) -> Layer:
    return _activation(node, x, alpha, beta)


@reads("ThresholdedRelu")
def thresholded_relu(node: Node, x: Argument, *, alpha: float = 1.0) -> Layer:
    return _activation(node, x, alpha)


@reads("Clip")
def clip_by_attribute(node: Node, x: Argument, *, min: float = -np.inf, max: float = np.inf) -> Layer:
    return _activation(node, x, min, max)


@reads("Clip", since=11)
def clip(node: Node, x: Argument, low: Argument = None, high: Argument = None) -> Layer:
    lower = -np.inf if low is None else constant(low, "its lower bound")
    upper = np.inf if high is None else constant(high, "its upper bound")
    return _activation(node, x, lower, upper)


@reads("Pow")
def power(node: Node, x: Argument, exponent: Argument) -> Layer:
    return _activation(node, x, constant(exponent, "its exponent").astype("float32"))


@reads("Gelu", since=20)
def gelu(node: Node, x: Argument, *, approximate: str = "none") -> Layer:
    return _activation(node, x, function="GeluTanh" if approximate == "tanh" else "Gelu")


@reads("Swish", since=24)
def swish(node: Node, x: Argument, *, alpha: float = 1.0) -> Layer:
    return _activation(node, x, alpha)


@reads("QuantizeLinear")
def quantised(node: Node, x: Argument, lowest: Argument, highest: Argument) -> Layer:
    """Read the rounding to integers, which saturates at what the ``lowest`` and the ``highest`` of them mean."""
    return _activation(node, x, constant(lowest, "its range"), constant(highest, "its range"), function="Quantize")
