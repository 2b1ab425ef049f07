"""The kernels written as ONNX nodes: onnxruntime computes denominators beside the forward pass, or the whole walk.

Only operations of the default domain up to opset 17 are used, and attributes that every runtime knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import singledispatchmethod
from typing import Any

import numpy as np
from onnx import TensorProto

from heatcli.kernels.protocol import SMALLEST, LinearMap, Quotient, Tensor, like
from heatcli.kernels.symbols import Graph, Symbol
from heatcli.kernels.terms import WeightPart, WeightParts
from heatcli.network.layers import (
    AveragePooling,
    Convolution,
    Dense,
    Layer,
    MaxPooling,
    MaxReduction,
    Reduction,
    Summation,
    TransposedConvolution,
    Window,
)

Array = np.ndarray
Shape = tuple[int, ...]
Ints = Sequence[int]


class GraphKernels:
    """The kernels on symbols of ``graph``; ``shapes`` are those of all data tensors at batch 1.

    ``parts`` holds weights split beforehand, which then become constants of their own; without it the graph computes
    them from the ``initializers`` of the model, which are found by where they lie in memory, so that none is stored
    twice.
    """

    def __init__(
        self,
        graph: Graph,
        shapes: Mapping[str, Shape],
        *,
        batched: bool,
        parts: WeightParts | None = None,
        initializers: Mapping[str, Array] | None = None,
    ) -> None:
        """Write to ``graph``; what belongs to the network stands in it already."""
        self.graph, self.shapes, self.batched, self._parts = graph, shapes, batched, parts
        self._stored = {_place(value): (name, value.shape) for name, value in (initializers or {}).items()}

    # constants and weights --------------------------------------------------------------------------------------------

    def activations(self, source: str, dtype: str) -> dict[str, Symbol]:
        """Return every tensor of the network by name; its input ``source``, of ``dtype``, becomes float32."""
        symbols = {name: Symbol(self.graph, name, shape) for name, shape in self.shapes.items()}
        if dtype != "float32":
            symbols[source] = self.graph.symbol("Cast", [source], self.shapes[source], to=TensorProto.FLOAT)
        return symbols

    def constant(self, value: Array) -> Symbol:
        array = np.asarray(value, np.float32)
        return Symbol(self.graph, self.graph.constant(array), array.shape)

    def zeros(self, shape: Shape) -> Symbol:
        return self.constant(np.zeros(shape, np.float32))

    def weights(self, layer: Layer, part: WeightPart, *, turned: bool = False) -> Symbol:
        """Return ``part`` of the layer's weights; ``turned`` has both axes of a matrix change places."""
        if self._parts is not None:
            value = self._parts.get(layer, part)
            assert value is not None
            return self.constant(value.T if turned else value)
        whole: Array = layer.weights  # type: ignore[attr-defined]
        whole = whole.T if turned else whole
        name, shape = self._stored.get(_place(whole), ("", ()))
        if not name or not whole.flags.c_contiguous:
            return self.constant(part.of(whole.astype(np.float32, copy=False)))
        symbol = Symbol(self.graph, name, shape)
        if shape != whole.shape:
            symbol = self.graph.symbol("Reshape", [symbol, self.graph.integers(*whole.shape)], whole.shape)
        split: Symbol = part.of(symbol)  # type: ignore[arg-type, assignment]
        return split

    def map(self, layer: Layer, part: WeightPart) -> LinearMap | None:
        if self._parts is not None:
            return None if self._parts.get(layer, part) is None else self._map(layer, part)
        weights = getattr(layer, "weights", None)
        return self._map(layer, part) if part.present(np.ones(1, np.float32) if weights is None else weights) else None

    @singledispatchmethod
    def _map(self, layer: Layer, part: WeightPart) -> LinearMap:
        raise TypeError(f"{type(layer).__name__} is no linear layer")

    @_map.register
    def _(self, layer: Convolution, part: WeightPart) -> LinearMap:
        return _Convolution(self, layer, part)

    @_map.register
    def _(self, layer: TransposedConvolution, part: WeightPart) -> LinearMap:
        return _Transposed(_Convolution(self, layer, part))

    @_map.register
    def _(self, layer: Dense, part: WeightPart) -> LinearMap:
        return _Dense(self, layer, part)

    @_map.register(AveragePooling)
    @_map.register(MaxPooling)
    def _(self, layer: AveragePooling | MaxPooling, part: WeightPart) -> LinearMap:
        return _Windows(self, layer, _fixed(layer, part))

    @_map.register(Reduction)
    @_map.register(MaxReduction)
    def _(self, layer: Reduction | MaxReduction, part: WeightPart) -> LinearMap:
        return _Axes(self, layer, float(_fixed(layer, part).reshape(())))

    @_map.register
    def _(self, layer: Summation, part: WeightPart) -> LinearMap:
        return _Sum(self, layer, _fixed(layer, part))

    # sums and quotients -----------------------------------------------------------------------------------------------

    def divide(self, r: Tensor, z: Tensor, epsilon: float, *, lossless: bool = False) -> Quotient:
        if lossless:
            return Quotient(r / np.maximum(z, SMALLEST), None, z)
        if epsilon:
            z = z + np.where(z >= 0.0, epsilon, -epsilon)
        nothing = np.abs(z) <= SMALLEST
        return Quotient(r / np.where(nothing, np.inf, z), np.where(nothing, r, 0.0), z)

    def add_product(self, total: Symbol | None, a: Symbol, back: Symbol) -> Symbol:
        return back * a if total is None else total + back * a

    def total(self, r: Symbol) -> Symbol:
        axes = tuple(range(1 if self.batched else 0, r.ndim))
        if not axes:
            return r
        whole = self.graph.symbol(
            "ReduceSum", [r, self.graph.integers(*axes)], (1,) if self.batched else (), keepdims=0
        )
        return whole if self.batched else self.graph.symbol("Reshape", [whole, self.graph.integers(1)], (1,))

    def total_product(self, s: Symbol, c: Symbol) -> Symbol:
        shape = (1,) * (s.ndim - c.ndim) + c.shape
        same = tuple(axis for axis in range(int(self.batched), s.ndim) if shape[axis] == 1)
        return self.total(self._sum(s, same) * c)

    def finite(self, x: Tensor) -> Tensor:
        return np.where(np.abs(x) < np.inf, x, 0.0)

    def near_channels(self, x: Symbol, before: int, after: int) -> Symbol:
        places = np.arange(x.shape[1])
        apart = places[None, :] - places[:, None]
        band = ((apart >= -before) & (apart <= after)).astype(np.float32)
        return self.graph.symbol("Conv", [x, self.constant(band.reshape(*band.shape, *(1,) * (x.ndim - 2)))], x.shape)

    def _sum(self, r: Symbol, axes: Ints) -> Symbol:
        if not axes:
            return r
        shape = tuple(1 if axis in axes else length for axis, length in enumerate(r.shape))
        return self.graph.symbol("ReduceSum", [r, self.graph.integers(*axes)], shape, keepdims=1)

    # moving -----------------------------------------------------------------------------------------------------------

    def reshape(self, r: Symbol, shape: Shape) -> Symbol:
        if r.shape == tuple(shape):
            return r
        target = (-1, *shape[1:]) if self.batched else shape
        return self.graph.symbol("Reshape", [r, self.graph.integers(*target)], shape)

    def transpose(self, r: Symbol, permutation: Ints) -> Symbol:
        order = [int(axis) for axis in permutation]
        return self.graph.symbol("Transpose", [r], tuple(r.shape[axis] for axis in order), perm=order)

    def unbroadcast(self, r: Symbol, shape: Shape) -> Symbol:
        padded = (1,) * (r.ndim - len(shape)) + tuple(shape)
        repeated = [
            axis
            for axis, (had, wanted) in enumerate(zip(r.shape, padded, strict=True))
            if wanted == 1 and had > 1 and not (axis == 0 and self.batched)
        ]
        summed = self._sum(r, repeated)
        return summed if self.batched else self.reshape(summed, shape)

    def embed(self, r: Symbol, shape: Shape, place: tuple[slice, ...]) -> Symbol:
        pads: list[tuple[int, int]] = []
        for axis, (length, part) in enumerate(zip(shape, place, strict=True)):
            start, stop, step = part.indices(length)
            if step < 0:
                indices = np.arange(start, stop, step)
                return self.put_back(r, (*r.shape[:axis], length, *r.shape[axis + 1 :]), axis, indices)
            r = self.dilate(r, axis, step)
            pads.append((start, length - start - r.shape[axis]))
        return self.pad(r, pads)

    def fold_channels(self, r: Symbol, kernel: Ints, size: Ints, **attributes: Any) -> Symbol:
        """Write a transposed convolution by a kernel of ones, each channel by itself; ``size`` is what comes out.

        Channels are pictures of their own for it, which is faster than as many groups.
        """
        alone = self.graph.symbol("Reshape", [r, self.graph.integers(-1, 1, *r.shape[2:])], (1, 1, *r.shape[2:]))
        ones = self.constant(np.ones((1, 1, *kernel)))
        spread = self.graph.symbol("ConvTranspose", [alone, ones], (1, 1, *size), **attributes)
        whole = (r.shape[0], r.shape[1], *size)
        return self.graph.symbol("Reshape", [spread, self.graph.integers(-1, *whole[1:])], whole)

    def apart(self, r: Symbol, strides: Ints) -> Symbol:
        """Return ``r`` with zeros between all elements of its spatial axes, as a convolution with ``strides`` skips."""
        if all(stride == 1 for stride in strides):
            return r
        size = [(n - 1) * stride + 1 for n, stride in zip(r.shape[2:], strides, strict=True)]
        return self.fold_channels(r, (1,) * len(size), size, strides=list(strides))

    def dilate(self, r: Symbol, axis: int, step: int) -> Symbol:
        """Return ``r`` with ``step`` − 1 zeros after every element along ``axis``, none after the last."""
        if step == 1 or r.shape[axis] == 1:
            return r
        before, n, after = r.shape[:axis], r.shape[axis], r.shape[axis + 1 :]
        apart = self.reshape(r, (*before, n, 1, *after))
        apart = self.pad(apart, [(0, 0)] * (axis + 1) + [(0, step - 1)] + [(0, 0)] * len(after))
        joined = self.reshape(apart, (*before, n * step, *after))
        return self.pad(joined, [(0, 0)] * axis + [(0, 1 - step)] + [(0, 0)] * len(after))

    def pad(self, r: Symbol, pads: Sequence[tuple[int, int]]) -> Symbol:
        """Return ``r`` with zeros around it; negative numbers crop."""
        if not any(before or after for before, after in pads):
            return r
        shape = tuple(n + before + after for n, (before, after) in zip(r.shape, pads, strict=True))
        ends = self.graph.integers(*(before for before, _ in pads), *(after for _, after in pads))
        return self.graph.symbol("Pad", [r, ends], shape)

    def put_back(self, r: Symbol, shape: Shape, axis: int, indices: Array) -> Symbol:
        flat = self.reshape(r, (*shape[:axis], indices.size, *shape[axis + 1 :]))
        row = np.asarray(indices, np.int64).reshape(-1, *(1,) * (len(shape) - axis - 1))
        return self._scatter(flat, shape, axis, self.graph.constant(row))

    def _scatter(self, r: Symbol, shape: Shape, axis: int, indices: str) -> Symbol:
        """Return zeros of ``shape`` with ``r`` added along ``axis`` at ``indices``, which broadcast to ``r``."""
        graph = self.graph
        size = graph.node("Shape", [r.name])
        if self.batched:
            batch = graph.node("Slice", [size, graph.integers(0), graph.integers(1)])
            target = graph.node("Concat", [batch, graph.integers(*shape[1:])], axis=0)
        else:
            target = graph.integers(*shape)
        zeros = graph.node("Expand", [graph.constant(np.asarray(0, np.float32)), target])
        spread = graph.node("Expand", [indices, size])
        return graph.symbol("ScatterElements", [zeros, spread, r], shape, axis=axis, reduction="add")

    # the largest ------------------------------------------------------------------------------------------------------

    def largest_of_windows(self, x: Symbol, y: Symbol, r: Symbol, window: Window) -> Symbol:
        graph = self.graph
        spatial, output = x.shape[2:], r.shape[2:]
        key = f"{r.name}/largest"
        names = [f"{key}/values", f"{key}/indices"]
        graph.several(
            "MaxPool",
            [x.name],
            names,
            kernel_shape=list(window.kernel),
            strides=list(window.strides),
            dilations=list(window.dilations),
            pads=_pads(window.kernel, window.strides, window.dilations, window.pads, spatial, output),
        )
        places = graph.node("Mod", [names[1], graph.constant(np.asarray(math.prod(spatial), np.int64))])
        flat = (*r.shape[:2], math.prod(output))
        open_flat = graph.integers(-1, *flat[1:]) if self.batched else graph.integers(*flat)
        indices = graph.node("Reshape", [places, open_flat])
        moved = self._scatter(self.reshape(r, flat), (*r.shape[:2], math.prod(spatial)), 2, indices)
        return self.reshape(moved, x.shape)

    def largest_of_axes(self, x: Symbol, r: Symbol, axes: tuple[int, ...]) -> Symbol:
        others = [axis for axis in range(x.ndim) if axis not in axes]
        order = (*others, *axes)
        turned = self.transpose(x, order)
        count = math.prod(x.shape[axis] for axis in axes)
        flat = self.reshape(turned, (*(x.shape[axis] for axis in others), count))
        best = self.graph.node("ArgMax", [flat.name], axis=len(others), keepdims=1)
        hit: Tensor = self.graph.symbol("Equal", [self.graph.integers(*range(count)), best], flat.shape)
        there: Tensor = self.reshape(r, (*flat.shape[:-1], 1))
        moved: Tensor = np.where(hit, there, 0.0)
        return self.transpose(self.reshape(moved, turned.shape), [order.index(axis) for axis in range(x.ndim)])


def _place(value: Array) -> tuple[int, int]:
    """Return where an array lies."""
    return value.__array_interface__["data"][0], value.nbytes


def _fixed(layer: Any, part: WeightPart) -> Array:
    return part.of(np.asarray(getattr(layer, "weights", np.ones(1)), np.float32))


def _pads(kernel: Ints, strides: Ints, dilations: Ints, pads: Ints, size: Ints, output: Ints) -> list[int]:
    """Return the pads at the begin and those at the end that ``output`` asks for."""
    ends = [
        max(0, (o - 1) * s + (k - 1) * d + 1 - n - begin)
        for k, s, d, begin, n, o in zip(kernel, strides, dilations, pads, size, output, strict=True)
    ]
    return [*pads, *ends]


class _Convolution:
    """W ∗ x and Wᵀ ∗ s; for a transposed convolution ``large`` is the side of its output."""

    def __init__(self, kernels: GraphKernels, layer: Convolution, part: WeightPart) -> None:
        self.kernels, self.layer, self.part = kernels, layer, part
        sides = kernels.shapes[layer.inputs[0]], kernels.shapes[layer.name]
        self.large, self.small = reversed(sides) if isinstance(layer, TransposedConvolution) else sides
        self.kernel = layer.weights.shape[2:]

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        layer, graph = self.layer, self.kernels.graph
        return graph.symbol(
            "Conv",
            [inputs[0], self.kernels.weights(layer, self.part)],
            self.small,
            strides=list(layer.strides),
            dilations=list(layer.dilations),
            pads=_pads(self.kernel, layer.strides, layer.dilations, layer.pads, self.large[2:], self.small[2:]),
            group=layer.groups,
        )

    def adjoint(self, s: Symbol) -> list[Symbol]:
        layer = self.layer
        if all(stride == 1 for stride in layer.strides) or layer.groups > 1 or math.prod(self.kernel) == 1:
            return [self._flipped(s)]
        return [self.transposed(s)]

    def transposed(self, s: Symbol) -> Symbol:
        """Write the adjoint as the operation that is made for it."""
        layer, kernels = self.layer, self.kernels
        ends = [
            (o - 1) * stride + (k - 1) * d + 1 - n - begin
            for n, o, k, stride, d, begin in zip(
                self.large[2:], self.small[2:], self.kernel, layer.strides, layer.dilations, layer.pads, strict=True
            )
        ]
        return kernels.graph.symbol(
            "ConvTranspose",
            [s, kernels.weights(layer, self.part)],
            self.large,
            strides=list(layer.strides),
            dilations=list(layer.dilations),
            pads=[*layer.pads, *(max(0, end) for end in ends)],
            output_padding=[max(0, -end) for end in ends],
            group=layer.groups,
        )

    def _flipped(self, s: Symbol) -> Symbol:
        """Write the adjoint as a convolution with the kernel turned round; strides become zeros between."""
        layer, kernels, graph = self.layer, self.kernels, self.kernels.graph
        weights = kernels.weights(layer, self.part)
        axes = len(self.kernel)
        o, c = weights.shape[0] // layer.groups, weights.shape[1]
        if math.prod(self.kernel) > 1:
            weights = weights[(slice(None), slice(None), *(slice(None, None, -1),) * axes)]
        grouped = graph.symbol(
            "Reshape", [weights, graph.integers(layer.groups, o, c, *self.kernel)], (layer.groups, o, c, *self.kernel)
        )
        turned = kernels.transpose(grouped, (0, 2, 1, *range(3, axes + 3)))
        shape = (layer.groups * c, o, *self.kernel)
        turned = graph.symbol("Reshape", [turned, graph.integers(*shape)], shape)
        pointwise = math.prod(self.kernel) == 1
        frame: list[tuple[int, int]] = []
        wide = s if pointwise else kernels.apart(s, layer.strides)
        for axis, (k, d, stride, begin) in enumerate(
            zip(self.kernel, layer.dilations, layer.strides, layer.pads, strict=True), start=2
        ):
            reach = (k - 1) * d
            n = s.shape[axis] if pointwise else wide.shape[axis]
            length = (n - 1) * stride + 1 if pointwise else n
            frame.append((reach - begin, self.large[axis] + begin - length))
        if pointwise:  # first the product, then the zeros: it has fewer places
            product = graph.symbol("Conv", [s, turned], (1, shape[0], *s.shape[2:]), group=layer.groups)
            return kernels.pad(kernels.apart(product, layer.strides), [(0, 0), (0, 0), *frame])
        if min(min(pair) for pair in frame) < 0:
            wide, frame = kernels.pad(wide, [(0, 0), (0, 0), *frame]), [(0, 0)] * axes
        return graph.symbol(
            "Conv",
            [wide, turned],
            self.large,
            dilations=list(layer.dilations),
            pads=[*(before for before, _ in frame), *(after for _, after in frame)],
            group=layer.groups,
        )


class _Transposed:
    """The same map read backwards."""

    def __init__(self, inner: _Convolution) -> None:
        self.inner = inner

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        return self.inner.transposed(inputs[0])

    def adjoint(self, s: Symbol) -> list[Symbol]:
        return [self.inner.apply([s])]


class _Dense:
    """x (..., I) times a matrix (I, O), which is used as it lies in memory: no transposed copy is made."""

    def __init__(self, kernels: GraphKernels, layer: Dense, part: WeightPart) -> None:
        self.kernels, self.layer, self.part = kernels, layer, part
        flags = layer.weights.flags
        self.by_columns = flags.f_contiguous and not flags.c_contiguous

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        return self._product(inputs[0], self.layer.weights.shape[1], turn=self.by_columns)

    def adjoint(self, s: Symbol) -> list[Symbol]:
        return [self._product(s, self.layer.weights.shape[0], turn=not self.by_columns)]

    def _product(self, x: Symbol, width: int, *, turn: bool) -> Symbol:
        stored = self.kernels.weights(self.layer, self.part, turned=self.by_columns)
        shape = (*x.shape[:-1], width)
        if turn and x.ndim == 2:
            nothing = self.kernels.constant(np.zeros(1))  # a third operand was required once
            return self.kernels.graph.symbol("Gemm", [x, stored, nothing], shape, transB=1)
        if turn:
            stored = self.kernels.graph.symbol("Transpose", [stored], stored.shape[::-1], perm=[1, 0])
        return self.kernels.graph.symbol("MatMul", [x, stored], shape)


class _Windows:
    """The sum over each window times a weight that may depend on the output position."""

    def __init__(self, kernels: GraphKernels, layer: AveragePooling | MaxPooling, weights: Array) -> None:
        self.kernels, self.window, self.weights = kernels, layer.window, weights
        self.large, self.small = kernels.shapes[layer.inputs[0]], kernels.shapes[layer.name]

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        w = self.window
        pads = _pads(w.kernel, w.strides, w.dilations, w.pads, self.large[2:], self.small[2:])
        return self._sums(inputs[0], self.small, w.strides, pads) * self.kernels.constant(self._scaled())

    def adjoint(self, s: Symbol) -> list[Symbol]:
        kernels, w = self.kernels, self.window
        if w.kernel == w.strides or any(d > 1 for d in w.dilations):
            return [self._transposed(s * kernels.constant(self.weights))]
        s = kernels.apart(s * kernels.constant(self._scaled()), w.strides)
        frame = [
            (k - 1 - begin, self.large[axis] + begin - s.shape[axis])
            for axis, (k, begin) in enumerate(zip(w.kernel, w.pads, strict=True), start=2)
        ]
        return [self._sums(kernels.pad(s, [(0, 0), (0, 0), *frame]), self.large, (1,) * len(w.kernel), None)]

    def _transposed(self, s: Symbol) -> Symbol:
        """Write the adjoint where windows do not overlap, or have holes."""
        w = self.window
        ends = [
            (o - 1) * stride + (k - 1) * d + 1 - n - begin
            for n, o, k, stride, d, begin in zip(
                self.large[2:], self.small[2:], w.kernel, w.strides, w.dilations, w.pads, strict=True
            )
        ]
        pads = [*w.pads, *(max(0, end) for end in ends)]
        spread = self.kernels.fold_channels(
            s,
            w.kernel,
            [n - max(0, -end) for n, end in zip(self.large[2:], ends, strict=True)],
            strides=list(w.strides),
            dilations=list(w.dilations),
            pads=pads,
        )
        return self.kernels.pad(spread, [(0, 0), (0, 0), *((0, max(0, -end)) for end in ends)])

    def _scaled(self) -> Array:
        """Return the weights, times what ``_sums`` divides by."""
        dilated = any(d > 1 for d in self.window.dilations)
        return self.weights if dilated else self.weights * np.float32(math.prod(self.window.kernel))

    def _sums(self, x: Symbol, shape: Shape, strides: Ints, pads: list[int] | None) -> Symbol:
        """Write the mean over each window, padding included; the sum where windows are dilated."""
        w, graph = self.window, self.kernels.graph
        keywords: dict[str, Any] = {"strides": list(strides), "pads": pads or [0] * (2 * len(w.kernel))}
        if all(d == 1 for d in w.dilations):
            return graph.symbol("AveragePool", [x], shape, kernel_shape=list(w.kernel), count_include_pad=1, **keywords)
        ones = self.kernels.constant(np.ones((x.shape[1], 1, *w.kernel), np.float32))
        return graph.symbol("Conv", [x, ones], shape, dilations=list(w.dilations), group=x.shape[1], **keywords)


class _Axes:
    """The sum over whole axes times one weight."""

    def __init__(self, kernels: GraphKernels, layer: Reduction | MaxReduction, weight: float) -> None:
        self.kernels, self.axes, self.weight = kernels, layer.axes, weight
        self.shape, self.output = kernels.shapes[layer.inputs[0]], kernels.shapes[layer.name]

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        total = self.kernels._sum(inputs[0], self.axes)
        return self.kernels.reshape(total, self.output) * self.weight

    def adjoint(self, s: Symbol) -> list[Symbol]:
        kept = tuple(1 if axis in self.axes else length for axis, length in enumerate(self.shape))
        spread = self.kernels.reshape(s * self.weight, kept)
        return [self.kernels.graph.symbol("Expand", [spread, self.kernels.graph.integers(*self.shape)], self.shape)]


class _Sum:
    """Σ_k w_k x_k with broadcasting; its adjoint sums over what was broadcast."""

    def __init__(self, kernels: GraphKernels, layer: Summation, weights: Array) -> None:
        self.kernels, self.layer, self.summands = kernels, layer, weights

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        total = _times(inputs[0], self.summands[0])
        for x, weight in zip(inputs[1:], self.summands[1:], strict=True):
            total = total + _times(x, weight)
        return total

    def adjoint(self, s: Symbol) -> list[Symbol]:
        output = self.kernels.shapes[self.layer.name]
        shapes = [self.kernels.shapes[o] if isinstance(o, str) else like(o.shape, output) for o in self.layer.operands]
        return [
            self.kernels.unbroadcast(_times(s, weight), shape)
            for weight, shape in zip(self.summands, shapes, strict=True)
        ]


def _times(x: Symbol, weight: np.floating) -> Symbol:
    return x if weight == 1 else x * float(weight)
