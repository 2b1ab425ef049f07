"""Activations and normalisations as exporters write them out: several nodes between c and y that are one layer.

Under one heading stand spellings of one function; the first is the reference: a single operation where there is one.
"""

from __future__ import annotations

import numpy as np

from tests.network.operation_table import DOUBLE, FLOAT, case, f, ints, one, op

EPSILON = 0.03


def written(text, opset=17, **constants):
    """Return a case of statements ``v = Sub c mean``; words among ``constants`` stand for arrays."""
    ops = []
    for statement in text.replace("\n", ";").split(";"):
        if statement.strip():
            out, _, (operation, *words) = (part.split() for part in statement.partition("="))
            inputs = [constants.get(word, word) for word in words if ":" not in word]
            given = {name: _value(name, text) for name, text in (word.split(":") for word in words if ":" in word)}
            ops.append(op(operation, *inputs, out=out[0].split(","), **given))
    return case(*ops, opset=opset)


def _value(name, text):
    numbers = [int(part) for part in text.split(",")]
    return numbers if name in ("axes", "perm") else numbers[0]


# activations ----------------------------------------------------------------------------------------------------------

NUMBERS = {"half": one(0.5), "one": one(1), "two": one(2), "three": one(3), "six": one(6), "zero": one(0)}
ERF = {**NUMBERS, "root": one(2**0.5), "inverse": one(0.5**0.5)}
TANH = {**NUMBERS, "k": one(0.044715), "r": one((2 / np.pi) ** 0.5), "rk": one(0.044715 * (2 / np.pi) ** 0.5)}


def gelu(text, opset=17, **constants):
    return written(f"v = Div c root; e = Erf v; p = Add e one; {text}", opset, **ERF, **constants)


def gelu_tanh(text, opset=17):
    return written(f"{text}; t = Tanh i; p = Add t one; h = Mul p half; y = Mul c h", opset, **TANH)


def swish(text, opset=17):
    """Write hard swish; c is stretched first, so that all three pieces of it are met."""
    return written(f"m = Mul c nine; {text}", opset, **NUMBERS, nine=one(9))


ACTIVATION_CHAINS = {
    "gelu": {
        "Gelu": case(op("Gelu"), opset=20),
        "half last": gelu("m = Mul c p; y = Mul m half"),
        "half first": gelu("m = Mul c half; y = Mul m p"),
        "half in between": gelu("h = Mul half p; y = Mul h c"),
        "half inside": written("v = Mul c inverse; e = Erf v; h = Mul e half; p = Add h half; y = Mul p c", **ERF),
        "opset 9": gelu("m = Mul p c; y = Div m two", opset=9),
        "multiplied out": written("v = Mul inverse c; e = Erf v; m = Mul c e; s = Add m c; y = Mul half s", **ERF),
        "halves added": written("h = Mul c half; v = Div c root; e = Erf v; m = Mul h e; y = Add h m", **ERF),
        "with casts": gelu(f"w = Cast p to:{DOUBLE}; h = Mul w halves; n = Cast h to:{FLOAT}; y = Mul c n",
                           halves=np.array(0.5)),
    },
    "gelu by tanh": {
        "Gelu": case(op("Gelu", approximate="tanh"), opset=20),
        "Pow": gelu_tanh("q = Pow c three; m = Mul q k; s = Add c m; i = Mul s r"),
        "products": gelu_tanh("a = Mul c c; q = Mul a c; m = Mul k q; s = Add m c; i = Mul r s", opset=9),
        "factored out": gelu_tanh("a = Mul c c; m = Mul a rk; s = Add m r; i = Mul c s"),
        "Sum": gelu_tanh("q = Pow c three; m = Mul q k; s = Sum c m; i = Mul s r"),
    },
    "silu": {
        "Swish": case(op("Swish"), opset=24),
        "Sigmoid": written("s = Sigmoid c; y = Mul c s"),
        "Sigmoid first, opset 9": written("s = Sigmoid c; y = Mul s c", opset=9),
        "Exp": written("n = Neg c; e = Exp n; s = Add e one; q = Reciprocal s; y = Mul c q", **NUMBERS),
        "divided": written("n = Neg c; e = Exp n; s = Add e one; y = Div c s", **NUMBERS),
        "one over": written("n = Neg c; e = Exp n; s = Add one e; q = Div one s; y = Mul q c", **NUMBERS),
        "Tanh": written("h = Mul c half; t = Tanh h; p = Add t one; m = Mul c p; y = Mul m half", **NUMBERS),
    },
    "hard swish": {
        "HardSwish": swish("y = HardSwish m"),
        "HardSigmoid": written("m = Mul c nine; s = Div m six; a = Add s half; k = Clip a zero one; y = Mul k m",
                               **NUMBERS, nine=one(9)),
        "Clip, then Mul and Div": swish("a = Add m three; k = Clip a zero six; p = Mul m k; y = Div p six"),
        "Clip, Div, then Mul": swish("a = Add m three; k = Clip a zero six; p = Div k six; y = Mul p m"),
        "Max and Min": swish("a = Add three m; l = Max a zero; k = Min l six; p = Mul k m; y = Div p six"),
        "Relu and Min": swish("a = Add m three; l = Relu a; k = Min l six; s = Div m six; y = Mul s k"),
    },
    "mish": {
        "Mish": case(op("Mish"), opset=18),
        "Softplus": written("s = Softplus c; t = Tanh s; y = Mul c t"),
        "Log and Exp": written("e = Exp c; a = Add e one; s = Log a; t = Tanh s; y = Mul t c", **NUMBERS),
        "quotient of squares": written(
            "e = Exp c; a = Add e one; q = Mul a a; n = Sub q one; v = Add q one; t = Div n v; y = Mul c t", **NUMBERS),
    },
    "prelu": {
        "PRelu": case(op("PRelu", "c", f(4, 1, 1, low=0.1))),
        "Relu of both signs": written("p = Relu c; n = Neg c; q = Relu n; m = Mul q slope; y = Sub p m",
                                      slope=f(4, 1, 1, low=0.1)),
        "absolute value": written("p = Relu c; b = Abs c; v = Sub c b; h = Mul v half; m = Mul h slope; y = Add m p",
                                  slope=f(4, 1, 1, low=0.1), **NUMBERS),
        "Min and Max": written("p = Max c zero; q = Min c zero; m = Mul slope q; y = Sum p m",
                               slope=f(4, 1, 1, low=0.1), **NUMBERS),
    },
    "softplus": {
        "Softplus": case(op("Softplus")),
        "Log and Exp": written("e = Exp c; a = Add e one; y = Log a", **NUMBERS),
    },
    "softsign": {
        "Softsign": case(op("Softsign")),
        "quotient": written("b = Abs c; a = Add one b; y = Div c a", **NUMBERS),
    },
}  # fmt: skip

# normalisations -------------------------------------------------------------------------------------------------------

BLOCK = {"gain": f(4, low=0.4).reshape(4, 1, 1), "shift": f(4, seed=1).reshape(4, 1, 1)}
ROW = {"gain": f(6, low=0.4), "shift": f(6, seed=1)}
WITH = {
    "eps": one(EPSILON), "eps1": one([EPSILON]), "two": one(2), "half": one(0.5), "root": one(-0.5), "one": one(1),
    "quarter": one(0.25), "zero": one(0), "minus": one(-1), "axis1": ints(1), "axis3": ints(3), "spatial": ints(2, 3),
}  # fmt: skip
MEAN = "mean = ReduceMean c axes:1; v = Sub c mean;"
VARIANCE = f"{MEAN} q = Mul v v; var = ReduceMean q axes:1; e = Add var eps;"
AFFINE = "g = Mul n gain; y = Add g shift"
TURN, BACK = "perm:0,2,3,1", "perm:0,3,1,2"


def normal(text, opset=17, **constants):
    return written(text, opset, **{**BLOCK, **WITH, **constants})


def row(text, opset=17, **constants):
    return written(text, opset, **{**WITH, **ROW, **constants})


NORMALISATION_CHAINS = {
    "LayerNorm": {
        "LayerNormalization": case(op("Transpose", perm=[0, 2, 3, 1], out="t"),
                                   op("LayerNormalization", "t", f(4, low=0.4), f(4, seed=1), epsilon=EPSILON, out="n"),
                                   op("Transpose", "n", perm=[0, 3, 1, 2])),
        "Pow, opset 9": normal(f"{MEAN} q = Pow v two; var = ReduceMean q axes:1; e = Add var eps; s = Sqrt e; "
                               f"n = Div v s; {AFFINE}", opset=9),
        "Pow, opset 18": normal("mean = ReduceMean c axis1; v = Sub c mean; q = Pow v two; var = ReduceMean q axis1; "
                                f"e = Add var eps1; s = Sqrt e; n = Div v s; {AFFINE}", opset=18),
        "product": normal(f"{VARIANCE} s = Sqrt e; n = Div v s; {AFFINE}", opset=11),
        "Reciprocal": normal(f"{VARIANCE} s = Sqrt e; i = Reciprocal s; n = Mul v i; {AFFINE}", opset=13),
        "root by Pow": normal(f"{VARIANCE} s = Pow e half; n = Div v s; {AFFINE}"),
        "inverse root by Pow": normal(f"{VARIANCE} i = Pow e root; n = Mul i v; {AFFINE}"),
        "one over the root": normal(f"{VARIANCE} s = Sqrt e; i = Div one s; n = Mul v i; {AFFINE}"),
        "differences twice": normal(f"{MEAN} v2 = Sub c mean; q = Pow v2 two; var = ReduceMean q axes:1; "
                                    f"e = Add eps var; s = Sqrt e; n = Div v s; {AFFINE}"),
        "difference the other way round": normal(
            f"{MEAN} v2 = Sub mean c; q = Mul v2 v2; var = ReduceMean q axes:1; e = Add var eps; s = Sqrt e; "
            f"n = Div v s; {AFFINE}"),
        "difference of squares": normal(
            f"{MEAN} q = Mul c c; m = ReduceMean q axes:1; p = Mul mean mean; var = Sub m p; e = Add var eps; "
            f"s = Sqrt e; n = Div v s; {AFFINE}"),
        "sums": normal("a = ReduceSum c axis1; mean = Mul a quarter; v = Sub c mean; q = Mul v v; "
                       "b = ReduceSum q axis1; var = Mul b quarter; e = Add var eps; s = Sqrt e; n = Div v s; "
                       f"{AFFINE}"),
        "the mean added": normal("mean = ReduceMean c axes:1; o = Neg mean; v = Add o c; q = Pow v two; "
                                 f"var = ReduceMean q axes:1; e = Add var eps; s = Sqrt e; n = Div v s; {AFFINE}"),
        "scale first": normal(f"{VARIANCE} s = Sqrt e; g = Mul gain v; n = Div g s; y = Add n shift"),
        "scale in the deviation": normal(f"{VARIANCE} s = Sqrt e; i = Reciprocal s; j = Mul i gain; n = Mul v j; "
                                         "y = Add n shift"),
        "shift by statistics": normal(f"{VARIANCE} s = Sqrt e; i = Reciprocal s; j = Mul i gain; n = Mul c j; "
                                      "m = Mul mean j; b = Sub shift m; y = Add n b"),
        "shift by the negative mean": normal(
            f"{VARIANCE} s = Sqrt e; i = Reciprocal s; j = Mul i gain; o = Neg mean; m = Mul o j; b = Add m shift; "
            "n = Mul c j; y = Add n b"),
        "turned in between": normal(f"mean = ReduceMean c axes:1; u = Sub c mean; v = Transpose u {TURN}; "
                                    "q = Pow v two; var = ReduceMean q axes:3; e = Add var eps; s = Sqrt e; "
                                    f"n = Div v s; g = Mul n row; h = Add g shift; y = Transpose h {BACK}",
                                    row=f(4, low=0.4), shift=f(4, seed=1)),
        "casts in between": normal(f"{MEAN} w = Cast v to:{DOUBLE}; q = Pow w twice; var = ReduceMean q axes:1; "
                                   f"e = Add var epsilon; s = Sqrt e; u = Div w s; n = Cast u to:{FLOAT}; {AFFINE}",
                                   twice=np.array(2.0), epsilon=np.array(EPSILON)),
        "without kept axes": normal(
            "a = ReduceMean c axes:1 keepdims:0; mean = Unsqueeze a axis1; v = Sub c mean; q = Pow v two; "
            f"b = ReduceMean q axes:1 keepdims:0; var = Unsqueeze b axis1; e = Add var eps; s = Sqrt e; n = Div v s; "
            f"{AFFINE}"),
    },
    "LayerNorm of rows": {
        "LayerNormalization": case(op("LayerNormalization", "c", f(6, low=0.4), epsilon=EPSILON)),
        "without shift": row("mean = ReduceMean c axes:3; v = Sub c mean; q = Pow v two; var = ReduceMean q axes:-1; "
                             "e = Add var eps; s = Sqrt e; n = Div v s; y = Mul n gain", opset=9),
    },
    "LayerNorm of turned rows": {
        "LayerNormalization": case(op("LayerNormalization", "c", f(6, low=0.4), f(6, seed=1), epsilon=EPSILON, out="n"),
                                   op("Transpose", "n", perm=[0, 1, 3, 2])),
        "Transpose last": row("mean = ReduceMean c axes:3; v = Sub c mean; q = Pow v two; var = ReduceMean q axes:3; "
                              "e = Add var eps; s = Sqrt e; n = Div v s; g = Mul n gain; h = Add g shift; "
                              "y = Transpose h perm:0,1,3,2", opset=13),
    },
    "LayerNorm of maps": {
        "LayerNormalization": case(
            op("LayerNormalization", "c", f(4, 6, 6, low=0.4), f(4, 6, 6, seed=1), axis=1, epsilon=EPSILON)),
        "one scale and one shift for each element": normal(
            "mean = ReduceMean c axes:1,2,3; v = Sub c mean; q = Pow v two; var = ReduceMean q axes:1,2,3; "
            f"e = Add var eps; s = Sqrt e; n = Div v s; {AFFINE}", gain=f(4, 6, 6, low=0.4), shift=f(4, 6, 6, seed=1)),
    },
    "InstanceNorm": {
        "InstanceNormalization": case(op("InstanceNormalization", "c", f(4, low=0.4), f(4, seed=1), epsilon=EPSILON)),
        "Pow": normal("mean = ReduceMean c axes:2,3; v = Sub c mean; q = Pow v two; var = ReduceMean q axes:2,3; "
                      f"e = Add var eps; s = Sqrt e; n = Div v s; {AFFINE}"),
        "global averages": normal("mean = GlobalAveragePool c; v = Sub c mean; q = Mul v v; var = GlobalAveragePool q; "
                                  f"e = Add var eps; s = Sqrt e; n = Div v s; {AFFINE}"),
    },
    "LayerNorm of everything": {
        "without scale": normal("mean = ReduceMean c axes:1,2,3; v = Sub c mean; q = Mul v v; "
                                "var = ReduceMean q axes:1,2,3; s = Sqrt var; l = Max s eps; y = Div v l"),
        "means without axes": normal("mean = ReduceMean c keepdims:0; v = Sub c mean; q = Mul v v; "
                                     "var = ReduceMean q keepdims:0; s = Sqrt var; l = Clip s eps; y = Div v l"),
    },
    "GroupNorm": {
        "InstanceNormalization": normal(
            f"r = Reshape c groups; i = InstanceNormalization r ones none; n = Reshape i back; {AFFINE}",
            groups=ints(0, 2, -1), ones=one([1, 1]), none=one([0, 0]), back=ints(1, 4, 6, 6)),
        "means": normal(
            "r = Reshape c groups; mean = ReduceMean r axes:2; v = Sub r mean; q = Mul v v; var = ReduceMean q axes:2; "
            f"e = Add var tiny; s = Sqrt e; u = Div v s; n = Reshape u back; {AFFINE}",
            groups=ints(1, 2, -1), tiny=one(1e-5), back=ints(1, 4, 6, 6)),
        "scale in groups": normal(
            "r = Reshape c groups; mean = ReduceMean r axes:2,3,4; v = Sub r mean; q = Pow v two; "
            "var = ReduceMean q axes:2,3,4; e = Add var tiny; s = Sqrt e; u = Div v s; g = Mul u gains; "
            "n = Reshape g back; y = Add n shift",
            groups=ints(1, 2, 2, 6, 6), tiny=one(1e-5), back=ints(1, 4, 6, 6),
            gains=BLOCK["gain"].reshape(2, 2, 1, 1)),
    },
    "RMSNorm": {
        "SimplifiedLayerNormalization": case(op("SimplifiedLayerNormalization", "c", f(6, low=0.4), epsilon=EPSILON)),
        "Pow": row("q = Pow c two; m = ReduceMean q axes:-1; e = Add m eps; s = Sqrt e; n = Div c s; y = Mul gain n"),
        "Reciprocal": row("q = Mul c c; m = ReduceMean q axes:3; e = Add m eps; s = Sqrt e; i = Reciprocal s; "
                          "n = Mul c i; y = Mul n gain", opset=11),
    },
    "L2Norm": {
        "Max": normal("q = Mul c c; m = ReduceSum q axis1; s = Sqrt m; l = Max s eps; y = Div c l"),
        "Clip and Expand": normal("q = Pow c two; m = ReduceSum q axis1; s = Sqrt m; l = Clip s eps; "
                                  "x1 = Expand l shape; y = Div c x1", shape=ints(1, 4, 6, 6)),
        "opset 11": normal("q = Mul c c; m = ReduceSum q axes:1; s = Sqrt m; l = Max s eps; i = Reciprocal l; "
                           "y = Mul i c", opset=11),
    },
    "x/sum": {
        "of absolute values": normal("a = Abs c; m = ReduceSum a axis1; y = Div c m"),
    },
    "x·norm": {  # global response normalisation, without the sum around it
        "channels": normal("q = Mul c c; m = ReduceSum q spatial; s = Sqrt m; a = ReduceMean s axes:1; e = Add a eps; "
                           f"k = Div s e; n = Mul c k; {AFFINE}"),
    },
    "x−mean": {
        "Sub": normal(MEAN.replace("v =", "y =")),
    },
    "x−max": {
        "Sub": normal("m = ReduceMax c axes:2; y = Sub c m"),
    },
    "Softmax": {
        "Softmax": case(op("Softmax", axis=1)),
        "Exp": normal("e = Exp c; s = ReduceSum e axis1; y = Div e s"),
        "less the largest": normal(
            "m = ReduceMax c axes:1; v = Sub c m; e = Exp v; s = ReduceSum e axis1; y = Div e s"),
    },
}  # fmt: skip


# products -------------------------------------------------------------------------------------------------------------

GATINGS = {
    "sigmoid": ("c", normal("s = Sigmoid d; y = Mul s c")),
    "sigmoid by Exp": ("c", normal("n = Neg d; e = Exp n; a = Add e one; s = Reciprocal a; y = Mul s c")),
    "gated linear unit": ("a", normal("a,b = Split c axis:1; s = Sigmoid b; y = Mul a s")),
    "gated by Swish": (None, normal("a,b = Split c axis:1; s = Sigmoid a; w = Mul a s; y = Mul w b")),
    "ramp by Clip": ("d", normal("m = Add c one; k = Clip m zero two; h = Mul k half; y = Mul h d")),
    "ramp by Max and Min": ("d", normal("m = Add c one; k = Max m zero; l = Min k two; h = Mul l half; y = Mul h d")),
    "ramp by Relu and Min": ("d", normal("m = Add c one; k = Relu m; l = Min k two; h = Div l two; y = Mul h d")),
    "half a ramp": (None, normal("m = Add c one; k = Relu m; y = Mul k d")),
    "half a ramp as an old Clip": (None, case(op("Clip", min=0.0, max=3.4028234663852886e38, out="k"),
                                             op("Mul", "k", "d"), opset=9)),
    "norm of another": ("c", normal("q = Mul d d; m = ReduceSum q axis1; s = Sqrt m; k = Expand s shape; y = Mul k c",
                                    shape=ints(1, 4, 6, 6))),
    "one over the norm of another": ("c", normal(
        "q = Pow d two; m = ReduceSum q axis1; s = Pow m root; l = Min s one; k = Expand l shape; y = Mul k c",
        shape=ints(1, 4, 6, 6))),
    "deviation of another": ("c", normal(
        "q = Mul d d; m = ReduceMean q axes:1; a = ReduceMean d axes:1; b = Mul a a; v = Sub m b; e = Add v eps; "
        "s = Sqrt e; k = Expand s shape; y = Mul c k", shape=ints(1, 4, 6, 6))),
    "power of another": ("c", normal("q = Pow d two; m = ReduceMean q axes:1; k = Expand m shape; y = Mul k c",
                                     shape=ints(1, 4, 6, 6))),
    "sum of absolute values": ("c", normal("q = Abs d; m = ReduceSum q axis1; k = Expand m shape; y = Mul k c",
                                           shape=ints(1, 4, 6, 6))),
    "mean of another": ("c", normal("m = ReduceMean d axes:1; k = Expand m shape; y = Mul k c",
                                     shape=ints(1, 4, 6, 6))),
    "mean of another over an axis": ("c", normal("m = ReduceMean d axes:1; y = Mul m c")),
    "over a norm of another": ("c", normal("q = Mul d d; m = ReduceSum q axis1; s = Sqrt m; e = Add s eps; "
                                           "y = Div c e")),
    "root of another": (None, normal("q = Mul d d; e = Add q eps; s = Sqrt e; y = Mul c s")),
}  # fmt: skip
"""The signal of a product of two tensors, None where both are, and the product."""


def rounded(*names):
    """Return statements that quantise tensors and back: from ``name`` to ``name'``."""
    return "".join(
        f"{name}8 = QuantizeLinear {name} step z; {name}' = DequantizeLinear {name}8 step z;" for name in names
    )


QUANTISED = normal(
    f"mean = ReduceMean c axes:1; {rounded('mean')} v = Sub c mean'; {rounded('v')} q = Mul v' v'; {rounded('q')} "
    f"var = ReduceMean q' axes:1; {rounded('var')} e = Add var' eps; {rounded('e')} s = Sqrt e'; {rounded('s')} "
    f"n = Div v' s'; {rounded('n')} g = Mul n' gain; {rounded('g')} h = Add g' shift; h8 = QuantizeLinear h step z; "
    "y = DequantizeLinear h8 step z",
    step=one(0.02),
    z=np.array(128, np.uint8),
)
"""A layer normalisation whose every step is rounded."""


def flat(table):
    """Return the cases of a table by heading and spelling."""
    return {f"{name}: {spelling}": made for name, table_ in table.items() for spelling, made in table_.items()}
