"""Reductions that are a plain sum, mean or maximum of something elementwise, and norms."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from heatcli.network.rewriting.fused import standardised, with_bias
from heatcli.network.rewriting.registry import Steps, Unwritable, rewrites

TINY = 1e-30
"""Norms up to this size count as zero."""


def _axes(steps: Steps, node: onnx.NodeProto) -> list[int] | None:
    """Return the axes of a reduction in order, None where it is to do nothing."""
    steps.accept("axes", "keepdims", "noop_with_empty_axes")
    rank = len(steps.shape(node.input[0]))
    given: Sequence[int] = steps.attribute("axes", []) or []
    if steps.operand(1) is not None:
        given = steps.certain(steps.operand(1), "its list of axes").reshape(-1).tolist()
    if given:
        return sorted(axis % rank for axis in given)
    return None if steps.attribute("noop_with_empty_axes", 0) else list(range(rank))


def _reduced(node: onnx.NodeProto, steps: Steps, operation: str, x: str) -> str:
    axes = _axes(steps, node)
    return x if axes is None else steps.reduce(operation, x, axes, keepdims=steps.attribute("keepdims", 1))


@rewrites("ReduceSumSquare")
def sum_of_squares(node: onnx.NodeProto, steps: Steps) -> str:
    return _reduced(node, steps, "ReduceSum", steps.node("Mul", node.input[0], node.input[0]))


@rewrites("ReduceL2")
def euclidean_norm(node: onnx.NodeProto, steps: Steps) -> str:
    return steps.node("Sqrt", sum_of_squares(node, steps))


@rewrites("ReduceL1")
def sum_of_sizes(node: onnx.NodeProto, steps: Steps) -> str:
    return _reduced(node, steps, "ReduceSum", steps.node("Abs", node.input[0]))


@rewrites("ReduceLogSum")
def log_of_sum(node: onnx.NodeProto, steps: Steps) -> str:
    return steps.node("Log", _reduced(node, steps, "ReduceSum", node.input[0]))


@rewrites("ReduceLogSumExp")
def log_of_sum_of_exponentials(node: onnx.NodeProto, steps: Steps) -> str:
    return steps.node("Log", _reduced(node, steps, "ReduceSum", steps.node("Exp", node.input[0])))


@rewrites("ReduceMin")
def smallest(node: onnx.NodeProto, steps: Steps) -> str:
    return steps.node("Neg", _reduced(node, steps, "ReduceMax", steps.node("Neg", node.input[0])))


@rewrites("ReduceMean", "ReduceSum", "ReduceMax")
def over_nothing(node: onnx.NodeProto, steps: Steps) -> str | None:
    return node.input[0] if _axes(steps, node) is None else None


@rewrites("LpNormalization")
def divided_by_norm(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("axis", "p")
    x = node.input[0]
    axes = [steps.attribute("axis", -1) % len(steps.shape(x))]
    if steps.attribute("p", 2) == 1:
        norm = steps.reduce("ReduceSum", steps.node("Abs", x), axes)
    else:
        norm = steps.node("Sqrt", steps.reduce("ReduceSum", steps.node("Mul", x, x), axes))
    return steps.node("Div", x, steps.at_least(norm, TINY))  # nothing over nothing is nothing


@rewrites("MeanVarianceNormalization")
def mean_and_variance(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("axes")
    x = node.input[0]
    axes = [axis % len(steps.shape(x)) for axis in steps.attribute("axes", [0, 2, 3])]
    centred = steps.node("Sub", x, steps.reduce("ReduceMean", x, axes))
    deviation = steps.node("Sqrt", steps.reduce("ReduceMean", steps.node("Mul", centred, centred), axes))
    return steps.node("Div", centred, steps.node("Add", deviation, steps.number(1e-9)))


@rewrites("SimplifiedLayerNormalization")
def root_mean_square(node: onnx.NodeProto, steps: Steps) -> str | None:
    """Write what onnxruntime puts among the standard operations as a standard one."""
    steps.accept("axis", "epsilon", "stash_type")
    x, scale = node.input[:2]
    rank = len(steps.shape(x))
    axis, epsilon = steps.attribute("axis", -1) % rank, float(steps.attribute("epsilon", 1e-5))
    if steps.opset >= 23:
        return steps.node("RMSNormalization", x, scale, axis=axis, epsilon=epsilon)
    return steps.node("Mul", standardised(steps, x, list(range(axis, rank)), epsilon), scale)


@rewrites("GroupNormalization")
def group_normalization(node: onnx.NodeProto, steps: Steps) -> str:
    """Write the instance normalisation of each group, with scale and bias behind it."""
    steps.accept("epsilon", "num_groups", "stash_type")
    x, scale, bias = node.input
    shape, groups = steps.shape(x), int(steps.attribute("num_groups", 1))
    ones, zeros = steps.constant([1.0] * groups, "float32"), steps.constant([0.0] * groups, "float32")
    flat = steps.reshape(x, (shape[0], groups, -1))
    even = steps.node("InstanceNormalization", flat, ones, zeros, epsilon=float(steps.attribute("epsilon", 1e-5)))
    whole = steps.reshape(even, shape)
    by_channel = []
    for name, role in ((scale, "its scale"), (bias, "its bias")):
        value = steps.certain(name, role)
        if value.size == groups != shape[1]:  # before operator set 21 there is one a group
            value = value.repeat(shape[1] // groups)
        by_channel.append(steps.constant(value.reshape(-1, *(1,) * (len(shape) - 2))))
    return with_bias(steps, steps.node("Mul", whole, by_channel[0]), by_channel[1])


@rewrites("LpPool", "GlobalLpPool")
def pool_of_norms(node: onnx.NodeProto, steps: Steps) -> str:
    """Write (Σ |x|^p)^(1/p) over each window."""
    x, p = node.input[0], steps.attribute("p", 2)
    powers = steps.node("Pow", steps.node("Abs", x), steps.number(p))
    if node.op_type == "GlobalLpPool":
        steps.accept("p")
        total = steps.reduce("ReduceSum", powers, range(2, len(steps.shape(x))))
    else:
        own = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
        steps.accept("p", *own)
        if steps.attribute("ceil_mode", 0):
            raise Unwritable("windows that hang out over the padding (ceil_mode)")
        if steps.opset < 19 and any(step != 1 for step in steps.attribute("dilations") or ()):
            raise Unwritable("windows with holes (dilations)")
        size = 1
        for length in steps.attribute("kernel_shape"):
            size *= length
        form = {name: steps.attribute(name) for name in own}
        total = steps.times(steps.node("AveragePool", powers, count_include_pad=1, **form), size)
    return steps.node("Pow", total, steps.number(1 / p))
