"""``apply`` and ``adjoint`` of every linear layer, with its own weights or any part of them.

A linear layer takes some inputs (one, or several for a sum) to one output; its adjoint takes a tensor of the output's
shape back to one tensor per input. Weights are brought into the form that a matrix product needs once, when the map is
made. Adding a linear operation is adding its map here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from heatcli.kernels.convolution import ConvolutionMap
from heatcli.kernels.protocol import LinearMap
from heatcli.kernels.terms import WeightPart, WeightParts
from heatcli.kernels.windows import window_spread, window_sum
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


def linear_map(
    layer: Layer, part: WeightPart, shapes: Sequence[Shape], output: Shape, parts: WeightParts
) -> LinearMap | None:
    """Return the map of ``layer`` with ``part`` of its weights, or None where that part is zero everywhere.

    ``shapes`` are the shapes of all its operands and ``output`` that of its output, each with the batch axis.
    """
    values = parts.get(layer, part)
    return None if values is None else make(layer, values, shapes, output)


@singledispatch
def make(layer: Layer, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    """Make the map of one kind of layer with these ``weights``."""
    raise TypeError(f"{type(layer).__name__} is no linear layer")


@make.register
def _(layer: Convolution, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return ConvolutionMap(weights, layer.strides, layer.dilations, layer.pads, layer.groups, shapes[0][2:], output[2:])


@make.register
def _(layer: TransposedConvolution, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Transposed(
        ConvolutionMap(weights, layer.strides, layer.dilations, layer.pads, layer.groups, output[2:], shapes[0][2:])
    )


@make.register
def _(layer: Dense, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Dense(weights)


@make.register
def _(layer: StackedDense, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Stack(weights, shapes[0], output)


@make.register
def _(layer: AveragePooling, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Windows(layer.window, weights, shapes[0][2:], output[2:])


@make.register
def _(layer: MaxPooling, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    """Make the sum over each window: what proportional max pooling divides by (paper 5.2)."""
    return _Windows(layer.window, weights, shapes[0][2:], output[2:])


@make.register(Reduction)
@make.register(MaxReduction)
def _(layer: Reduction | MaxReduction, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Axes(layer.axes, weights.reshape(()), shapes[0], output)


@make.register
def _(layer: Resampling, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Along(weights, layer.axis)


@make.register
def _(layer: Summation, weights: Array, shapes: Sequence[Shape], output: Shape) -> LinearMap:
    return _Sum(weights, shapes, output)


class _Transposed:
    """The same map read backwards."""

    def __init__(self, inner: ConvolutionMap) -> None:
        self.inner = inner

    def apply(self, inputs: Sequence[Array]) -> Array:
        return self.inner.adjoint(inputs[0])[0]

    def adjoint(self, s: Array) -> list[Array]:
        return [self.inner.apply([s])]


class _Dense:
    """x (..., I) times a matrix (I, O)."""

    def __init__(self, weights: Array) -> None:
        self.weights = weights

    def apply(self, inputs: Sequence[Array]) -> Array:
        return np.matmul(inputs[0], self.weights)

    def adjoint(self, s: Array) -> list[Array]:
        return [np.matmul(s, self.weights.T)]


class _Stack:
    """x (..., P, I) times a stack of matrices (..., I, O); its adjoint sums over what was broadcast."""

    def __init__(self, weights: Array, shape: Shape, output: Shape) -> None:
        self.weights, self.shape, self.output = weights, shape, output

    def apply(self, inputs: Sequence[Array]) -> Array:
        return np.matmul(inputs[0], self.weights)

    def adjoint(self, s: Array) -> list[Array]:
        shape = self.shape if s.shape[0] == self.output[0] else (s.shape[0], *self.shape[1:])
        return [unbroadcast(np.matmul(s, np.swapaxes(self.weights, -1, -2)), shape)]


class _Windows:
    """The sum over each window times a weight that may depend on the output position."""

    def __init__(self, window: Window, weights: Array, size: Shape, output: Shape) -> None:
        self.window, self.weights, self.size, self.output = window, weights, size, output

    def apply(self, inputs: Sequence[Array]) -> Array:
        w = self.window
        return window_sum(inputs[0], w.kernel, w.strides, w.dilations, w.pads, self.output) * self.weights

    def adjoint(self, s: Array) -> list[Array]:
        w = self.window
        return [window_spread(s * self.weights, w.kernel, w.strides, w.dilations, w.pads, self.size)]


class _Axes:
    """The sum over whole axes times one weight."""

    def __init__(self, axes: tuple[int, ...], weight: Array, shape: Shape, output: Shape) -> None:
        self.axes, self.weight, self.shape, self.output = axes, weight, shape, output
        self.kept = tuple(1 if axis in axes else length for axis, length in enumerate(shape))

    def apply(self, inputs: Sequence[Array]) -> Array:
        return inputs[0].sum(axis=self.axes).reshape(self.output) * self.weight

    def adjoint(self, s: Array) -> list[Array]:
        kept, shape = self.kept, self.shape
        if shape and 0 not in self.axes:  # the batch, of whatever length
            kept, shape = (s.shape[0], *kept[1:]), (s.shape[0], *shape[1:])
        return [np.broadcast_to((s * self.weight).reshape(kept), shape).copy()]


class _Along:
    """A matrix (I, O) along one axis."""

    def __init__(self, weights: Array, axis: int) -> None:
        self.weights, self.axis = weights, axis

    def apply(self, inputs: Sequence[Array]) -> Array:
        return self._product(inputs[0], self.weights)

    def adjoint(self, s: Array) -> list[Array]:
        return [self._product(s, self.weights.T)]

    def _product(self, x: Array, matrix: Array) -> Array:
        return np.moveaxis(np.matmul(np.moveaxis(x, self.axis, -1), matrix), -1, self.axis)


class _Sum:
    """Σ_k w_k x_k with broadcasting; its adjoint sums over what was broadcast."""

    def __init__(self, weights: Array, shapes: Sequence[Shape], output: Shape) -> None:
        self.weights, self.output = weights, output
        self.shapes = shapes

    def apply(self, inputs: Sequence[Array]) -> Array:
        total = inputs[0] * self.weights[0]
        for x, weight in zip(inputs[1:], self.weights[1:], strict=True):
            total = total + x * weight
        return np.asarray(total)

    def adjoint(self, s: Array) -> list[Array]:
        """Return one tensor a summand, each with the batch of ``s``."""
        shapes = self.shapes
        if s.shape[:1] != self.output[:1]:
            shapes = [(s.shape[0], *shape[1:]) for shape in shapes]
        return [
            unbroadcast(s if weight == 1 else s * weight, shape)
            for weight, shape in zip(self.weights, shapes, strict=True)
        ]


def unbroadcast(s: Array, shape: Shape) -> Array:
    """Return the adjoint of broadcasting ``shape`` to the shape of ``s``: sums over what was repeated."""
    if s.shape == tuple(shape):
        return s
    lead = s.ndim - len(shape)
    repeated = tuple(range(lead)) + tuple(
        axis + lead for axis, length in enumerate(shape) if length == 1 and s.shape[axis + lead] > 1
    )
    return s.sum(axis=repeated).reshape(shape) if repeated else s.reshape(shape)
