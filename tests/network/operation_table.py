"""The table of operations: every form in which a node may stand in a file, between the tensors c (or x) and y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tests.installed import older

CLASSES = 5
LARGEST, SMALLEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min
FLOAT, DOUBLE, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL


@dataclass(frozen=True)
class Op:
    """One node; an array among its inputs becomes an initializer."""

    operation: str
    inputs: tuple
    outputs: tuple[str, ...]
    domain: str
    attributes: dict


@dataclass(frozen=True)
class Case:
    """Nodes from ``c`` or ``x`` to ``y`` (or to ``logits``); ``size`` is the picture's height and width."""

    ops: tuple[Op, ...]
    opset: int
    size: int
    scores: str


def op(operation, *inputs, out="y", domain="", **attributes):
    outputs = (out,) if isinstance(out, str) else tuple(out)
    return Op(operation, inputs or ("c",), outputs, domain, attributes)


def case(*ops, opset=17, size=6, scores="logits"):
    return Case(ops, opset, size, scores)


def ints(*values):
    return np.array(values, np.int64)


def f(*shape, seed=0, low=-1.0, high=1.0):
    """Return fixed random numbers of ``shape``."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype("float32")


def one(value):
    return np.array(value, "float32")


def positive():
    """Bring ``c`` into p between 0.1 and 1.1 without a kink."""
    return op("Mul", "c", one(4), out="p/m"), op("Sigmoid", "p/m", out="p/s"), op("Add", "p/s", one(0.1), out="p")


def norm(channels, opset=17, x="c", out="y", **attributes):
    parts = (f(channels, low=0.5), f(channels, seed=1), f(channels, seed=2), f(channels, seed=3, low=0.5))
    return case(op("BatchNormalization", x, *parts, out=out, **attributes), opset=opset)


def many(prefix, operation, forms, *inputs, opset=17, size=6):
    """Return one case for each of the attribute sets ``forms``."""
    return {
        f"{prefix} {' '.join(f'{k}={v}' for k, v in form.items())}".strip(): case(
            op(operation, *inputs, **form), opset=opset, size=size
        )
        for form in forms
    }


PLAIN = (
    "Relu",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Erf",
    "Abs",
    "Exp",
    "HardSwish",
    "Mish",
    "Neg",
    "LeakyRelu",
)
PLAIN += ("Elu", "Celu", "Selu", "HardSigmoid", "Identity", "GlobalAveragePool", "GlobalMaxPool")

ACTIVATIONS = {
    **{name: case(op(name), opset=18) for name in PLAIN},
    **{name: case(*positive(), op(name, "p")) for name in ("Log", "Sqrt", "Reciprocal")},
    "Sign": case(op("Sign", out="s"), op("Mul", "s", f(4, 6, 6), out="m"), op("Concat", "m", "c", axis=1)),
    "LeakyRelu alpha": case(op("LeakyRelu", alpha=0.3)),
    "PRelu scalar": case(op("PRelu", "c", f(1))),
    "PRelu channels": case(op("PRelu", "c", f(4, 1, 1))),
    "PRelu everywhere": case(op("PRelu", "c", f(4, 6, 6))),
    "PRelu rank 2": case(op("Flatten", out="a"), op("PRelu", "a", f(144))),
    "Elu alpha": case(op("Elu", alpha=0.4)),
    "Celu alpha": case(op("Celu", alpha=0.4)),
    "Selu alpha gamma": case(op("Selu", alpha=0.5, gamma=2.0)),
    "HardSigmoid alpha beta": case(op("HardSigmoid", alpha=0.9, beta=0.4)),
    "ThresholdedRelu": case(op("ThresholdedRelu", alpha=0.3)),
    "ThresholdedRelu default": case(op("Mul", "c", one(4), out="m"), op("ThresholdedRelu", "m")),
    "Clip attributes": case(op("Clip", min=-0.1, max=0.4), opset=9),
    "Clip attribute max": case(op("Clip", max=0.4), opset=9),
    "Clip attribute none": case(op("Clip"), opset=9),
    "Clip": case(op("Clip", "c", one(-0.1), one(0.4))),
    "Clip at zero and six": case(op("Mul", "c", one(9), out="m"), op("Clip", "m", one(0), one(6))),
    "Clip low": case(op("Clip", "c", one(-0.1))),
    "Clip high": case(op("Clip", "c", "", one(0.4))),
    "Clip none": case(op("Clip", "c")),
    "Pow 2": case(op("Pow", "c", one(2))),
    "Pow 3 of integers": case(op("Pow", "c", ints(3))),
    "Pow half": case(*positive(), op("Pow", "p", one(0.5))),
    "Pow channels": case(*positive(), op("Pow", "p", f(4, 1, 1, low=0.5, high=3))),
    "Gelu": case(op("Gelu"), opset=20),
    "Gelu tanh": case(op("Gelu", approximate="tanh"), opset=20),
    "Swish": case(op("Swish"), opset=24),
    "Swish alpha": case(op("Swish", alpha=1.5), opset=24),
}  # fmt: skip

AFFINE = {
    **{f"{name} {kind}": case(op(name, "c", value))
       for name in ("Add", "Sub", "Mul", "Div")
       for kind, value in (
           ("scalar", one(0.7)),
           ("channels", f(4, 1, 1, low=0.4)),
           ("map", f(1, 4, 6, 6, low=0.4)),
           ("rows", f(6, 1, low=0.4)),
       )},
    **{f"{name} constant first": case(op(name, f(4, 1, 1), "c")) for name in ("Add", "Sub", "Mul")},
    "Sub map first": case(op("Sub", f(4, 6, 6), "c")),
    "Mul broadcasts up": case(op("GlobalAveragePool", out="g"), op("Mul", "g", f(1, 4, 3, 3))),
    "Mul adds axes": case(op("Mul", "c", f(2, 1, 1, 1, 1))),
    "Add broadcasts up": case(op("GlobalAveragePool", out="g"), op("Add", "g", f(1, 4, 3, 3))),
    "Div broadcasts up": case(op("GlobalAveragePool", out="g"), op("Div", "g", f(1, 4, 3, 3, low=0.5))),
    "BatchNormalization": norm(4),
    "BatchNormalization epsilon": norm(4, epsilon=0.5),
    "BatchNormalization opset 9": norm(4, opset=9),
    "BatchNormalization opset 7": norm(4, opset=7),
    "BatchNormalization rank 2": case(op("Flatten", out="a"), *norm(144, x="a").ops),
    "BatchNormalization of the picture": case(*norm(3, x="x", out="n").ops, op("Conv", "n", f(4, 3, 3, 3), out="z"),
                                              op("Relu", "z")),
    "BatchNormalization folded back": case(op("Conv", "c", f(4, 4, 3, 3), f(4), out="v"), *norm(4, x="v").ops),
    "scale and shift before Conv": case(op("Mul", "c", f(4, 1, 1), out="m"), op("Add", "m", f(4, 1, 1), out="s"),
                                        op("Conv", "s", f(6, 2, 3, 3), group=2)),
    "shift before padding": case(op("Add", "c", f(4, 1, 1, seed=1), out="s"),
                                 op("Conv", "s", f(4, 4, 3, 3), pads=[1, 1, 1, 1])),
    "scale before Gemm": case(op("Flatten", out="a"), op("Mul", "a", f(144), out="m"), op("Add", "m", f(144), out="b"),
                              op("Gemm", "b", f(144, 5), f(5), out="logits")),
}  # fmt: skip

MERGING = {
    **{f"{name} of two": case(op(name, "c", "d")) for name in ("Add", "Sub", "Sum", "Mean", "Max", "Min", "Mul")},
    **{f"{name} of one": case(op(name, "c")) for name in ("Sum", "Mean", "Max", "Min")},
    **{f"{name} of three": case(op(name, "c", f(4, 6, 6), "d")) for name in ("Sum", "Mean", "Max", "Min")},
    **{f"{name} with itself": case(op(name, "c", "c")) for name in ("Add", "Mul", "Max", "Sum")},
    **{f"{name} broadcast": case(op("GlobalAveragePool", "d", out="g"), op(name, "c", "g"))
       for name in ("Add", "Sub", "Mean", "Max", "Min", "Mul")},
    **{f"{name} broadcast first": case(op("GlobalAveragePool", "d", out="g"), op(name, "g", "c"))
       for name in ("Sub", "Max", "Mul")},
    **{f"{name} with a number": case(op(name, "c", one(0.1))) for name in ("Max", "Min", "Sum")},
    **{f"{name} with channels": case(op(name, f(4, 1, 1, seed=2), "c")) for name in ("Max", "Min", "Sum")},
    "Max of itself and another": case(op("Max", "c", "c", "d")),
    "Max of unlike ranks": case(op("ReduceMean", "d", axes=[0, 1, 2], keepdims=0, out="g"), op("Max", "c", "g")),
    "Max with a number of rank 5": case(op("Max", "c", f(1, 1, 1, 1, 1))),
    "Add of two numbers": case(op("ReduceMean", "c", keepdims=0, out="a"), op("ReduceMean", "d", keepdims=0, out="b"),
                               op("Add", "a", "b", out="n"), op("Mul", "c", "n")),
    "sum of three branches": case(op("Add", "c", "d", out="a"), op("Tanh", out="t"), op("Add", "a", "t")),
    "Div of two": case(*positive(), op("Div", "d", "p")),
    "Div by a broadcast": case(*positive(), op("ReduceSum", "p", ints(1, 2, 3), out="s"), op("Div", "d", "s")),
    "Div of a broadcast": case(*positive(), op("GlobalAveragePool", "d", out="g"), op("Div", "g", "p")),
    "block of three branches": case(op("Conv", "c", f(4, 4, 3, 3), f(4), pads=[1, 1, 1, 1], out="v"),
                                    op("Conv", "c", f(4, 4, 1, 1), f(4, seed=1), out="w"), *norm(4, x="c", out="u").ops,
                                    op("Add", "v", "w", out="a"), op("Add", "a", "u", out="b"), op("Relu", "b")),
    "signs behind signs": case(op("Sign", out="s"), op("Conv", "s", f(4, 4, 3, 3), pads=[1, 1, 1, 1], out="v"),
                               op("Sign", "v", out="t"), op("Conv", "t", f(4, 4, 1, 1), out="w"), op("Add", "w", "c")),
    "global response normalisation": case(
        op("Mul", "c", "c", out="q"), op("ReduceSum", "q", ints(2, 3), out="m"), op("Sqrt", "m", out="s"),
        op("ReduceMean", "s", axes=[1], out="a"), op("Add", "a", one(1e-3), out="e"), op("Div", "s", "e", out="k"),
        op("Mul", "c", "k", out="n"), op("Mul", "n", f(4, 1, 1), out="g"), op("Add", "g", f(4, 1, 1), out="h"),
        op("Add", "h", "c")),
    "product with a norm": case(op("Mul", "d", "d", out="q"), op("ReduceSum", "q", ints(1), out="m"),
                                op("Sqrt", "m", out="s"), op("Expand", "s", ints(1, 4, 6, 6), out="k"),
                                op("Mul", "k", "c")),
    "gate": case(op("Sigmoid", out="g"), op("Mul", "g", "d")),
    "gate second": case(op("HardSigmoid", out="g"), op("Mul", "d", "g")),
    "squeeze and excitation": case(op("GlobalAveragePool", out="g"), op("Conv", "g", f(4, 4, 1, 1), out="e"),
                                   op("Sigmoid", "e", out="s"), op("Mul", "c", "s")),
    "SiLU": case(op("Sigmoid", out="s"), op("Mul", "c", "s")),
    "hard swish": case(op("Add", "c", one(3), out="a"), op("Clip", "a", one(0), one(6), out="k"),
                       op("Mul", "k", "c", out="m"), op("Div", "m", one(6))),
}  # fmt: skip


def slicing(starts, ends, axes=None, steps=None):
    inputs = [ints(*starts), ints(*ends), "" if axes is None else ints(*axes), "" if steps is None else ints(*steps)]
    while isinstance(inputs[-1], str):
        inputs.pop()
    return case(op("Slice", "c", *inputs))


def splitting(*sizes, out, opset=17, **attributes):
    """Split and put the parts together again in another order."""
    extra = () if not sizes else (ints(*sizes),)
    join = op("Concat", *reversed([name for name in out if name and name != "unused"]), axis=attributes["axis"])
    return case(op("Split", "c", *extra, out=out, **attributes), join, opset=opset)


def padding(pads, *more, opset=18, **attributes):
    return case(op("Pad", "c", ints(*pads), *more, **attributes), opset=opset)


MOVING = {
    **many("Flatten", "Flatten", [{"axis": axis} for axis in (0, 1, 2, 3, 4, -1)]),
    **many("Transpose", "Transpose", [{}, {"perm": [0, 2, 3, 1]}, {"perm": [0, 3, 1, 2]}, {"perm": [2, 3, 0, 1]}]),
    "Reshape": case(op("Reshape", "c", ints(0, 2, -1, 6))),
    "Reshape allowzero": case(op("Reshape", "c", ints(1, 12, -1), allowzero=1)),
    "Squeeze attribute": case(op("GlobalAveragePool", out="g"), op("Squeeze", "g", axes=[2, 3]), opset=11),
    "Squeeze negative": case(op("GlobalAveragePool", out="g"), op("Squeeze", "g", ints(-1, -2))),
    "Squeeze all": case(op("GlobalAveragePool", out="g"), op("Squeeze", "g")),
    "Unsqueeze attribute": case(op("Unsqueeze", axes=[1, 3]), opset=11),
    "Unsqueeze": case(op("Unsqueeze", "c", ints(0, -1))),
    "Dropout opset 7": case(op("Dropout", ratio=0.4), opset=7),
    "Dropout": case(op("Dropout", "c", one(0.4), np.array(False))),
    "Dropout seed": case(op("Dropout", seed=3), opset=12),
    "Dropout with its mask": case(op("Dropout", out=("y", "mask"))),
    "Cast": case(op("Cast", to=DOUBLE, out="k"), op("Transpose", "k", perm=[0, 2, 1, 3], out="t"),
                 op("Cast", "t", to=FLOAT)),
    "Concat": case(op("Concat", "c", "d", axis=1)),
    "Concat negative axis": case(op("Concat", "c", "d", axis=-1)),
    "Concat twice the same": case(op("Concat", "c", "d", "c", axis=2)),
    "Concat constant last": case(op("Concat", "c", f(1, 2, 6, 6), axis=1)),
    "Concat constant between": case(op("Concat", "c", f(1, 4, 1, 6), "d", axis=2)),
    "Split attribute": splitting(axis=1, split=[1, 3], out=("a", "b"), opset=11),
    "Split equal, opset 11": splitting(axis=2, out=("a", "b", "e"), opset=11),
    "Split": splitting(1, 2, 1, axis=1, out=("a", "b", "e")),
    "Split equal": splitting(axis=-1, out=("a", "b")),
    "Split num_outputs uneven": splitting(axis=2, num_outputs=4, out=("a", "b", "e", "g"), opset=18),
    "Split an empty part off": splitting(0, 4, axis=1, out=("a", "b")),
    "Split unused output": splitting(1, 2, 3, axis=2, out=("a", "unused", "b")),
    "Slice attributes": case(op("Slice", starts=[1, -4], ends=[3, LARGEST], axes=[1, 2]), opset=9),
    "Slice attributes without axes": case(op("Slice", starts=[0, 1, 2], ends=[1, -1, 5]), opset=9),
    "Slice": slicing([1, 2], [3, 6], [1, 2]),
    "Slice without axes": slicing([0, 1, 0, 2], [1, 4, LARGEST, -1]),
    "Slice steps": slicing([0, 1], [LARGEST, LARGEST], [2, 3], [2, 3]),
    "Slice negative step": slicing([-1, 4], [SMALLEST, 0], [2, 3], [-1, -2]),
    "Slice negative step to the front": slicing([5], [-7], [-1], [-2]),
    "Slice negative step, start beyond": slicing([LARGEST], [-6], [2], [-1]),
    "Slice negative step to a negative end": slicing([-1], [-5], [3], [-1]),
    "Slice negative axes": slicing([-5, 1], [-1, 3], [-1, -3]),
    "Slice start before the front": slicing([-100], [3], [3]),
    "Gather": case(op("Gather", "c", ints(3, 0, 2), axis=1)),
    "Gather repeated": case(op("Gather", "c", ints(5, 0, 0, 5, 5, 2), axis=2)),
    "Gather negative": case(op("Gather", "c", ints(-1, 1, -6), axis=-1)),
    "Gather scalar": case(op("Gather", "c", np.array(2), axis=1)),
    "Gather scalar negative": case(op("Gather", "c", np.array(-2), axis=-2)),
    "Gather table": case(op("Gather", "c", np.array([[0, 3], [3, 1], [2, -4]]), axis=1)),
    "Gather the batch": case(op("Gather", "c", ints(0, 0), axis=0)),
    "Gather default axis": case(op("Reshape", "c", ints(12, 12), out="r"), op("Gather", "r", ints(7, 7, 0))),
    "Pad attributes": case(op("Pad", pads=[0, 0, 1, 2, 0, 0, 3, 0], value=0.5), opset=9),
    "Pad": padding([0, 0, 2, 0, 0, 1, 0, 3], one(0)),
    "Pad value": padding([0, 0, 1, 2, 0, 0, 0, 1], one(0.75), opset=13),
    "Pad negative value": padding([0, 1, 1, 2, 0, 0, 0, 1], one(-0.75)),
    "Pad crops": padding([0, 0, -1, -2, 0, 0, -2, 0]),
    "Pad crops and frames": padding([0, 0, -1, 2, 0, -1, 2, -1], one(0.5)),
    "Pad crops before, frames after": padding([0, 0, -3, 0, 0, 0, 4, 0], one(0.5)),
    "Pad axes": padding([1, 2, 0, 3], one(0.25), ints(2, -1)),
    "Pad axes out of order": padding([1, 0, 3, 2], "", ints(3, 1)),
    "Pad the picture": case(op("Pad", "x", ints(0, 0, 1, 0, 0, 0, 0, 2), one(-0.5), out="q"),
                            op("Conv", "q", f(4, 3, 3, 3))),
    "Expand": case(op("GlobalAveragePool", out="g"), op("Expand", "g", ints(1, 4, 3, 2))),
    "Expand adds axes": case(op("Expand", "c", ints(2, 1, 1, 6, 1))),
    "Expand to less": case(op("Expand", "c", ints(1))),
    "Expand middle": case(op("ReduceMean", "c", axes=[2], out="g"), op("Expand", "g", ints(5, 1))),
}  # fmt: skip

WINDOWS = (
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 0, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 1], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 4], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [3, 3], "auto_pad": "VALID"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "dilations": [2, 3]},
    {"kernel_shape": [3, 2], "dilations": [2, 1], "pads": [2, 1, 1, 0], "strides": [2, 1], "ceil_mode": 1},
)
REDUCTIONS = {"none": None, "last": (-1,), "space": (2, 3), "channels": (1,), "unordered": (3, -3)}

POOLING = {
    **{text: made for window in ("MaxPool", "AveragePool")
       for text, made in many(window, window, WINDOWS, opset=19, size=7).items()},
    **{f"{text} size 8": made for window in ("MaxPool", "AveragePool")
       for text, made in many(window, window, [w for w in WINDOWS if "ceil_mode" in w], opset=19, size=8).items()},
    **many("AveragePool", "AveragePool", [{**form, "count_include_pad": 1} for form in WINDOWS], opset=19, size=8),
    **{f"{name} rank 3": case(op("Reshape", "c", ints(1, 4, 36), out="r"), op(name, "r", kernel_shape=[3], strides=[2]))
       for name in ("MaxPool", "AveragePool")},
    "MaxPool overlapping": case(op("MaxPool", kernel_shape=[3, 3])),
    "MaxPool with its indices": case(op("MaxPool", kernel_shape=[2, 2], storage_order=1, out=("y", "indices"))),
    **{f"{name} {axes} keepdims={keep} attribute": case(
           op(name, keepdims=keep, **({} if value is None else {"axes": value})), opset=11)
       for name in ("ReduceMean", "ReduceSum", "ReduceMax")
       for (axes, value), keep in zip(REDUCTIONS.items(), (0, 1, 0, 0, 1), strict=True)},
    **{f"{name} {axes} keepdims={keep} input": case(
           op(name, "c", *(() if value is None else (ints(*value),)), keepdims=keep), opset=18)
       for name in ("ReduceMean", "ReduceSum", "ReduceMax")
       for (axes, value), keep in zip(REDUCTIONS.items(), (1, 0, 0, 1, 0), strict=True)},
    "ReduceMean default keepdims": case(op("ReduceMean", axes=[2])),
    **{f"LRN {size}": case(op("LRN", size=size, alpha=0.9, beta=0.6, bias=1.5)) for size in (1, 3, 5)},
    "LRN defaults": case(op("LRN", size=3)),
    "LayerNormalization": case(op("LayerNormalization", "c", f(6, low=0.4), f(6, seed=1))),
    "LayerNormalization with its statistics": case(
        op("LayerNormalization", "c", f(6, low=0.4), out=("y", "mean", "deviation"))),
    "LayerNormalization axis": case(op("LayerNormalization", "c", f(4, 6, 6, low=0.4), f(4, 6, 6, seed=1), axis=1)),
    "LayerNormalization negative axis": case(
        op("LayerNormalization", "c", f(6, 6, low=0.4), axis=-2, epsilon=0.05)),
    "LayerNormalization of channels last": case(op("Transpose", perm=[0, 2, 3, 1], out="t"),
                                                op("LayerNormalization", "t", f(4, low=0.4), f(4, seed=1))),
    "SimplifiedLayerNormalization": case(op("SimplifiedLayerNormalization", "c", f(6, low=0.4))),
    "RMSNormalization": case(op("RMSNormalization", "c", f(6, 6, low=0.4), axis=2, epsilon=0.1), opset=23),
    "InstanceNormalization": case(op("InstanceNormalization", "c", f(4, low=0.4), f(4, seed=1))),
    "InstanceNormalization epsilon": case(op("InstanceNormalization", "c", f(4, low=0.4), f(4, seed=1), epsilon=0.3)),
    "group normalisation": case(op("Reshape", "c", ints(1, 2, -1), out="groups"),
                                op("InstanceNormalization", "groups", one([1, 1]), one([0, 0]), out="n"),
                                op("Reshape", "n", ints(1, 4, 6, 6), out="m"), op("Mul", "m", f(4, 1, 1, low=0.4))),
}  # fmt: skip

ATTENTION = {
    "attention": case(op("Transpose", "d", perm=[0, 1, 3, 2], out="k"), op("MatMul", "c", "k", out="m"),
                      op("Softmax", "m", axis=-1, out="a"), op("MatMul", "a", "c")),
    "attention with values first": case(op("Softmax", "d", axis=2, out="a"), op("MatMul", "c", "a")),
    "attention of all heads": case(op("ReduceMean", "d", axes=[1], out="m"), op("Softmax", "m", axis=-1, out="a"),
                                   op("MatMul", "a", "c")),
    "attention over a mask": case(op("Add", "d", f(6, 6), out="m"), op("Softmax", "m", axis=-1, out="a"),
                                  op("MatMul", "a", "c")),
    "attention by a sigmoid": case(op("Sigmoid", "d", out="a"), op("MatMul", "a", "c")),
    "product of two": case(op("MatMul", "c", "d")),
    "Softmax": case(op("Softmax"), opset=13),
    "Softmax of channels": case(op("Mul", "c", one(3), out="m"), op("Softmax", "m", axis=1)),
    "Softmax opset 11": case(op("Softmax", axis=3), opset=11),
    "safe softmax": case(op("Softmax", "d", axis=-1, out="s"), op("IsNaN", "s", out="n"),
                         op("Where", "n", one(0), "s", out="a"), op("MatMul", "a", "c")),
    **{name: case(op(name, "d", one(0.05), out="t"), op("Where", "t", "c", "d"), opset=16)
       for name in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")},
    "Where of a constant mask": case(op("Where", f(4, 6, 6) > 0, "c", "d")),
    "Where of a constant": case(op("Where", f(1, 6, 6) > 0, "c", f(4, 1, 1))),
    "Where of one truth": case(op("Where", np.array(True), "c", "d")),
    "Where broadcasts up": case(op("Where", f(2, 4, 6, 6) > 0, "c", "d")),
    "Where broadcast": case(op("GlobalAveragePool", "d", out="g"), op("Where", f(6, 6) > 0, "c", "g")),
    "Where of two conditions": case(op("Less", "c", one(0.1), out="p"), op("Greater", "d", one(0), out="q"),
                                    op("And", "p", "q", out="r"), op("Not", "p", out="u"), op("Or", "r", "u", out="t"),
                                    op("Where", "t", "d", "c"), opset=16),
    "Cast to a condition": case(op("Relu", "d", out="r"), op("Cast", "r", to=BOOL, out="t"),
                                op("Where", "t", "c", "d")),
    "Cast to a condition as a signal": case(op("Relu", out="r"), op("Cast", "r", to=BOOL, out="t"),
                                            op("Cast", "t", to=FLOAT, out="m"), op("Concat", "m", "c", axis=1)),
    "comparison as a signal": case(op("Greater", "c", one(0.05), out="t"), op("Cast", "t", to=FLOAT, out="m"),
                                   op("Concat", "m", "c", axis=1), opset=16),
    "mask of a comparison": case(op("Greater", "c", one(0.05), out="t"), op("Cast", "t", to=FLOAT, out="m"),
                                 op("Mul", "c", "m"), opset=16),
    "gate of a softmax": case(op("Softmax", "d", axis=1, out="a"), op("Mul", "c", "a")),
}  # fmt: skip

CONVOLUTIONS = (
    {"pads": [1, 0, 2, 1]}, {"strides": [2, 1]}, {"dilations": [2, 1]}, {"group": 2, "pads": [1, 1, 1, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"},
    {"kernel_shape": [3, 3]},
)  # fmt: skip
TRANSPOSED = (
    {}, {"strides": [2, 2]}, {"strides": [2, 2], "output_padding": [1, 0]}, {"strides": [2, 1], "pads": [1, 0, 0, 1]},
    {"dilations": [2, 1]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "VALID", "strides": [3, 2]}, {"output_shape": [13, 12], "strides": [2, 2]}, {"group": 2},
    {"strides": [3, 3], "output_padding": [1, 2], "pads": [1, 1, 1, 1]}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
)  # fmt: skip


def dense(*inputs, **attributes):
    return case(op("Flatten", out="flat"), op("Gemm", "flat", *inputs, out="logits", **attributes))


LINEAR = {
    **{text: made for form in CONVOLUTIONS for text, made in many(
        "Conv", "Conv", [form], "c", f(6, 4 // form.get("group", 1), 3, 3), f(6)).items()},
    **many("Conv first", "Conv", [form for form in CONVOLUTIONS if "group" not in form], "x", f(4, 3, 3, 3), f(4)),
    **{text: made for form in TRANSPOSED for o in (4, 6) for text, made in many(
        f"ConvTranspose to {o}", "ConvTranspose", [form], "c", f(4, o // form.get("group", 1), 3, 3), f(o)).items()},
    "ConvTranspose without bias": case(op("ConvTranspose", "c", f(4, 3, 2, 2), strides=[2, 2])),
    "ConvTranspose first": case(op("ConvTranspose", "x", f(3, 4, 2, 2), f(4), strides=[2, 2])),
    "ConvTranspose normalised": case(op("ConvTranspose", "c", f(4, 3, 2, 2), f(3), out="t"), *norm(3, x="t").ops),
    "Conv rank 3": case(op("Reshape", "c", ints(1, 4, 36), out="r"), op("Conv", "r", f(3, 4, 5), f(3), strides=[2])),
    "Conv rank 5": case(op("Unsqueeze", "c", ints(2), out="u"),
                        op("Conv", "u", f(3, 4, 1, 2, 3), pads=[0, 1, 0, 0, 0, 1])),
    "two first convolutions": case(op("Conv", "x", f(2, 3, 3, 3), out="a"),
                                   op("Conv", "x", f(2, 3, 3, 3, seed=1), out="b"), op("Concat", "a", "b", axis=1)),
    "Gemm": dense(f(144, 5), f(5)),
    "Gemm without bias": dense(f(144, 5)),
    "Gemm transposed": dense(f(5, 144), f(5), transB=1, alpha=0.5, beta=2.0),
    "Gemm bias scalar": dense(f(144, 5), one(0.3)),
    "Gemm bias of one": dense(f(144, 5), f(1)),
    "Gemm bias (1, 1)": dense(f(144, 5), f(1, 1)),
    "Gemm bias row": dense(f(144, 5), f(1, 5)),
    "Gemm then Add": case(op("Flatten", out="a"), op("Gemm", "a", f(144, 7), f(7), out="b"), op("Add", "b", f(1, 7))),
    "MatMul": case(op("Flatten", out="a"), op("MatMul", "a", f(144, 7))),
    "MatMul then Add": case(op("Flatten", out="a"), op("MatMul", "a", f(144, 7), out="b"), op("Add", "b", f(7))),
    "MatMul rank 3": case(op("Reshape", "c", ints(1, 12, 12), out="a"),
                          op("MatMul", "a", f(12, 7), out="b"), op("Add", "b", f(7))),
    "MatMul rank 4": case(op("MatMul", "c", f(6, 3))),
    "MatMul constant of rank 3": case(op("Reshape", "c", ints(1, 12, 12), out="a"), op("MatMul", "a", f(1, 12, 7))),
    "MatMul of the picture": case(op("Flatten", "x", out="a"), op("MatMul", "a", f(108, 7))),
}  # fmt: skip


def head(*ops, opset=17, logits="logits", flat=True):
    """Return a case with its own end; class scores of shape (1, 5) or, not ``flat``, (1, 5, 1, 1) are called q."""
    if flat:
        front = (op("Flatten", out="flat"), op("Gemm", "flat", f(144, CLASSES), f(CLASSES), out=logits))
    else:
        front = (op("Conv", "c", f(CLASSES, 4, 1, 1), out="v"), op("GlobalAveragePool", "v", out=logits))
    return case(*front, *ops, opset=opset, scores="scores")


def last(operation, x="logits", **attributes):
    return op(operation, x, out="scores", **attributes)


HEADS = {
    **{f"{name} opset {opset}": head(last(name), opset=opset)
       for name in ("Softmax", "LogSoftmax", "Sigmoid") for opset in (9, 13)},
    **{f"{name} axis {axis} opset {opset}": head(last(name, axis=axis), opset=opset)
       for name in ("Softmax", "LogSoftmax") for axis, opset in ((1, 9), (1, 13), (-1, 13), (0, 9))},
    "Softmax over maps, opset 9": head(last("Softmax"), opset=9, flat=False),
    "Softmax over maps": head(last("Softmax", axis=1), flat=False),
    "Sigmoid over maps": head(last("Sigmoid"), flat=False),
    "Softmax, Flatten": head(op("Softmax", "logits", axis=1, out="s"), last("Flatten", "s"), flat=False),
    "LogSoftmax, Reshape": head(op("LogSoftmax", "logits", axis=1, out="s"),
                                op("Reshape", "s", ints(CLASSES), out="scores"), flat=False),
    "Sigmoid, Squeeze": head(op("Sigmoid", "logits", out="s"),
                             op("Squeeze", "s", ints(2, 3), out="scores"), flat=False),
    "Flatten, Softmax": head(op("Flatten", "q", out="logits"), last("Softmax"), logits="q", flat=False),
    "Squeeze, LogSoftmax": head(op("Squeeze", "q", ints(2, 3), out="logits"),
                                last("LogSoftmax"), logits="q", flat=False),
    "Reshape, Sigmoid": head(op("Reshape", "q", ints(1, -1), out="logits"), last("Sigmoid"), logits="q", flat=False),
    "Squeeze to one axis, Softmax": head(op("Squeeze", "q", out="logits"),
                                         last("Softmax", axis=0), logits="q", flat=False),
}  # fmt: skip
KINDS = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}


def microsoft(operation, *inputs, out="y", **attributes):
    return op(operation, *inputs, out=out, domain="com.microsoft", **attributes)


def rows(name="c", out="rows"):
    """Bring a branch into a sequence (1, 12, 12)."""
    return op("Reshape", name, ints(1, 12, 12), out=out)


FUSED = {
    **{f"{name} opset {opset}": case(microsoft(name, *inputs), opset=opset)
       for name, inputs in (("Gelu", ("c",)), ("BiasGelu", ("c", f(6))), ("FastGelu", ("c",)), ("QuickGelu", ("c",)))
       for opset in (17, 20)},
    "FastGelu with a bias": case(microsoft("FastGelu", "c", f(6))),
    "QuickGelu alpha": case(microsoft("QuickGelu", "c", alpha=0.8)),
    **{f"FusedConv {name}": case(microsoft("FusedConv", "c", f(6, 4, 3, 3), f(6), activation=name, **more))
       for name, more in (("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("LeakyRelu", {"activation_params": [0.2]}),
                          ("HardSigmoid", {"activation_params": [0.3, 0.4]}),
                          ("Clip", {"activation_params": [-0.1, 0.3]}))},
    "FusedConv and sum": case(op("Conv", "d", f(6, 4, 1, 1), out="z"), microsoft(
        "FusedConv", "c", f(6, 4, 3, 3), f(6), "z", activation="Relu", pads=[1, 1, 1, 1], group=1)),
    "FusedGemm": case(op("Flatten", out="a"),
                      microsoft("FusedGemm", "a", f(144, 7), f(7), activation="LeakyRelu", activation_alpha=0.3)),
    **{f"FusedMatMul {form}": case(microsoft("FusedMatMul", "c", f(6, 6), **form))
       for form in ({"alpha": 0.5}, {"transB": 1}, {"transA": 1, "transB": 1, "alpha": 2.0})},
    "FusedMatMul of two": case(microsoft("FusedMatMul", "c", "d", transB=1, alpha=0.4)),
    "FusedMatMul by batch": case(op("Reshape", "c", ints(12, 3, 4), out="a"),
                                 op("Reshape", "d", ints(4, 3, 12), out="b"),
                                 microsoft("FusedMatMul", "a", "b", transBatchA=1, transBatchB=1)),
    "TransposeMatMul": case(microsoft("TransposeMatMul", "c", "d", transA=1)),
    **{f"SkipLayerNormalization {count}": case(
           rows(), rows("d", "skip"),
           microsoft("SkipLayerNormalization", "rows", "skip", f(12, low=0.4), *more, epsilon=1e-3), opset=opset)
       for count, more, opset in ((3, (), 17), (4, (f(12, seed=1),), 17), (5, (f(12, seed=1), f(12, seed=2)), 14))},
    "SkipLayerNormalization and its sum": case(
        rows(), rows("d", "skip"),
        microsoft("SkipLayerNormalization", "rows", "skip", f(12, low=0.4), f(12), out=("n", "", "", "s")),
        op("Concat", "n", "s", axis=1)),
    "SkipSimplifiedLayerNormalization": case(
        rows(), rows("d", "skip"),
        microsoft("SkipSimplifiedLayerNormalization", "rows", "skip", f(12, low=0.4), epsilon=1e-3)),
    "MatMulNBits": case(rows(), microsoft(
        "MatMulNBits", "rows", np.arange(5 * 1 * 8, dtype=np.uint8).reshape(5, 1, 8) * 7, f(5, low=0.05, high=0.1),
        K=12, N=5, bits=4, block_size=16)),
    "MatMulNBits with zero points": case(rows(), microsoft(
        "MatMulNBits", "rows", np.arange(5 * 1 * 8, dtype=np.uint8).reshape(5, 1, 8) * 7, f(5, low=0.05, high=0.1),
        np.array([[3], [9], [8], [2], [15]], np.uint8), K=12, N=5, bits=4, block_size=16)),
}  # fmt: skip

STEPWISE = {
    **{f"{name} {text}": case(*positive(), op(name, "p", ints(*axes), keepdims=keep), opset=18)
       for name in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceMin")
       for text, axes, keep in (("columns kept", (3,), 1), ("channels", (-3,), 0))},
    "ReduceLogSumExp": case(op("ReduceLogSumExp", "c", ints(1), keepdims=0), opset=18),
    "ReduceL2 attribute": case(*positive(), op("ReduceL2", "p", axes=[2, 3]), opset=11),
    "ReduceMin of one axis": case(op("ReduceMin", axes=[2]), opset=11),
    **{f"{name} over no axis": case(op(name, "c", noop_with_empty_axes=1), opset=18)
       for name in ("ReduceMean", "ReduceSum", "ReduceMax")},
    "LpNormalization": case(op("LpNormalization", axis=1)),
    "LpNormalization p=1": case(op("LpNormalization", axis=-1, p=1)),
    "MeanVarianceNormalization": case(op("MeanVarianceNormalization")),
    "MeanVarianceNormalization axes": case(op("MeanVarianceNormalization", axes=[1, 3])),
    "GroupNormalization": case(op("GroupNormalization", "c", f(4, low=0.4), f(4, seed=1), num_groups=2), opset=21),
    "GroupNormalization opset 18": case(
        op("GroupNormalization", "c", f(2, low=0.4), f(2, seed=1), num_groups=2, epsilon=0.1), opset=18),
    **many("LpPool", "LpPool", [{"kernel_shape": [2, 2], "strides": [2, 2]},
                                {"kernel_shape": [3, 3], "p": 3, "pads": [1, 1, 1, 1]}], opset=18),
    "GlobalLpPool": case(op("GlobalLpPool")),
    **many("DepthToSpace", "DepthToSpace", [{"blocksize": 2}, {"blocksize": 2, "mode": "CRD"}]),
    "SpaceToDepth": case(op("SpaceToDepth", blocksize=3)),
    "Tile": case(op("Tile", "c", ints(1, 2, 1, 3))),
    **{f"Pad {mode}": padding([0, 1, 2, 0, 0, 0, 1, 3], mode=mode, opset=19) for mode in ("edge", "reflect", "wrap")},
    "Pad reflect attribute": case(op("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="reflect"), opset=9),
    "Pad edge axes": padding([1, 2, 0, 3], "", ints(2, -1), mode="edge"),
    **{f"Resize {' '.join(map(str, form.values()))} {text}": case(op("Resize", "c", *inputs, **form), opset=opset)
       for text, inputs, opset in (("scales", ("", one([1, 1, 1.5, 2])), 13), ("sizes", ("", "", ints(1, 4, 9, 4)), 18),
                                   ("one axis", ("", one([1, 1, 1, 2.5])), 13))
       for form in ({"mode": "linear"}, {"mode": "cubic", "cubic_coeff_a": -0.5}, {"mode": "nearest"},
                    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
                    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})},
    "Resize antialias": case(op("Resize", "c", "", "", ints(1, 4, 3, 4), mode="linear", antialias=1), opset=18),
    "Resize axes": case(op("Resize", "c", "", one([2, 0.5]), mode="linear", axes=[2, 3]), opset=18),
    "Resize opset 11": case(op("Resize", "c", np.zeros(0, "float32"), one([1, 1, 2, 2]), mode="linear"), opset=11),
    "Resize opset 10": case(op("Resize", "c", one([1, 1, 2, 2]), mode="linear"), opset=10),
    "Upsample": case(op("Upsample", "c", one([1, 1, 1, 3]), mode="linear"), opset=9),
    "Upsample nearest": case(op("Upsample", "c", one([1, 1, 2, 3])), opset=9),
    "Upsample attribute": case(op("Upsample", scales=[1.0, 1.0, 2.0, 1.0], mode="linear"), opset=7),
    "GatherElements": case(op("GatherElements", "c", np.arange(2 * 6 * 6).reshape(1, 2, 6, 6) % 7 - 3, axis=2)),
    "GatherND": case(op("GatherND", "c", np.array([[0, 2], [0, -1], [0, 0], [0, 2]]))),
    "GatherND of elements": case(op("GatherND", "c", np.array([[[0, 2, 1, 5], [0, -1, 3, -2]]]))),
    **{f"Trilu {upper}": case(op("Trilu", "c", np.array(1), upper=upper)) for upper in (0, 1)},
    "Trilu": case(op("Trilu")),
    "Softmax of one": case(op("ReduceMean", "d", axes=[3], out="g"), op("Softmax", "g", axis=3, out="s"),
                           op("MatMul", "s", f(1, 6), out="e"), op("Mul", "c", "e")),
    "Div of a constant": case(*positive(), op("Div", one(1), "p")),
    "Div of a constant by channels": case(*positive(), op("Div", f(4, 1, 1), "p")),
    "MatMul from the left": case(op("MatMul", f(5, 6), "c")),
    "MatMul from the left in batches": case(op("MatMul", f(4, 5, 6), "c")),
    "MatMul in batches": case(op("MatMul", "c", f(4, 6, 3), out="m"), op("Add", "m", f(3))),
    "MatMul in larger batches": case(op("MatMul", "c", f(2, 4, 6, 3))),
    "MatMul in one batch of several": case(op("MatMul", "c", f(1, 1, 6, 3))),
    "MatMul with a vector": case(op("ReduceMean", "d", axes=[0, 1, 2], keepdims=0, out="v"), op("MatMul", "c", "v")),
    "MatMul with a constant vector": case(op("MatMul", "c", f(6))),
    "MatMul of a constant vector": case(op("MatMul", f(6), "c")),
    "MatMul of two vectors": case(op("Flatten", "c", axis=0, out="a"), op("Squeeze", "a", ints(0), out="v"),
                                  op("MatMul", "v", f(144), out="s"), op("Reshape", "s", ints(1, 1))),
    "Gemm transA": case(op("Reshape", "c", ints(12, 12), out="r"), op("Gemm", "r", f(12, 5), f(5), transA=1)),
    "Gemm of two": case(op("Reshape", "c", ints(12, 12), out="r"), op("Reshape", "d", ints(12, 12), out="s"),
                        op("Gemm", "r", "s", f(12), transB=1, alpha=0.5, beta=0.3)),
    "Gemm of a constant": case(op("Reshape", "c", ints(12, 12), out="r"),
                               op("Gemm", f(12, 5), "r", f(12), transA=1, transB=1, alpha=0.5)),
    "Gemm with a sum of data": case(op("Reshape", "c", ints(12, 12), out="r"),
                                    op("Reshape", "d", ints(12, 12), out="s"),
                                    op("Gemm", "r", f(12, 12), "s", beta=0.5)),
    **{f"Einsum {equation}": case(op("Einsum", *inputs, equation=equation))
       for equation, *inputs in (
           ("bchw->bwc", "c"), ("bchw,bchw->bchw", "c", "d"), ("bchw,bchv->bcwv", "c", "d"),
           ("bchw,ck->bkhw", "c", f(4, 3)), ("kc,bchw->bkhw", f(3, 4), "c"), ("...hw,wv->...hv", "c", f(6, 2)),
           ("bchw,chv->bcv", "c", f(4, 6, 3)), ("bchw,bchw->bc", "c", "d"), ("bchw,c->bchw", "c", f(4)),
           ("bchw,kc,kd->bdhw", "c", f(3, 4), f(3, 2)), ("b c h w, b c v w -> b v h", "c", "d"),
           ("bchw,ckw", "c", f(4, 2, 6)), ("bchw,hkc->bwhk", "c", f(6, 2, 4)),
       )},
}  # fmt: skip


def heads(name, out):
    """Bring a branch into two heads (1, 2, 6, 12)."""
    return op("Reshape", name, ints(1, 2, 6, 12), out=out)


SEEN = np.tril(np.ones((6, 6), bool))
WHOLE = {
    **{f"Attention {text}": case(heads("c", "q"), heads("d", "k"), op("Mul", "c", f(4, 6, 6), out="e"), heads("e", "v"),
                                 op("Attention", "q", "k", "v", *more, **form), opset=23)
       for text, more, form in (("plain", (), {}), ("scale", (), {"scale": 0.7}), ("causal", (), {"is_causal": 1}),
                                ("mask", (SEEN,), {}), ("bias", (f(1, 2, 6, 6),), {}),
                                ("cap", (f(6, 6, high=3),), {"softcap": 0.5}))},
    "Attention of rows": case(rows("c", "q"), rows("d", "k"),
                              op("Attention", "q", "k", "q", q_num_heads=3, kv_num_heads=3), opset=23),
    "Attention of groups": case(rows("c", "q"), op("Slice", "d", ints(0), ints(2), ints(1), out="h"),
                                op("Reshape", "h", ints(1, 12, 6), out="k"),
                                op("Attention", "q", "k", "k", q_num_heads=4, kv_num_heads=2), opset=23),
    **{f"MultiHeadAttention {text}": case(
           rows("c", "q"), rows("d", "k"), microsoft("MultiHeadAttention", "q", "k", "q", *more, num_heads=2, **form))
       for text, more, form in (("plain", (), {}), ("bias", (f(36),), {}), ("scale", (), {"scale": 0.5}),
                                ("added", ("", "", f(1, 2, 12, 12)), {}), ("causal", (), {"unidirectional": 1}))},
    **{f"com.microsoft Attention {text}": case(
           rows(), microsoft("Attention", "rows", f(12, 36, low=-0.5, high=0.5), f(36), *more, num_heads=2, **form))
       for text, more, form in (
           ("plain", (), {}), ("causal", (), {"unidirectional": 1}),
           ("masked", (np.array([[1] * 9 + [0] * 3], np.int32),), {}))},
}  # fmt: skip

if older("onnxruntime", 1, 32):  # they say that the parts do not add up
    del MOVING["Split num_outputs uneven"]

OPERATIONS = FUSED | STEPWISE | WHOLE | ATTENTION | ACTIVATIONS | AFFINE | MERGING | MOVING | POOLING | LINEAR | HEADS
