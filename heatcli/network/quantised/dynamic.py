"""Quantised operations whose scales depend on the picture, and products that put out integers."""

from __future__ import annotations

import numpy as np
import onnx

from heatcli.network.quantised.reals import Factor, Meaning, Reals, Unclear, attributes, means, operand

MICROSOFT = "com.microsoft"


@means("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: onnx.NodeProto, reals: Reals) -> None:
    """Read the rounding as nothing: the range of the integers is that of the numbers."""
    y, scale, zero = node.output
    reals.layer("Identity", [node.input[0]], y)
    reals.factors[scale] = Factor((scale,), np.ones(1, np.float32))
    reals.means(y, Meaning(scale, zero))


@means("ConvInteger")
def conv(node: onnx.NodeProto, reals: Reals) -> None:
    x, w = node.input[:2]
    side, factor = _data(reals, x, operand(node, 2))
    weights = _integers(reals, w, operand(node, 3), 0)
    reals.layer("Conv", [side, weights], node.output[0], **attributes(node))
    reals.is_product(node.output[0], factor)


@means("MatMulInteger")
def matmul(node: onnx.NodeProto, reals: Reals) -> None:
    sides, factor = [], Factor((), np.ones(1, np.float32))
    for place, name in enumerate(node.input[:2]):
        zero = operand(node, 2 + place)
        if name in reals.constants:
            sides.append(_integers(reals, name, zero, place - 2))
        else:
            side, own = _data(reals, name, zero)
            sides.append(side)
            factor = factor * own
    reals.layer("MatMul", sides, node.output[0])
    reals.is_product(node.output[0], factor)


def _data(reals: Reals, name: str, zero: str) -> tuple[str, Factor]:
    """Return the real tensor of an operand, and the scale by which it is larger than its integers."""
    if name in reals.raw:  # integers of the picture stand for themselves, less their zero point
        return reals.real(name, reals.one(), zero), Factor((), np.ones(1, np.float32))
    meant = reals.meanings.get(name)
    if meant is None:
        raise Unclear(f"what its input {name} means is not known")
    side = reals.real(name, meant.scale, zero)
    return side, reals.factors.get(meant.scale) or Factor((), reals.known(meant.scale, "a scale").reshape(-1))


def _integers(reals: Reals, name: str, zero: str, axis: int) -> str:
    """Keep constant integers less their zero point."""
    return reals.real(name, reals.one(), zero, axis)


@means("DynamicQuantizeMatMul", domain=MICROSOFT)
def quantising_matmul(node: onnx.NodeProto, reals: Reals) -> None:
    a, b, b_scale = node.input[:3]
    _product(node, reals, a, reals.real(b, b_scale, operand(node, 3), -1), operand(node, 4))


@means("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_to_float(node: onnx.NodeProto, reals: Reals) -> None:
    a, b, a_scale, b_scale = node.input[:4]
    sides = reals.real(a, a_scale, operand(node, 4)), reals.real(b, b_scale, operand(node, 5), -1)
    _product(node, reals, *sides, operand(node, 6))


def _product(node: onnx.NodeProto, reals: Reals, a: str, b: str, bias: str) -> None:
    output = node.output[0]
    product = f"{output}/product" if bias else output
    reals.layer("MatMul", [a, b], product)
    if bias:
        reals.shapes[product] = reals.shapes[output]
        reals.layer("Add", [product, bias], output)
