"""Sliding windows: which stretch of the input meets which stretch of the output at every place of the kernel.

Everything here loops over the places of the kernel (nine for 3×3) and never over pixels; what would lie in the padding
is cut from both stretches, so no padded copy is made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Ints = Sequence[int]
Slices = tuple[slice, ...]

CACHE = 1 << 18
"""How many elements elementwise work takes at once: 1 MiB of float32."""


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
    channels = s.reshape(-1, *s.shape[2:])
    total = np.empty((len(channels), *size), s.dtype)
    for block in blocks(len(channels), math.prod(size)):
        part = channels[block]
        for axis, window in enumerate(zip(kernel, strides, dilations, pads, size, strict=True), start=1):
            before, after = part.shape[:axis], part.shape[axis + 1 :]
            lines = part.reshape(math.prod(before), part.shape[axis], math.prod(after))
            part = _spread(lines, *window).reshape(*before, size[axis - 1], *after)
        total[block] = part
    return total.reshape(*s.shape[:2], *size)


def _spread(s: Array, kernel: int, stride: int, dilation: int, pad: int, size: int) -> Array:
    """Return the adjoint of a sum over windows of the middle axis, (before, size, after)."""
    before, output, after = s.shape
    total = np.empty((before, size, after), s.dtype)
    for first in range(min(stride, size)):
        length = len(range(first, size, stride))
        part = total if stride == 1 else np.empty((before, length, after), s.dtype)
        shifts = shifts_of(first, length, output, kernel, stride, dilation, pad).values()
        for turn, shift in enumerate(shifts):
            here = slice(max(0, -shift), min(length, output - shift))
            if turn == 0:
                part[:, : here.start] = 0
                part[:, here] = s[:, here.start + shift : here.stop + shift]
                part[:, here.stop :] = 0
            elif after == 1 and length == output:
                part += shifted(s[..., 0], shift, np.empty_like(part[..., 0]))[..., None]
            else:
                part[:, here] += s[:, here.start + shift : here.stop + shift]
        if not shifts:
            part[...] = 0
        if part is not total:
            total[:, first::stride] = part
    return total


def shifts_of(
    first: int, length: int, output: int, kernel: int, stride: int, dilation: int, pad: int
) -> dict[int, int]:
    """Return {place: shift} for the places of a 1-D kernel at which the inputs first, first + stride, … meet outputs.

    There are ``length`` such inputs; number q of them meets output q + shift.
    """
    met = {}
    for place in range(kernel):
        shift, rest = divmod(first + pad - place * dilation, stride)
        if rest == 0 and -length < shift < output:
            met[place] = shift
    return met


def shifted(s: Array, shift: int, out: Array) -> Array:
    """Return ``out`` (…, lines, length) with out[…, i] = s[…, i + shift], zero where that is outside s (…, lines, W).

    Lines of equal length are moved as one and what went round the corner is cleared: long copies are the fast ones.
    """
    width, length = s.shape[-1], out.shape[-1]
    first, last = max(0, -shift), min(length, width - shift)
    if width == length:
        whole, target = s.reshape(*s.shape[:-2], -1), out.reshape(*s.shape[:-2], -1)
        if shift < 0:
            target[..., -shift:] = whole[..., :shift]
        else:
            target[..., : target.shape[-1] - shift] = whole[..., shift:]
    else:
        out[..., first:last] = s[..., first + shift : last + shift]
    out[..., :first] = 0
    out[..., last:] = 0
    return out


def blocks(count: int, each: int) -> Iterator[slice]:
    """Yield stretches of ``count`` things of ``each`` elements that stay in the cache together."""
    length = max(1, CACHE // each)
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))


def _at(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)
