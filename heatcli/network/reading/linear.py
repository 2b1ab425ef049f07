"""Readers of the linear family: convolutions and matrix products with a constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heatcli.network.layers import Convolution, DataProduct, Dense, Layer, StackedDense, TransposedConvolution
from heatcli.network.reading.registry import Argument, Node, Tensor, Unreadable, constant, data, reads

Ints = Sequence[int]


def begin_pads(
    shape: Ints, output: Ints, kernel: Ints, strides: Ints, dilations: Ints, pads: Ints | None, auto_pad: str
) -> tuple[int, ...]:
    """Return the padding at the begin of every spatial axis; the end follows from the ``output`` sizes."""
    if auto_pad in ("NOTSET", ""):
        return tuple(pads[: len(kernel)]) if pads else (0,) * len(kernel)
    if auto_pad == "VALID":
        return (0,) * len(kernel)
    totals = [
        max(0, (o - 1) * s + (k - 1) * d + 1 - n)
        for n, o, k, s, d in zip(shape, output, kernel, strides, dilations, strict=True)
    ]
    if auto_pad == "SAME_UPPER":
        return tuple(total // 2 for total in totals)
    if auto_pad == "SAME_LOWER":
        return tuple(total - total // 2 for total in totals)
    raise Unreadable(f"auto_pad {auto_pad} is not known")


def _bias(b: Argument, axes: int) -> np.ndarray | None:
    return None if b is None else constant(b, "its bias").reshape(-1, *(1,) * axes)


@reads("Conv")
def conv(
    node: Node,
    x: Argument,
    w: Argument,
    b: Argument = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Layer:
    x, w = data(x), constant(w, "its weight tensor")
    kernel = w.shape[2:]
    strides = tuple(strides or (1,) * len(kernel))
    dilations = tuple(dilations or (1,) * len(kernel))
    begin = begin_pads(x.shape[2:], node.shape[2:], kernel, strides, dilations, pads, auto_pad)
    return Convolution(
        name=node.name,
        operation=node.operation,
        inputs=(x.name,),
        weights=w,
        bias=_bias(b, len(kernel)),
        strides=strides,
        dilations=dilations,
        pads=begin,
        groups=group,
    )


@reads("ConvTranspose")
def conv_transpose(
    node: Node,
    x: Argument,
    w: Argument,
    b: Argument = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Layer:
    x, w = data(x), constant(w, "its weight tensor")
    kernel = w.shape[2:]
    strides = tuple(strides or (1,) * len(kernel))
    dilations = tuple(dilations or (1,) * len(kernel))
    if output_shape or auto_pad not in ("NOTSET", "", "VALID"):
        extra = output_padding or (0,) * len(kernel)
        totals = [
            max(0, s * (n - 1) + e + (k - 1) * d + 1 - o)
            for n, o, k, s, d, e in zip(x.shape[2:], node.shape[2:], kernel, strides, dilations, extra, strict=True)
        ]
        begin = tuple(total // 2 if auto_pad == "SAME_UPPER" else total - total // 2 for total in totals)
    else:
        begin = tuple(pads[: len(kernel)]) if pads and auto_pad != "VALID" else (0,) * len(kernel)
    return TransposedConvolution(
        name=node.name,
        operation=node.operation,
        inputs=(x.name,),
        weights=w,
        bias=_bias(b, len(kernel)),
        strides=strides,
        dilations=dilations,
        pads=begin,
        groups=group,
    )


@reads("Gemm")
def gemm(
    node: Node,
    a: Argument,
    b: Argument,
    c: Argument = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 1,
) -> Layer:
    x, w = data(a, "its first operand"), constant(b, "its weight matrix")
    bias = None if c is None else constant(c, "its bias")
    if bias is not None and beta != 1.0:
        bias = bias * np.asarray(beta, bias.dtype)
    w = w.T if transB else w
    if alpha != 1.0:
        w = w * np.asarray(alpha, w.dtype)
    return Dense(name=node.name, operation=node.operation, inputs=(x.name,), weights=w, bias=bias)


@reads("MatMul")
def matmul(node: Node, a: Argument, b: Argument) -> Layer:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return DataProduct(name=node.name, operation=node.operation, inputs=(a.name, b.name), values=None)
    x, w = data(a, "its first operand"), constant(b, "its second operand")
    if w.ndim > 2 and w.size == w.shape[-1] * w.shape[-2] and len(node.shape) == len(x.shape):
        w = w.reshape(w.shape[-2:])
    kind = Dense if w.ndim == 2 else StackedDense
    return kind(name=node.name, operation=node.operation, inputs=(x.name,), weights=w)
