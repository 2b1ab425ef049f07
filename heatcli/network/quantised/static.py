"""Quantised operations whose scales are constants: QDQ and QOperator forms, standard and onnxruntime's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from heatcli.network.quantised.reals import Reals, Unclear, attributes, means, operand

MICROSOFT = "com.microsoft"


@means("QuantizeLinear")
@means("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(node: onnx.NodeProto, reals: Reals) -> None:
    x, scale = node.input[:2]
    given = attributes(node)
    kind = (
        np.dtype(helper.tensor_dtype_to_np_dtype(given["output_dtype"])).name if given.get("output_dtype") else "uint8"
    )
    reals.quantise(x, node.output[0], scale, operand(node, 2), axis=given.get("axis", 1), dtype=kind)


@means("DequantizeLinear")
@means("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(node: onnx.NodeProto, reals: Reals) -> None:
    x, scale = node.input[:2]
    reals.same(reals.real(x, scale, operand(node, 2), attributes(node).get("axis", 1)), node.output[0])


@means("QLinearConv")
@means("QLinearConv", domain=MICROSOFT)
def conv(node: onnx.NodeProto, reals: Reals) -> None:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = node.input[:8]
    given = _without_layout(attributes(node))
    inputs = [reals.real(x, x_scale, x_zero), reals.real(w, w_scale, w_zero, 0)]
    if bias := operand(node, 8):
        steps = reals.known(x_scale, "a scale") * reals.known(w_scale, "a scale").reshape(-1)
        real = reals.known(bias, "its bias").astype(np.float32) * steps.astype(np.float32)
        inputs.append(reals.constant(f"{bias}/{node.output[0]}", real))
    reals.saturating(node.output[0], y_scale, y_zero, "Conv", inputs, **given)


@means("QLinearMatMul")
@means("QLinearMatMul", domain=MICROSOFT)
def matmul(node: onnx.NodeProto, reals: Reals) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.input
    sides = [reals.real(a, a_scale, a_zero, -2), reals.real(b, b_scale, b_zero, -1)]
    reals.saturating(node.output[0], y_scale, y_zero, "MatMul", sides)


@means("QGemm", domain=MICROSOFT)
def gemm(node: onnx.NodeProto, reals: Reals) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero = node.input[:6]
    given = attributes(node)
    turned = bool(given.get("transB", 0))
    inputs = [reals.real(a, a_scale, a_zero), reals.real(b, b_scale, b_zero, 0 if turned else 1)]
    if bias := operand(node, 6):
        steps = reals.known(a_scale, "a scale") * reals.known(b_scale, "a scale").reshape(-1) * given.get("alpha", 1.0)
        real = reals.known(bias, "its bias").astype(np.float32) * steps.astype(np.float32)
        inputs.append(reals.constant(f"{bias}/{node.output[0]}", real))
    if scale := operand(node, 7):
        reals.saturating(node.output[0], scale, operand(node, 8), "Gemm", inputs, **given)
    else:
        reals.layer("Gemm", inputs, node.output[0], **given)


@means("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def arithmetic(node: onnx.NodeProto, reals: Reals) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale = node.input[:7]
    sides = [reals.real(a, a_scale, a_zero), reals.real(b, b_scale, b_zero)]
    reals.saturating(node.output[0], y_scale, operand(node, 7), node.op_type.removeprefix("QLinear"), sides)


@means("QLinearConcat", domain=MICROSOFT)
def concat(node: onnx.NodeProto, reals: Reals) -> None:
    y_scale, y_zero, *rest = node.input
    parts = [reals.real(*rest[place : place + 3]) for place in range(0, len(rest), 3)]
    reals.saturating(node.output[0], y_scale, y_zero, "Concat", parts, **attributes(node))


@means("QLinearLeakyRelu", "QLinearSigmoid", "QLinearAveragePool", domain=MICROSOFT)
def same_under_another_name(node: onnx.NodeProto, reals: Reals) -> None:
    given = _without_layout(attributes(node))
    reals.saturating(*_ends(node), node.op_type.removeprefix("QLinear"), [_source(node, reals)], **given)


@means("QLinearSoftmax", domain=MICROSOFT)
def softmax(node: onnx.NodeProto, reals: Reals) -> None:
    given = attributes(node)
    version = given.pop("opset", 13)
    rank = len(reals.shapes[node.output[0]])
    if version < 13 and given.get("axis", 1) % rank != rank - 1:
        raise Unclear("a softmax over several axes")
    reals.saturating(*_ends(node), "Softmax", [_source(node, reals)], axis=given.get("axis", -1) % rank)


@means("QLinearGlobalAveragePool", domain=MICROSOFT)
def global_average_pool(node: onnx.NodeProto, reals: Reals) -> None:
    rank = len(reals.shapes[node.output[0]])
    first = 1 if attributes(node).get("channels_last", 0) else 2
    axes = reals.constant(f"{node.output[0]}/axes", np.arange(first, first + rank - 2))
    reals.saturating(*_ends(node), "ReduceMean", [_source(node, reals), axes], keepdims=1)


@means("QLinearWhere", domain=MICROSOFT)
def where(node: onnx.NodeProto, reals: Reals) -> None:
    condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero = node.input
    sides = [reals.real(x, x_scale, x_zero), reals.real(y, y_scale, y_zero)]
    reals.saturating(node.output[0], z_scale, z_zero, "Where", [condition, *sides])


def _source(node: onnx.NodeProto, reals: Reals) -> str:
    """Return the real tensor of the one input, which comes with scale and zero point."""
    return reals.real(*node.input[:3])


def _ends(node: onnx.NodeProto) -> tuple[str, str, str]:
    """Return the output, its scale and its zero point."""
    return node.output[0], node.input[3], operand(node, 4)


def _without_layout(given: dict[str, Any]) -> dict[str, Any]:
    if given.pop("channels_last", 0):
        raise Unclear("channels last; export the model without layout optimisation")
    return given
