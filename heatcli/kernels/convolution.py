"""Convolution and its adjoint as matrix products, for any number of spatial axes, groups, strides, dilations and pads.

The adjoint r of s is r[i] = Σ_place W_placeᵀ s[(i + pad − place·dilation) / stride] over the places where that is a
whole number inside s. Along the last axis ("across") the shifted copies of s that meet one result are gathered below
each other; the places of the other axes ("along") stand below each other in the weights. One matrix product then holds
every pair of places, and its parts are added to the rows of the result where they belong. A 3×3 kernel so costs three
copies and three additions in place of nine. A stride across leaves one such problem for every phase of the result:
r[phase], r[phase + stride], … meet the same places. All this goes block by block, so that what is between stays in the
cache. Cost: one multiply-add per weight and output position, as in the forward pass; memory: CACHE elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from heatcli.kernels.windows import Slices, shifted, shifts_of, stretches, within

Array = np.ndarray
Shape = tuple[int, ...]

CACHE = 1 << 20
"""How many elements the intermediate arrays may have together: 4 MiB of float32."""


@dataclass(frozen=True)
class _Phase:
    """Every ``stride``-th column of the result, from ``first`` on: ``shifts`` say which column of s meets column 0."""

    first: int
    length: int
    shifts: tuple[int, ...]
    weights: Array
    """(groups, places along · C/groups, places across · O/groups)."""


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
        self.weights, self.strides, self.dilations, self.pads = weights, strides, dilations, pads
        self.groups, self.size, self.output = groups, size, output
        self.kernel = weights.shape[2:]
        self.out_channels, self.in_channels = weights.shape[0] // groups, weights.shape[1]
        self.pointwise = math.prod(self.kernel) == 1 and size == output and all(s == 1 for s in strides)

    def apply(self, inputs: Sequence[Array]) -> Array:
        """Return W ∗ x, (N, O, *output)."""
        x = inputs[0]
        n, g, c = x.shape[0], self.groups, self.in_channels
        positions = math.prod(self.output)
        y = np.zeros((n, g, self.out_channels, positions), x.dtype)
        grouped = x.reshape(n, g, c, *self.size)
        for run in self._runs(n * positions):
            columns = np.zeros((n, g, len(run), c, *self.output), x.dtype)
            for row, (_, source, sink) in enumerate(run):
                columns[:, :, row][within(sink)] = grouped[within(source)]
            weights = self._forward_weights[:, :, run[0][0] : run[-1][0] + 1]
            y += np.matmul(weights.reshape(g, self.out_channels, -1), columns.reshape(n, g, len(run) * c, positions))
        return y.reshape(n, g * self.out_channels, *self.output)

    @cached_property
    def _forward_weights(self) -> Array:
        """Weights as (groups, O/groups, places, C/groups)."""
        grouped = self.weights.reshape(self.groups, self.out_channels, self.in_channels, -1)
        return np.ascontiguousarray(grouped.transpose(0, 1, 3, 2))

    def _runs(self, positions: int) -> list[list[tuple[int, Slices, Slices]]]:
        """Return the places of the kernel in runs whose common columns fit the cache."""
        each = self.groups * self.in_channels * positions
        length = max(1, CACHE // max(1, each))
        runs: list[list[tuple[int, Slices, Slices]]] = []
        for meeting in stretches(self.kernel, self.strides, self.dilations, self.pads, self.size, self.output):
            if runs and len(runs[-1]) < length and runs[-1][-1][0] == meeting[0] - 1:
                runs[-1].append(meeting)
            else:
                runs.append([meeting])
        return runs

    def arrange(self) -> None:
        """Arrange the weights for the adjoint."""
        if not self.pointwise:
            _ = self._phases

    def adjoint(self, s: Array) -> list[Array]:
        """Return Wᵀ ∗ s, (N, C, *size)."""
        n, g, c, o = s.shape[0], self.groups, self.in_channels, self.out_channels
        if self.pointwise:
            weights = self.weights.reshape(g, o, c).transpose(0, 2, 1)
            return [np.matmul(weights, s.reshape(n, g, o, -1)).reshape(n, g * c, *self.size)]
        _, strides, _, _, size, output = self._axes
        grouped = s.reshape(n, g, o, *output)
        r = np.zeros((n, g, c, *size), s.dtype)
        along = strides[:-1]
        lengths = [-(-length // stride) for length, stride in zip(size, along, strict=False)]
        for phase in self._phases:
            if max(strides) == 1:
                self._spread(phase, grouped, r.reshape(*along, *r.shape))
                continue
            planes = np.zeros((*along, n, g, c, *lengths, phase.length), s.dtype)
            self._spread(phase, grouped, planes)
            for firsts in itertools.product(*(range(stride) for stride in along)):
                strided = (
                    slice(first, None, stride) for first, stride in zip((*firsts, phase.first), strides, strict=True)
                )
                part = r[within(tuple(strided))]
                part[...] = planes[firsts][within(tuple(slice(length) for length in part.shape[3:]))]
        return [r.reshape(n, g * c, *self.size)]

    @cached_property
    def _axes(self) -> tuple[Shape, ...]:
        """Kernel, strides, dilations, pads, size and output, the last axis being the one across.

        Gathering copies O channels for every place across, adding takes along · C channels. Where C is that small, as
        in the layer that sees the picture, no axis is across: one of length 1 stands in.
        """
        axes = (self.kernel, self.strides, self.dilations, self.pads, self.size, self.output)
        if 2 * math.prod(self.kernel[:-1]) * self.in_channels <= self.out_channels:
            return tuple((*part, value) for part, value in zip(axes, (1, 1, 1, 0, 1, 1), strict=True))
        if len(self.kernel) == 1:
            return tuple((value, *part) for part, value in zip(axes, (1, 1, 1, 0, 1, 1), strict=True))
        return axes

    @cached_property
    def _along(self) -> list[tuple[int, Shape, Shape, Slices]]:
        """Every place along: its number, the plane of the result, where in that it begins, and the stretch of s."""
        strides = self._axes[1][:-1]
        places = []
        for place, sinks, sources in stretches(*(part[:-1] for part in self._axes)):
            firsts = tuple(sink.start % stride for sink, stride in zip(sinks, strides, strict=True))
            starts = tuple(sink.start // stride for sink, stride in zip(sinks, strides, strict=True))
            places.append((place, firsts, starts, sources))
        return places

    @cached_property
    def _phases(self) -> list[_Phase]:
        """The phases of the result that meet s anywhere, with the weights of their places."""
        kernel, stride, dilation, pad, size, output = (part[-1] for part in self._axes)
        met = [place for place, *_ in self._along]
        weights = self.weights.reshape(self.groups, self.out_channels, self.in_channels, -1, kernel)
        phases = []
        for first in range(min(stride, size)):
            length = len(range(first, size, stride))
            shifts = shifts_of(first, length, output, kernel, stride, dilation, pad)
            if shifts and met:
                turned = weights[:, :, :, met][..., list(shifts)].transpose(0, 3, 2, 4, 1)
                shape = (self.groups, len(met) * self.in_channels, len(shifts) * self.out_channels)
                phases.append(_Phase(first, length, tuple(shifts.values()), turned.reshape(shape)))
        return phases

    def _spread(self, phase: _Phase, s: Array, planes: Array) -> None:
        """Add the adjoint of s (N, groups, O/groups, *output) to the ``planes`` of one phase across.

        Planes are (*strides along, N, groups, C/groups, *lengths along, length): contiguous, whatever the strides.
        """
        for item, groups, rows in self._blocks(phase, len(s)):
            part = s[item, groups, :, rows]
            weights = phase.weights[groups]
            columns = _gather(part, phase).reshape(len(part), weights.shape[2], -1)
            # An outer product is no matter for BLAS, which takes ten times as long for it.
            product = weights * columns if weights.shape[2] == 1 else np.matmul(weights, columns)
            places = product.reshape(len(part), len(self._along), self.in_channels, *part.shape[2:-1], phase.length)
            for place, (_, firsts, (start, *starts), (source, *sources)) in enumerate(self._along):
                first, last = max(rows.start, source.start), min(rows.stop, source.stop)
                if first < last:
                    met = places[:, place][
                        within((slice(first - rows.start, last - rows.start), *sources, slice(None)))
                    ]
                    corner = (start + first - source.start, *starts)
                    there = (slice(q, q + length) for q, length in zip(corner, met.shape[2:], strict=False))
                    planes[firsts][item, groups][within((*there, slice(None)))] += met

    def _blocks(self, phase: _Phase, batch: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield item, groups and stretch of the first axis of s whose intermediate arrays fit the cache."""
        output = self._axes[-1]
        a_row = sum(phase.weights.shape[1:]) * phase.length * math.prod(output[1:-1])
        groups = max(1, min(self.groups, CACHE // (a_row * output[0])))
        rows = max(1, min(output[0], CACHE // a_row))
        for item, group, row in itertools.product(
            range(batch), range(0, self.groups, groups), range(0, output[0], rows)
        ):
            yield item, slice(group, min(group + groups, self.groups)), slice(row, min(row + rows, output[0]))


def _gather(s: Array, phase: _Phase) -> Array:
    """Return s (groups, O, …, W) shifted for every place across, (groups, places, O, …, length); zero outside s."""
    width, length = s.shape[-1], phase.length
    if phase.shifts == (0,) and width == length:
        return s
    columns = np.empty((len(s), len(phase.shifts), s.shape[1], math.prod(s.shape[2:-1]), length), s.dtype)
    lines = s.reshape(*s.shape[:2], -1, width)
    for place, shift in enumerate(phase.shifts):
        shifted(lines, shift, columns[:, place])
    return columns
