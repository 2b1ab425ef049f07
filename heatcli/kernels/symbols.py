"""Arrays that are not there yet: arithmetic on a ``Symbol`` writes ONNX nodes.

A ``Symbol`` knows NumPy's operators, its elementwise functions and ``where``, so that what is written for arrays writes
a graph when it is given symbols. Equal nodes are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.lib.mixins import NDArrayOperatorsMixin
from onnx import helper
from onnx.onnx_pb import TensorProto

Array = np.ndarray
Shape = tuple[int, ...]

ELEMENTWISE = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.divide: "Div",
    np.power: "Pow",
    np.negative: "Neg",
    np.absolute: "Abs",
    np.sign: "Sign",
    np.exp: "Exp",
    np.log: "Log",
    np.sqrt: "Sqrt",
    np.tanh: "Tanh",
    np.maximum: "Max",
    np.minimum: "Min",
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.equal: "Equal",
    np.logical_and: "And",
    np.logical_or: "Or",
    np.bitwise_and: "And",
    np.logical_not: "Not",
    np.invert: "Not",
}
SMALL = 64
"""Constants of up to so many numbers are compared by value."""
TRUTHS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not")
"""Operations whose result is true or false."""


class Graph:
    """Collects nodes and constants; what is equal is written once."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self._written: dict[tuple[Any, ...], str] = {}

    def node(self, operation: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Return the name of the output of a node, which is written if it is not there yet."""
        key = (operation, tuple(inputs), tuple(sorted((k, _frozen(v)) for k, v in attributes.items())))
        if key not in self._written:
            name = f"heatcli/{operation}/{len(self.nodes)}"
            self.nodes.append(helper.make_node(operation, list(inputs), [name], name=name, **attributes))
            self._written[key] = name
        return self._written[key]

    def several(self, operation: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Write a node with several outputs."""
        self.nodes.append(helper.make_node(operation, list(inputs), list(outputs), name=outputs[0], **attributes))

    def constant(self, value: Array) -> str:
        """Keep a constant and return its name; small equal ones are kept once."""
        value = np.asarray(value)
        name = f"heatcli/constant/{len(self.constants)}"
        if value.size <= SMALL:
            name = self._written.setdefault(("", value.dtype.str, value.shape, value.tobytes()), name)
        if name not in self.constants:
            self.constants[name] = np.ascontiguousarray(value).reshape(value.shape)
        return name

    def integers(self, *values: int) -> str:
        """Keep a row of int64 numbers."""
        return self.constant(np.asarray(values, np.int64))

    def symbol(self, operation: str, inputs: Sequence[Symbol | str], shape: Shape, **attributes: Any) -> Symbol:
        """Write a node and return its output; ``shape`` is that at batch 1."""
        names = [entry.name if isinstance(entry, Symbol) else entry for entry in inputs]
        return Symbol(self, self.node(operation, names, **attributes), shape, truth=operation in TRUTHS)

    def real(self, value: Symbol | str, shape: Shape) -> Symbol:
        """Write a tensor in float32, whatever it is in."""
        return self.symbol("Cast", [value], shape, to=TensorProto.FLOAT)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Symbol(NDArrayOperatorsMixin):
    """The output of a node: its ``name``, its ``shape`` at batch 1, and whether it is true or false."""

    def __init__(self, graph: Graph, name: str, shape: Shape, *, truth: bool = False) -> None:
        """Stand for the tensor ``name``."""
        self.graph, self.name, self.shape, self.truth = graph, name, tuple(shape), truth
        self.dtype = np.dtype(bool if truth else np.float32)

    @property
    def ndim(self) -> int:
        """How many axes there are, the batch included."""
        return len(self.shape)

    def __repr__(self) -> str:
        """Show name and shape."""
        return f"Symbol({self.name} {self.shape})"

    def __array_ufunc__(self, ufunc: Callable[..., Any], method: str, *inputs: Any, **keywords: Any) -> Any:
        """Write what an elementwise function of NumPy does."""
        if method != "__call__" or keywords or ufunc not in (*ELEMENTWISE, np.square, np.logaddexp, np.matmul):
            return NotImplemented
        if ufunc is np.square:
            return inputs[0] * inputs[0]
        if ufunc is np.matmul:
            a, b = inputs
            outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            return self.graph.symbol("MatMul", [a, b], (*outer, a.shape[-2], b.shape[-1]))
        if ufunc is np.logaddexp:  # log(e^a + e^b), without overflow
            a, b = inputs
            return np.maximum(a, b) + np.log(np.exp(-np.abs(a - b)) + 1.0)
        if ufunc is np.maximum and isinstance(inputs[1], int | float) and inputs[1] == 0:
            return self.graph.symbol("Relu", [inputs[0]], inputs[0].shape)
        if ufunc is np.minimum and isinstance(inputs[1], int | float) and inputs[1] == 0:
            return inputs[0] - np.maximum(inputs[0], 0)  # Min did not broadcast before opset 8
        operation = ELEMENTWISE[ufunc]
        logical = operation in ("And", "Or", "Not")
        operands = [_operand(self.graph, entry, logical=logical) for entry in inputs]
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        return self.graph.symbol(operation, operands, shape)

    def __array_function__(self, function: Any, types: Any, given: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Write ``where``, ``clip``, ``zeros_like`` and ``ones_like``."""
        if function is np.where and not keywords:
            condition, *choices = given
            operands = [_operand(self.graph, entry) for entry in choices]
            shape = np.broadcast_shapes(condition.shape, *(operand.shape for operand in operands))
            return self.graph.symbol("Where", [condition, *operands], shape)
        if function is np.clip:
            x, low, high = given
            return np.minimum(np.maximum(x, low), high)
        if function in (np.zeros_like, np.ones_like):
            value = np.float32(function is np.ones_like)
            return _operand(self.graph, np.full(self.shape, value))
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        """Add; nothing added writes nothing."""
        return self if isinstance(other, int | float) and other == 0 else self._sum(other)

    __radd__ = __add__

    def _sum(self, other: Any) -> Any:
        return self.__array_ufunc__(np.add, "__call__", self, other)

    def __getitem__(self, place: tuple[slice, ...]) -> Symbol:
        """Cut a part out; slices alone are understood, and axis 0 stays whole."""
        starts, stops, axes, steps, shape = [], [], [], [], list(self.shape)
        for axis, part in enumerate(place):
            if part == slice(None):
                continue
            start, stop, step = part.indices(self.shape[axis])
            shape[axis] = len(range(start, stop, step))
            starts.append(start)
            stops.append(stop if stop >= 0 else -self.shape[axis] - 1)
            axes.append(axis)
            steps.append(step)
        if not axes:
            return self
        graph = self.graph
        ranges = [graph.integers(*entry) for entry in (starts, stops, axes, steps)]
        return graph.symbol("Slice", [self, *ranges], tuple(shape))


def _operand(graph: Graph, value: Any, *, logical: bool = False) -> Symbol:
    """Return ``value`` as a tensor of numbers, or of truths for a logical operation."""
    if isinstance(value, Symbol):
        if value.truth and not logical:
            return graph.real(value, value.shape)
        return value
    array = np.asarray(value, bool if logical else np.float32)
    return Symbol(graph, graph.constant(array), array.shape, truth=logical)
