"""The kernels written as ONNX nodes: onnxruntime computes denominators beside the forward pass, or the whole walk.

Only operations of the default domain up to opset 17 are used, and attributes that every runtime knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatchmethod
from typing import Any

import numpy as np

from heatcli.kernels.protocol import SMALLEST, LinearMap, Product, Quotient, Tensor, whole
from heatcli.kernels.symbols import Symbol
from heatcli.kernels.terms import WeightPart
from heatcli.kernels.written_maps import (
    WrittenAlong,
    WrittenAxes,
    WrittenConvolution,
    WrittenDense,
    WrittenStack,
    WrittenSum,
    WrittenTransposed,
    WrittenWindows,
)
from heatcli.kernels.written_selection import SMALL_WINDOW, apart_from_another, largest_by_marks, largest_by_places
from heatcli.kernels.written_tensors import GraphTensors
from heatcli.network.layers import (
    AveragePooling,
    Convolution,
    Dense,
    Layer,
    MaxPooling,
    MaxReduction,
    Reduction,
    Resampling,
    StackedDense,
    Summation,
    TransposedConvolution,
    Window,
)

Array = np.ndarray
Shape = tuple[int, ...]
Ints = Sequence[int]


class GraphKernels(GraphTensors):
    """The kernels on symbols: maps, quotients and maxima of tensors in a graph."""

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
        return WrittenConvolution(self, layer, part)

    @_map.register
    def _(self, layer: TransposedConvolution, part: WeightPart) -> LinearMap:
        return WrittenTransposed(WrittenConvolution(self, layer, part))

    @_map.register
    def _(self, layer: Dense, part: WeightPart) -> LinearMap:
        return WrittenDense(self, layer, part)

    @_map.register
    def _(self, layer: StackedDense, part: WeightPart) -> LinearMap:
        return WrittenStack(self, layer, part)

    @_map.register(AveragePooling)
    @_map.register(MaxPooling)
    def _(self, layer: AveragePooling | MaxPooling, part: WeightPart) -> LinearMap:
        return WrittenWindows(self, layer, _fixed(layer, part))

    @_map.register(Reduction)
    @_map.register(MaxReduction)
    def _(self, layer: Reduction | MaxReduction, part: WeightPart) -> LinearMap:
        return WrittenAxes(self, layer, float(_fixed(layer, part).reshape(())))

    @_map.register
    def _(self, layer: Resampling, part: WeightPart) -> LinearMap:
        return WrittenAlong(self, layer, _fixed(layer, part))

    @_map.register
    def _(self, layer: Summation, part: WeightPart) -> LinearMap:
        return WrittenSum(self, layer, _fixed(layer, part))

    # sums and quotients -----------------------------------------------------------------------------------------------

    def divide(self, r: Tensor, z: Tensor, epsilon: float, *, lossless: bool = False) -> Quotient:
        if lossless:
            return Quotient(_divided(r, z), None, None)
        added: Tensor | None = None
        if epsilon:
            added = np.where(z >= 0.0, epsilon, -epsilon)
            z = z + added
        nothing = (np.abs(z) <= SMALLEST) * 1.0  # choosing by condition is slow in onnxruntime, products are not
        if isinstance(r, Product):
            missed = Product(r.a * nothing, r.c)
            r = Product(r.a - missed.a, r.c)
        else:
            missed = r * nothing
            r = r - missed
        return Quotient(_divided(r, z + nothing), whole(missed), added)

    def kept(self, r: Tensor, condition: Tensor) -> Tensor:
        return np.where(condition, r, 0.0)

    def sum_of_products(self, one: Product, other: Product) -> Symbol:
        both: Symbol = whole(one) + whole(other)
        return both

    def total(self, r: Tensor) -> Symbol:
        r = whole(r)
        axes = tuple(range(1 if self.batched else 0, r.ndim))
        if not axes:
            return r
        total = self.graph.symbol(
            "ReduceSum", [r, self.graph.integers(*axes)], (1,) if self.batched else (), keepdims=0
        )
        return total if self.batched else self.graph.symbol("Reshape", [total, self.graph.integers(1)], (1,))

    def total_product(self, s: Symbol, c: Symbol) -> Symbol:
        shape = (1,) * (s.ndim - c.ndim) + c.shape
        same = tuple(axis for axis in range(int(self.batched), s.ndim) if shape[axis] == 1)
        return self.total(self.sums(s, same) * c)

    def finite(self, x: Tensor) -> Tensor:
        return np.where(np.abs(x) < np.inf, x, 0.0)

    def mean(self, x: Symbol, axes: tuple[int, ...]) -> Symbol:
        count = math.prod(x.shape[axis] for axis in axes)
        average: Symbol = self.sums(x, axes) * (1 / count)
        return average

    def near_channels(self, x: Symbol, before: int, after: int) -> Symbol:
        places = np.arange(x.shape[1])
        apart = places[None, :] - places[:, None]
        band = ((apart >= -before) & (apart <= after)).astype(np.float32)
        return self.graph.symbol("Conv", [x, self.constant(band.reshape(*band.shape, *(1,) * (x.ndim - 2)))], x.shape)

    # the largest ------------------------------------------------------------------------------------------------------

    def largest_of_windows(self, x: Symbol, y: Symbol, r: Symbol, window: Window) -> Symbol:
        small = math.prod(window.kernel) <= SMALL_WINDOW
        if small and apart_from_another(window, x.shape[2:], r.shape[2:]):
            return largest_by_marks(self, x, y, r, window)
        return largest_by_places(self, x, r, window)

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


def _divided(r: Tensor, z: Tensor) -> Tensor:
    """Return r / z; of a product the factor that is known after the forward pass, once for all explanations."""
    return r.c * (r.a / z) if isinstance(r, Product) else r / z


def _fixed(layer: Any, part: WeightPart) -> Array:
    return part.of(np.asarray(getattr(layer, "weights", np.ones(1)), np.float32))
