"""Convolution and its adjoint as matrix products, for any number of spatial axes, groups, strides, dilations and pads.

For every place of the kernel the adjoint is one matrix product, W_placeᵀ · s, added to a stretch of the result. Several
places share one product as long as their result stays in the cache: many small images win by it, large ones do not
lose. Cost: one multiply-add per weight and output position, as in the forward pass; memory: CACHE elements beside the
result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from heatcli.kernels.windows import Slices, stretches, within

Array = np.ndarray
Shape = tuple[int, ...]

CACHE = 1 << 19
"""How many elements an intermediate product may have: 2 MiB of float32, about one core's second-level cache."""


class ConvolutionMap:
    """y = W ∗ x for weights (O, C/groups, *kernel), x (N, C, *size), y (N, O, *output)."""

    def __init__(
        self,
        weights: Array,
        strides: Shape,
        dilations: Shape,
        pads: Shape,
        groups: int,
        size: Shape,
        output: Shape,
    ) -> None:
        """Settle which stretches of input and output meet; ``pads`` are those at the begin of each axis."""
        kernel = weights.shape[2:]
        self.groups, self.size, self.output = groups, size, output
        self.out_channels, self.in_channels = weights.shape[0] // groups, weights.shape[1]
        self.pointwise = math.prod(kernel) == 1 and size == output and all(s == 1 for s in strides)
        self.meetings = list(stretches(kernel, strides, dilations, pads, size, output))
        self.weights = weights

    @cached_property
    def _forward_weights(self) -> Array:
        """Weights as (groups, O/groups, places, C/groups)."""
        grouped = self.weights.reshape(self.groups, self.out_channels, self.in_channels, -1)
        return np.ascontiguousarray(grouped.transpose(0, 1, 3, 2))

    @cached_property
    def _backward_weights(self) -> Array:
        """Weights as (groups, places, C/groups, O/groups)."""
        grouped = self.weights.reshape(self.groups, self.out_channels, self.in_channels, -1)
        return np.ascontiguousarray(grouped.transpose(0, 3, 2, 1))

    def _batches(self, positions: int) -> list[list[tuple[int, Slices, Slices]]]:
        """Return the places of the kernel in runs whose common product fits the cache."""
        each = self.groups * self.in_channels * positions
        length = max(1, CACHE // max(1, each))
        runs: list[list[tuple[int, Slices, Slices]]] = []
        for meeting in self.meetings:
            if runs and len(runs[-1]) < length and runs[-1][-1][0] == meeting[0] - 1:
                runs[-1].append(meeting)
            else:
                runs.append([meeting])
        return runs

    def apply(self, inputs: Sequence[Array]) -> Array:
        """Return W ∗ x, (N, O, *output)."""
        x = inputs[0]
        n, g, c = x.shape[0], self.groups, self.in_channels
        positions = math.prod(self.output)
        y = np.zeros((n, g, self.out_channels, positions), x.dtype)
        grouped = x.reshape(n, g, c, *self.size)
        for run in self._batches(n * positions):
            columns = np.zeros((n, g, len(run), c, *self.output), x.dtype)
            for row, (_, source, sink) in enumerate(run):
                columns[:, :, row][within(sink)] = grouped[within(source)]
            weights = self._forward_weights[:, :, run[0][0] : run[-1][0] + 1]
            y += np.matmul(weights.reshape(g, self.out_channels, -1), columns.reshape(n, g, len(run) * c, positions))
        return y.reshape(n, g * self.out_channels, *self.output)

    def adjoint(self, s: Array) -> list[Array]:
        """Return Wᵀ ∗ s, (N, C, *size)."""
        n, g, c = s.shape[0], self.groups, self.in_channels
        positions = math.prod(self.output)
        grouped = s.reshape(n, g, self.out_channels, positions)
        if self.pointwise:
            weights = self.weights.reshape(g, self.out_channels, c).transpose(0, 2, 1)
            return [np.matmul(weights, grouped).reshape(n, g * c, *self.size)]
        r = np.zeros((n, g, c, *self.size), s.dtype)
        for run in self._batches(n * positions):
            weights = self._backward_weights[:, run[0][0] : run[-1][0] + 1].reshape(g, -1, self.out_channels)
            product = weights * grouped if self.out_channels == 1 else np.matmul(weights, grouped)
            places = product.reshape(n, g, len(run), c, *self.output)
            for row, (_, sink, source) in enumerate(run):
                r[within(sink)] += places[:, :, row][within(source)]
        return [r.reshape(n, g * c, *self.size)]
