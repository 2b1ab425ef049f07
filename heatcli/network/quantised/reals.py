"""Real tensors beside quantised ones: what both graphs are written with, and the pass over the graph."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli.errors import UnsupportedNode

Array = np.ndarray
Shape = tuple[int, ...]
STANDARD = ("", "ai.onnx")
INTEGERS = ("uint8", "int8", "uint16", "int16")
"""Types of quantised numbers."""
SAME_SCALE = (
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Concat", "Split", "Slice",
    "Gather", "Expand", "Relu", "Clip", "Pad", "Max", "Min", "Where", "Dropout", "GlobalMaxPool", "ReduceMax", "Resize",
)  # fmt: skip
"""Operations that take quantised tensors as they are, and put out numbers on the same scale."""
MOVES = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")


@dataclass(frozen=True)
class Meaning:
    """What integers mean: (q − ``zero``) · ``scale``; both are names of tensors, ``zero`` is empty for 0.

    ``axis`` is that along which several of them lie, None for one.
    """

    scale: str
    zero: str = ""
    axis: int | None = None


@dataclass(frozen=True)
class Factor:
    """``constant`` times the dynamic ``scales``, by name in order."""

    scales: tuple[str, ...]
    constant: Array

    def __mul__(self, other: Factor) -> Factor:
        """Multiply two factors."""
        return Factor(tuple(sorted(self.scales + other.scales)), self.constant * other.constant)


class Unclear(Exception):
    """What a quantised node computes cannot be told; the message is the reason."""


class Reals:
    """The two graphs while they are written: what onnxruntime runs, and ``read``, what the readers get.

    To ``constants`` and ``shapes`` is added what comes with new tensors.
    """

    def __init__(
        self, constants: dict[str, Array], shapes: dict[str, Shape], picture: str, outputs: Container[str]
    ) -> None:
        """Start with nothing; ``outputs`` are those of the graph."""
        self.constants, self.shapes, self.outputs = constants, shapes, outputs
        self.raw = {picture}
        """The picture, and what comes of it before anything says what its integers mean."""
        self.read: list[onnx.NodeProto] = []
        self.names: dict[str, str] = {}
        """Tensors whose numbers another one has already."""
        self.integers: set[str] = set()
        """Names of tensors that hold integers: their real tensors take the names over."""
        self.meanings: dict[str, Meaning] = {}
        self.products: dict[str, Factor] = {}
        """What the integers of a product are to be multiplied by."""
        self.factors: dict[str, Factor] = {}
        """Scales that depend on the picture."""
        self.own: list[onnx.NodeProto] = []
        """The file's own nodes, then those that compute real tensors, in forward order."""
        self.ours: set[int] = set()
        self.added: dict[str, Array] = {}

    # what is there ----------------------------------------------------------------------------------------------------

    def known(self, name: str, role: str) -> Array:
        """Return a constant's value, or refuse the node because ``role`` is none."""
        if name not in self.constants:
            raise Unclear(f"{role} is not a constant")
        return self.constants[name]

    def zero_of(self, name: str) -> Array | None:
        """Return a zero point's value, None where there is none."""
        return self.known(name, "a zero point") if name else None

    def real(self, name: str, scale: str, zero: str = "", axis: int = 0) -> str:
        """Return the tensor of real numbers that ``name`` means for its consumer.

        Scales of several numbers lie along ``axis``, of constants alone. Raises Unclear where data was put in with
        another meaning, or with none.
        """
        if name in self.constants:
            spread = dequantised(self.constants[name], self.known(scale, "a scale"), self.zero_of(zero), axis)
            return self.constant(f"{name}/real/{scale}/{zero}/{axis}", spread)
        if name in self.raw:
            return self._of_picture(name, scale, zero)
        meant = self.meanings.get(name)
        if meant is None:
            raise Unclear(f"what its input {name} means is not known")
        elsewhere = meant.axis is not None and axis % len(self.shapes[name]) != meant.axis
        if elsewhere or not (self._same(meant.scale, scale) and self._same(meant.zero, zero)):
            raise Unclear(f"it takes its input {name} for other numbers than were put in")
        return name

    def _same(self, one: str, other: str) -> bool:
        if one == other:
            return True
        a, b = (self.constants.get(name) if name else np.zeros(1) for name in (one, other))
        if a is None or b is None or (1 not in (a.size, b.size) and a.size != b.size):
            return False
        return bool(np.all(np.ravel(a) == np.ravel(b)))

    def _of_picture(self, raw: str, scale: str, zero: str) -> str:
        """Write what the picture's integers mean as arithmetic, which is read like any other."""
        name = f"{raw}/real/{scale}/{zero}"
        if name not in self.shapes:
            point = self.zero_of(zero)
            if self.known(scale, "a scale").size > 1 or (point is not None and point.size > 1):
                raise Unclear("the picture's integers have a scale for every channel")
            cast, shifted, less = f"{name}/cast", f"{name}/shifted", f"{name}/zero"
            self.added[less] = np.zeros((), np.float32) if point is None else point.reshape(()).astype(np.float32)
            self.constants[less] = self.added[less]
            nodes = [
                helper.make_node("Cast", [raw], [cast], to=TensorProto.FLOAT),
                helper.make_node("Sub", [cast, less], [shifted]),
                helper.make_node("Mul", [shifted, scale], [name]),
            ]
            self.beside(nodes)
            for node in nodes:
                self.reads(node)
            self.shapes |= dict.fromkeys((cast, shifted, name), self.shapes[raw])
        return name

    # what is added ----------------------------------------------------------------------------------------------------

    def constant(self, name: str, value: Array) -> str:
        """Keep a constant for the readers."""
        self.constants[name] = value
        return name

    def one(self) -> str:
        """Return the scale of integers that stand for themselves."""
        name = "heatcli/one"
        self.constants[name] = self.added[name] = np.ones(1, np.float32)
        return name

    def beside(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Add nodes that onnxruntime runs too."""
        for node in nodes:
            self.ours.add(len(self.own))
            self.own.append(node)

    def layer(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node for the readers."""
        self.reads(helper.make_node(operation, inputs, [output], name=output, **attributes))

    def reads(self, node: onnx.NodeProto) -> None:
        """Add a copy of a node for the readers."""
        copied = onnx.NodeProto.FromString(node.SerializeToString())
        copied.input[:] = [self.names.get(name, name) for name in node.input]
        self.read.append(copied)

    def same(self, source: str, output: str) -> None:
        """Say that ``output`` holds the numbers that ``source`` means."""
        if output in self.outputs:
            self.layer("Identity", [source], output)
        else:
            self.names[output] = self.names.get(source, source)

    def saturating(self, output: str, scale: str, zero: str, operation: str, inputs: list[str], **given: Any) -> None:
        """Add a node for the readers, and behind it the rounding of its ``output`` to integers of this meaning."""
        before = f"{output}/before"
        self.shapes[before] = self.shapes[output]
        self.layer(operation, inputs, before, **given)
        self.quantise(before, output, scale, zero)
        self.beside([helper.make_node("Identity", [output], [before])])

    def quantise(self, x: str, output: str, scale: str, zero: str, *, axis: int = 1, dtype: str = "uint8") -> None:
        """Add the rounding of ``x`` to integers, which saturates; ``dtype`` is theirs where ``zero`` is empty.

        Several scales lie along ``axis``.
        """
        steps = self.known(scale, "its scale")
        point = self.known(zero, "its zero point") if zero else np.zeros((), dtype)
        rank = len(self.shapes[output])
        several = steps.size > 1
        if point.dtype.name not in INTEGERS or steps.ndim > 1:
            raise Unclear(f"integers of type {point.dtype.name}, or with scales for blocks of them")
        limits = np.iinfo(point.dtype)
        along = [-1 if place == axis % rank else 1 for place in range(rank)] if several else []
        low, high = (
            np.asarray((limit - point.astype(np.float64)) * steps, np.float32).reshape(along)
            for limit in (limits.min, limits.max)
        )
        ends = [self.constant(f"{output}/lowest", low), self.constant(f"{output}/highest", high)]
        self.layer("QuantizeLinear", [x, *ends], output)
        self.means(output, Meaning(scale, zero, axis % rank if several else None))

    def means(self, name: str, meaning: Meaning) -> None:
        """Say what the integers ``name`` mean, and put the real tensor beside them."""
        self.meanings[name] = meaning
        self.integers.add(name)
        inputs = [integers_of(name), meaning.scale, *([meaning.zero] if meaning.zero else [])]
        along: dict[str, Any] = {} if meaning.axis is None else {"axis": meaning.axis}
        self.beside([helper.make_node("DequantizeLinear", inputs, [name], **along)])

    def is_product(self, name: str, factor: Factor) -> None:
        """Say what the integers of a product are to be multiplied by, and put the real tensor beside them."""
        self.products[name] = factor
        self.integers.add(name)
        real = f"{name}/float"
        nodes = [helper.make_node("Cast", [integers_of(name)], [real], to=TensorProto.FLOAT)]
        parts = [*factor.scales]
        if factor.constant.size > 1 or float(factor.constant.reshape(())) != 1:
            self.added[f"{name}/factor"] = factor.constant.astype(np.float32)
            parts.append(f"{name}/factor")
        for place, scale in enumerate(parts):
            last = place == len(parts) - 1
            product = name if last else f"{real}/{place}"
            nodes.append(helper.make_node("Mul", [real, scale], [product]))
            real = product
        if not parts:
            nodes[-1].output[0] = name
        self.beside(nodes)


def integers_of(name: str) -> str:
    """Return what the integers are called whose name the real tensor took over."""
    return f"{name}/quantised"


def dequantised(value: Array, scale: Array, zero: Array | None, axis: int) -> Array:
    """Return (value − zero) · scale in float32; scales and zero points of several numbers lie along ``axis``."""

    def along(numbers: Array) -> Array:
        if numbers.size == 1:
            return numbers.astype(np.float32).reshape(())
        if numbers.ndim == value.ndim:
            return numbers.astype(np.float32)
        return numbers.astype(np.float32).reshape([-1 if a == axis % value.ndim else 1 for a in range(value.ndim)])

    real = value.astype(np.float32)
    if zero is not None and zero.any():
        real = real - along(zero)
    return np.asarray(real * along(scale))


Reading = Callable[[onnx.NodeProto, Reals], None]
_READINGS: dict[tuple[str, str], Reading] = {}


def means(*operations: str, domain: str = "") -> Callable[[Reading], Reading]:
    """Register what quantised ``operations`` mean."""

    def register(reading: Reading) -> Reading:
        for operation in operations:
            _READINGS[domain, operation] = reading
        return reading

    return register


def quantised() -> list[tuple[str, str]]:
    """Return the (domain, operation) of every quantised operation that has a meaning here."""
    return sorted(_READINGS)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node."""
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def operand(node: onnx.NodeProto, place: int) -> str:
    """Return the name of an input, empty where it is absent."""
    return node.input[place] if place < len(node.input) else ""


# the pass -------------------------------------------------------------------------------------------------------------


def realise(
    model: onnx.ModelProto, constants: dict[str, Array], shapes: dict[str, Shape], picture: str
) -> tuple[list[onnx.NodeProto], list[UnsupportedNode]]:
    """Put real tensors beside the quantised ones of ``model``, in place; return what to read, and what is unclear.

    Nothing changes where nothing is quantised.
    """
    nodes = list(model.graph.node)
    data = {picture}
    for node in nodes:
        if any(name in data for name in node.input):
            data.update(node.output)
    moved = [node for node in nodes if not data.isdisjoint(node.input)]
    if not any(_key(node) in _READINGS for node in moved):
        return nodes, []
    reals = Reals(constants, shapes, picture, {entry.name for entry in model.graph.output})
    unclear = []
    for node in nodes:
        reals.own.append(node)
        if not data.isdisjoint(node.input):
            try:
                _read(node, reals)
            except Unclear as error:
                unclear.append(UnsupportedNode(node.output[0], node.op_type, _key(node)[0], str(error)))
                reals.reads(node)
    _renamed(model, reals)
    return reals.read, unclear


def _key(node: onnx.NodeProto) -> tuple[str, str]:
    return "" if node.domain in STANDARD else node.domain, node.op_type


def _read(node: onnx.NodeProto, reals: Reals) -> None:
    inputs = set(node.input)
    if _key(node) in _READINGS:
        _READINGS[_key(node)](node, reals)
    elif inputs & set(reals.products):
        of_product(node, reals)
    elif inputs & set(reals.factors):
        of_factors(node, reals)
    elif inputs & set(reals.meanings):
        on_same_scale(node, reals)
    else:
        reals.reads(node)
        if all(name in reals.raw for name in inputs if name not in reals.constants):
            reals.raw.update(node.output)


def _renamed(model: onnx.ModelProto, reals: Reals) -> None:
    """Write the graph that is run: the file's own nodes work on integers under their new names."""
    for place, node in enumerate(reals.own):
        if place not in reals.ours:
            for names in (node.input, node.output):
                names[:] = [integers_of(name) if name in reals.integers else name for name in names]
    written = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reals.own]
    del model.graph.node[:]
    model.graph.node.extend(written)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in reals.added.items())
    for entry in model.graph.output:
        if entry.name in reals.integers:
            entry.type.tensor_type.elem_type = TensorProto.FLOAT


# operations that are not quantised themselves -------------------------------------------------------------------------


def on_same_scale(node: onnx.NodeProto, reals: Reals) -> None:
    """Read an operation that takes integers as they are: on real numbers it does the same."""
    if _key(node)[0] or node.op_type not in SAME_SCALE:
        raise Unclear("it takes quantised numbers for plain integers")
    meant = {reals.meanings[name] for name in node.input if name in reals.meanings}
    first = next(iter(meant))
    zero = reals.constants.get(first.zero) if first.zero else None
    if any(not (reals._same(one.scale, first.scale) and reals._same(one.zero, first.zero)) for one in meant):
        raise Unclear("its inputs have several scales")
    if first.axis is not None:
        raise Unclear("it takes quantised numbers that have a scale for every channel")
    if node.op_type == "Relu" and first.zero and (zero is None or zero.any()):
        raise Unclear("its zero is not the zero of the numbers that are meant")
    inputs = list(node.input)
    if node.op_type == "Pad" and not operand(node, 2):
        kind = np.uint8 if zero is None else zero.dtype
        inputs[2:] = [reals.constant(f"{node.output[0]}/frame", np.zeros((), kind)), *inputs[3:]]
    for place, name in enumerate(inputs):
        if name in reals.constants and reals.constants[name].dtype.name in INTEGERS:
            inputs[place] = reals.real(name, first.scale, first.zero)
    read = onnx.NodeProto.FromString(node.SerializeToString())
    read.input[:] = inputs
    reals.reads(read)
    for name in node.output if node.op_type == "Split" else node.output[:1]:
        if name in reals.shapes:
            reals.means(name, first)


def of_factors(node: onnx.NodeProto, reals: Reals) -> None:
    """Follow a scale that depends on the picture; it is no data of its own."""
    if node.op_type in MOVES:
        reals.factors[node.output[0]] = reals.factors[node.input[0]]
        return
    if node.op_type != "Mul" or _key(node)[0]:
        raise Unclear("it computes with a scale that depends on the picture")
    parts = [reals.factors.get(name) or Factor((), reals.known(name, "a scale")) for name in node.input]
    reals.factors[node.output[0]] = parts[0] * parts[1]


def of_product(node: onnx.NodeProto, reals: Reals) -> None:
    """Follow the integers of a product until they are multiplied by their scales."""
    output = node.output[0]
    place = next(place for place, name in enumerate(node.input) if name in reals.products)
    name, other = node.input[place], operand(node, 1 - place)
    factor = reals.products[name]
    if node.op_type in MOVES and not _key(node)[0]:
        reals.is_product(output, factor)
        if node.op_type in ("Cast", "Identity"):
            reals.same(name, output)
        else:
            reals.reads(node)
    elif node.op_type == "Mul" and (other in reals.factors or other in reals.constants):
        by = reals.factors.get(other) or Factor((), reals.known(other, "a scale"))
        if by.scales != factor.scales:
            raise Unclear("it multiplies by other scales than its input was quantised with")
        rest = reals.constant(f"{output}/scale", (by.constant / factor.constant).astype(np.float32))
        reals.layer("Mul", [name, rest], output)
    else:
        raise Unclear("it takes the integers of a product for plain numbers")
