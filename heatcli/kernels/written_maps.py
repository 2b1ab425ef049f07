"""The linear maps and their adjoints as ONNX nodes, one class for every kind that ``maps`` has in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from heatcli.kernels.protocol import like
from heatcli.kernels.symbols import Symbol
from heatcli.kernels.terms import WeightPart
from heatcli.kernels.written_tensors import GraphTensors
from heatcli.network.layers import (
    AveragePooling,
    Convolution,
    Dense,
    MaxPooling,
    MaxReduction,
    Reduction,
    Resampling,
    StackedDense,
    Summation,
    TransposedConvolution,
)

Array = np.ndarray
Shape = tuple[int, ...]
Ints = Sequence[int]


def full_pads(kernel: Ints, strides: Ints, dilations: Ints, pads: Ints, size: Ints, output: Ints) -> list[int]:
    """Return the pads at the begin and those at the end that ``output`` asks for."""
    ends = [
        max(0, (o - 1) * s + (k - 1) * d + 1 - n - begin)
        for k, s, d, begin, n, o in zip(kernel, strides, dilations, pads, size, output, strict=True)
    ]
    return [*pads, *ends]


class WrittenConvolution:
    """W ∗ x and Wᵀ ∗ s; for a transposed convolution ``large`` is the side of its output."""

    def __init__(self, kernels: GraphTensors, layer: Convolution, part: WeightPart) -> None:
        """Take ``part`` of the layer's weights."""
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
            pads=full_pads(self.kernel, layer.strides, layer.dilations, layer.pads, self.large[2:], self.small[2:]),
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
            tails = [max(0, after) for _, after in frame]  # fewer than a stride, else one more window would fit
            frame = [(before, min(0, after)) for before, after in frame]
            return kernels.pad(kernels.apart(product, layer.strides, tails), [(0, 0), (0, 0), *frame])
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


class WrittenTransposed:
    """The same map read backwards."""

    def __init__(self, inner: WrittenConvolution) -> None:
        """Take the map that is read backwards."""
        self.inner = inner

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        return self.inner.transposed(inputs[0])

    def adjoint(self, s: Symbol) -> list[Symbol]:
        return [self.inner.apply([s])]


class WrittenDense:
    """x (..., I) times a matrix (I, O), which is used as it lies in memory: no transposed copy is made."""

    def __init__(self, kernels: GraphTensors, layer: Dense, part: WeightPart) -> None:
        """Take ``part`` of the layer's weights, in the order in which they lie."""
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


class WrittenStack:
    """x (..., P, I) times a stack of matrices (..., I, O); its adjoint sums over what was broadcast."""

    def __init__(self, kernels: GraphTensors, layer: StackedDense, part: WeightPart) -> None:
        """Take ``part`` of the layer's weights."""
        self.kernels, self.shape, self.output = kernels, kernels.shapes[layer.inputs[0]], kernels.shapes[layer.name]
        self.weights = kernels.weights(layer, part)

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        return self.kernels.graph.symbol("MatMul", [inputs[0], self.weights], self.output)

    def adjoint(self, s: Symbol) -> list[Symbol]:
        axes = self.weights.ndim
        turned = self.kernels.transpose(self.weights, (*range(axes - 2), axes - 1, axes - 2))
        back = self.kernels.graph.symbol("MatMul", [s, turned], (*self.output[:-1], self.shape[-1]))
        return [self.kernels.unbroadcast(back, self.shape)]


class WrittenWindows:
    """The sum over each window times a weight that may depend on the output position."""

    def __init__(self, kernels: GraphTensors, layer: AveragePooling | MaxPooling, weights: Array) -> None:
        """Take one weight for all windows, or one for every output position."""
        self.kernels, self.window, self.weights = kernels, layer.window, weights
        self.large, self.small = kernels.shapes[layer.inputs[0]], kernels.shapes[layer.name]

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        w = self.window
        pads = full_pads(w.kernel, w.strides, w.dilations, w.pads, self.large[2:], self.small[2:])
        return self._sums(inputs[0], self.small, w.strides, pads) * self.kernels.constant(self._scaled())

    def adjoint(self, s: Symbol) -> list[Symbol]:
        kernels, w = self.kernels, self.window
        if any(d > 1 for d in w.dilations):
            return [self._transposed(s * kernels.constant(self.weights))]
        if w.kernel == w.strides:
            whole = kernels.repeat(s * kernels.constant(self.weights), w.kernel)
            sides = zip(self.large[2:], whole.shape[2:], w.pads, strict=True)
            frame = [(-begin, n + begin - length) for n, length, begin in sides]
            return [kernels.pad(whole, [(0, 0), (0, 0), *frame])]
        s = kernels.apart(s * kernels.constant(self._scaled()), w.strides)
        frame, met, left = [], list(self.large[:2]), []
        for axis, (k, begin) in enumerate(zip(w.kernel, w.pads, strict=True), start=2):
            end = self.large[axis] + begin - s.shape[axis]
            missed = max(0, end - (k - 1))  # no window meets them: onnxruntime would take them for padding of the pool
            frame.append((k - 1 - begin, end - missed))
            met.append(self.large[axis] - missed)
            left.append((0, missed))
        sums = self._sums(kernels.pad(s, [(0, 0), (0, 0), *frame]), tuple(met), (1,) * len(w.kernel), None)
        return [kernels.pad(sums, [(0, 0), (0, 0), *left])]

    def _transposed(self, s: Symbol) -> Symbol:
        """Write the adjoint where windows have holes."""
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


class WrittenAxes:
    """The sum over whole axes times one weight."""

    def __init__(self, kernels: GraphTensors, layer: Reduction | MaxReduction, weight: float) -> None:
        """Take the weight of every element."""
        self.kernels, self.axes, self.weight = kernels, layer.axes, weight
        self.shape, self.output = kernels.shapes[layer.inputs[0]], kernels.shapes[layer.name]

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        total = self.kernels.sums(inputs[0], self.axes)
        return self.kernels.reshape(total, self.output) * self.weight

    def adjoint(self, s: Symbol) -> list[Symbol]:
        kept = tuple(1 if axis in self.axes else length for axis, length in enumerate(self.shape))
        spread = self.kernels.reshape(s * self.weight, kept)
        return [self.kernels.graph.symbol("Expand", [spread, self.kernels.graph.integers(*self.shape)], self.shape)]


class WrittenAlong:
    """A matrix (I, O) along one axis."""

    def __init__(self, kernels: GraphTensors, layer: Resampling, weights: Array) -> None:
        """Take the matrix."""
        self.kernels, self.axis, self.weights = kernels, layer.axis, weights

    def apply(self, inputs: Sequence[Symbol]) -> Symbol:
        return self._product(inputs[0], self.weights)

    def adjoint(self, s: Symbol) -> list[Symbol]:
        return [self._product(s, self.weights.T)]

    def _product(self, x: Symbol, matrix: Array) -> Symbol:
        order = [axis for axis in range(x.ndim) if axis != self.axis]
        last = self.kernels.transpose(x, (*order, self.axis))
        shape = (*last.shape[:-1], matrix.shape[1])
        product = self.kernels.graph.symbol("MatMul", [last, self.kernels.constant(matrix)], shape)
        return self.kernels.transpose(product, [(*order, self.axis).index(axis) for axis in range(x.ndim)])


class WrittenSum:
    """Σ_k w_k x_k with broadcasting; its adjoint sums over what was broadcast."""

    def __init__(self, kernels: GraphTensors, layer: Summation, weights: Array) -> None:
        """Take one weight for every summand."""
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
