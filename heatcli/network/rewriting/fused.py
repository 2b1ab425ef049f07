"""What onnxruntime's optimiser fuses: a bias, a sum or an activation inside another operation.

Definitions: onnxruntime's contrib operators (domain com.microsoft).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from heatcli.network.rewriting.registry import Steps, Unwritable, rewrites

MICROSOFT = "com.microsoft"


def gelu(steps: Steps, x: str) -> str:
    """Write x Φ(x) by the error function, or as the operation where there is one."""
    if steps.opset >= 20:
        return steps.node("Gelu", x)
    inner = steps.node("Erf", steps.times(x, math.sqrt(0.5)))
    return steps.node("Mul", steps.node("Mul", x, steps.number(0.5)), steps.node("Add", inner, steps.number(1)))


def tanh_gelu(steps: Steps, x: str) -> str:
    """Write the approximation of x Φ(x) by a hyperbolic tangent."""
    if steps.opset >= 20:
        return steps.node("Gelu", x, approximate="tanh")
    cubed = steps.times(steps.node("Mul", steps.node("Mul", x, x), x), 0.044715)
    inner = steps.node("Tanh", steps.times(steps.node("Add", x, cubed), math.sqrt(2 / math.pi)))
    return steps.node("Mul", steps.node("Mul", x, steps.number(0.5)), steps.node("Add", inner, steps.number(1)))


def with_bias(steps: Steps, x: str, bias: str | None) -> str:
    """Write a sum, where there is anything to add."""
    return x if bias is None else steps.node("Add", x, bias)


@rewrites("Gelu", domain=MICROSOFT)
def plain_gelu(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept()
    return gelu(steps, node.input[0])


@rewrites("BiasGelu", domain=MICROSOFT)
def bias_gelu(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept()
    return gelu(steps, steps.node("Add", *node.input))


@rewrites("FastGelu", domain=MICROSOFT)
def fast_gelu(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept()
    return tanh_gelu(steps, with_bias(steps, node.input[0], steps.operand(1)))


@rewrites("QuickGelu", domain=MICROSOFT)
def quick_gelu(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("alpha")
    x = node.input[0]
    return steps.node("Mul", x, steps.node("Sigmoid", steps.times(x, steps.attribute("alpha", 1.702))))


@rewrites("FusedConv", domain=MICROSOFT)
def fused_conv(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept(*CONVOLUTION, "activation", "activation_params")
    operands = [name for name in node.input[:3] if name]
    y = steps.node("Conv", *operands, **{name: steps.attribute(name) for name in CONVOLUTION})
    return activated(steps, with_bias(steps, y, steps.operand(3)))


CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
PARAMETERS = {
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "ThresholdedRelu": ("alpha",),
    "Elu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "Softplus": (),
    "Softsign": (),
}
"""Activations that are fused, and the parameters of each in order."""


def activated(steps: Steps, x: str) -> str:
    """Write the activation that the node's attributes name."""
    name = steps.attribute("activation", "")
    values = steps.attribute("activation_params", []) or []
    if not name:
        return x
    if name == "Clip":
        if steps.opset >= 11:
            return steps.node("Clip", x, *map(steps.number, values))
        return steps.node("Clip", x, min=float(values[0]), max=float(values[1]))
    if name == "HardSwish":
        return steps.node("Mul", x, steps.node("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    if name not in PARAMETERS:
        raise Unwritable(f"the activation {name} inside it is not known")
    return steps.node(name, x, **_named(PARAMETERS[name], values))


def _named(names: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    return {name: float(value) for name, value in zip(names, values, strict=False)}


@rewrites("FusedGemm", domain=MICROSOFT)
def fused_gemm(node: onnx.NodeProto, steps: Steps) -> str:
    own = ("alpha", "beta", "transA", "transB")
    given = {name: value for name in own if (value := steps.attribute(name)) is not None}
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    steps.accept(*own, "activation", *names)
    y = steps.node("Gemm", *node.input, **given)
    name = steps.attribute("activation", "")
    if name not in PARAMETERS:
        raise Unwritable(f"the activation {name} inside it is not known")
    values = {
        key: steps.attribute(f"activation_{key}")
        for key in PARAMETERS[name]
        if steps.attribute(f"activation_{key}") is not None
    }
    return steps.node(name, y, **values)


@rewrites("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_matmul(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("alpha", "transA", "transB", "transBatchA", "transBatchB")
    sides = []
    for side, name in zip("AB", node.input, strict=True):
        shape = steps.shape(name)
        rank = len(shape)
        if steps.attribute(f"transBatch{side}", 0):
            # the batch's last axis stands before the matrix: (b0 … bn, m, k) lies as (m, b0 … bn−1 …, k)
            name, shape = _turned(steps, name, (*range(1, rank - 1), 0, rank - 1))
        if steps.attribute(f"trans{side}", 0) and rank > 1:
            name, shape = _turned(steps, name, (*range(rank - 2), rank - 1, rank - 2))
        sides.append(name)
    return steps.times(steps.node("MatMul", *sides), steps.attribute("alpha", 1.0))


def _turned(steps: Steps, name: str, order: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Return a tensor with its axes in another order; a constant is turned at once."""
    value = steps.value(name)
    if value is not None:
        turned = value.transpose(order)
        return steps.constant(turned), turned.shape
    shape = steps.shape(name)
    return steps.transpose(name, order), tuple(shape[axis] for axis in order)


@rewrites("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(node: onnx.NodeProto, steps: Steps) -> list[str]:
    steps.accept("epsilon")
    x, skip, scale = node.input[:3]
    total = with_bias(steps, steps.node("Add", x, skip), steps.operand(4))
    return _with_sum(layer_normalization(steps, total, scale, steps.operand(3)), total)


@rewrites("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_root_mean_square(node: onnx.NodeProto, steps: Steps) -> list[str]:
    steps.accept("epsilon")
    x, skip, scale = node.input[:3]
    total = with_bias(steps, steps.node("Add", x, skip), steps.operand(3))
    return _with_sum(root_mean_square(steps, total, scale), total)


def _with_sum(y: str, total: str) -> list[str]:
    """Return the outputs in the order of the fused operation: mean and deviation, which are not written, between."""
    return [y, "", "", total]


def layer_normalization(steps: Steps, x: str, scale: str, bias: str | None) -> str:
    """Write the normalisation of the last axis, as one operation where there is one."""
    epsilon = float(steps.attribute("epsilon", 1e-12))
    if steps.opset >= 17:
        return steps.node("LayerNormalization", x, scale, *([bias] if bias else []), axis=-1, epsilon=epsilon)
    last = [len(steps.shape(steps.inputs[0])) - 1]
    centred = steps.node("Sub", x, steps.reduce("ReduceMean", x, last))
    return with_bias(steps, steps.node("Mul", standardised(steps, centred, last, epsilon), scale), bias)


def standardised(steps: Steps, x: str, axes: list[int], epsilon: float) -> str:
    """Write x / √(mean of x² + ε)."""
    variance = steps.reduce("ReduceMean", steps.node("Mul", x, x), axes)
    return steps.node("Div", x, steps.node("Sqrt", steps.node("Add", variance, steps.number(epsilon))))


def root_mean_square(steps: Steps, x: str, scale: str) -> str:
    """Write the normalisation of the last axis by its mean square."""
    last = [len(steps.shape(steps.inputs[0])) - 1]
    return steps.node("Mul", standardised(steps, x, last, float(steps.attribute("epsilon", 1e-5))), scale)


@rewrites("MatMulNBits", domain=MICROSOFT)
def matmul_of_few_bits(node: onnx.NodeProto, steps: Steps) -> str:
    """Dequantise weights that are packed in blocks of 4 (or 8, 2) bits: w = (q − zero point) · scale."""
    steps.accept("K", "N", "bits", "block_size", "accuracy_level", "weight_prepacked")
    k, n, bits, block = (int(steps.attribute(name, 4)) for name in ("K", "N", "bits", "block_size"))
    if steps.attribute("weight_prepacked", 0) or steps.operand(4) is not None or bits not in (2, 4, 8):
        raise Unwritable("weights in an order of their own")
    packed = steps.certain(node.input[1], "its weight matrix")
    blocks = -(-k // block)
    scales = steps.certain(node.input[2], "its scales").astype(np.float32).reshape(n, blocks, 1)
    whole = _unpacked(packed.reshape(n, blocks, -1), bits)[..., :block].astype(np.float32)
    points = steps.operand(3)
    if points is None:
        zero: np.ndarray = np.full((n, blocks, 1), 2.0 ** (bits - 1), np.float32)
    else:
        stored = steps.certain(points, "its zero points")
        if stored.dtype == np.uint8:
            stored = _unpacked(stored.reshape(n, -1), bits)[:, :blocks]
        zero = stored.astype(np.float32).reshape(n, blocks, 1)
    weights = ((whole - zero) * scales).reshape(n, -1)[:, :k]
    return with_bias(steps, steps.node("MatMul", node.input[0], steps.constant(weights.T)), steps.operand(5))


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """Return numbers of ``bits`` bits, the lowest first in each byte, along the last axis."""
    places = np.arange(0, 8, bits, dtype=np.uint8)
    apart = (packed[..., None] >> places) & np.uint8(2**bits - 1)
    return apart.reshape(*packed.shape[:-1], -1)
