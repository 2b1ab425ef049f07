"""Sliding windows: which stretch of the input meets which stretch of the output at every place of the kernel.

Everything here loops over the places of the kernel (nine for 3×3) and never over pixels; what would lie in the padding
is cut from both stretches, so no padded copy is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Ints = Sequence[int]
Slices = tuple[slice, ...]


def stretch(place: int, size: int, output: int, stride: int, pad: int) -> tuple[slice, slice] | None:
    """Return the slices of input and output that meet at one place of a 1-D kernel, None where none do.

    ``place`` is the kernel index times the dilation; output o meets input o·stride + place − pad.
    """
    first = max(0, -((place - pad) // stride)) if place < pad else 0
    last = min(output, (size - 1 - place + pad) // stride + 1)
    if last <= first:
        return None
    start = first * stride + place - pad
    return slice(start, start + (last - first - 1) * stride + 1, stride), slice(first, last)


def within(part: Slices) -> Any:
    """Return the index of a stretch of the last axes, whatever axes stand before them."""
    return (..., *part)


def stretches(
    kernel: Ints, strides: Ints, dilations: Ints, pads: Ints, size: Ints, output: Ints
) -> Iterator[tuple[int, Slices, Slices]]:
    """Yield (place, input slices, output slices) for every place of an n-D kernel, in row-major order."""
    for index, position in enumerate(itertools.product(*(range(length) for length in kernel))):
        pairs = [
            stretch(p * d, n, o, s, pad)
            for p, d, n, o, s, pad in zip(position, dilations, size, output, strides, pads, strict=True)
        ]
        met = [pair for pair in pairs if pair is not None]
        if len(met) == len(pairs):
            yield index, tuple(pair[0] for pair in met), tuple(pair[1] for pair in met)


def window_sum(x: Array, kernel: Ints, strides: Ints, dilations: Ints, pads: Ints, output: Ints) -> Array:
    """Return the sum of ``x`` (N, C, *size) over each window, (N, C, *output); one axis after the other."""
    for axis, (k, s, d, pad, o) in enumerate(zip(kernel, strides, dilations, pads, output, strict=True), start=2):
        total = np.zeros((*x.shape[:axis], o, *x.shape[axis + 1 :]), x.dtype)
        for place in range(k):
            pair = stretch(place * d, x.shape[axis], o, s, pad)
            if pair is not None:
                total[_at(axis, pair[1])] += x[_at(axis, pair[0])]
        x = total
    return x


def window_spread(s: Array, kernel: Ints, strides: Ints, dilations: Ints, pads: Ints, size: Ints) -> Array:
    """Return the adjoint of ``window_sum``: every output's value added to all inputs of its window, (N, C, *size)."""
    for axis, (k, step, d, pad, n) in enumerate(zip(kernel, strides, dilations, pads, size, strict=True), start=2):
        total = np.zeros((*s.shape[:axis], n, *s.shape[axis + 1 :]), s.dtype)
        for place in range(k):
            pair = stretch(place * d, n, s.shape[axis], step, pad)
            if pair is not None:
                total[_at(axis, pair[0])] += s[_at(axis, pair[1])]
        s = total
    return s


def _at(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)
