"""Which element was the largest: the adjoints of maxima, the first of equals taking all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heatcli.kernels.windows import blocks, within
from heatcli.network.layers import Window

Array = np.ndarray


def largest_of_windows(x: Array, y: Array, r: Array, window: Window) -> Array:
    """Return ``r`` (N, C, *output) moved to the place of each window's maximum in ``x`` (N, C, *size).

    ``y`` is the max pool's output. Ties are frequent behind rectified layers; the first in row-major order wins, so
    that relevance is never doubled.
    """
    if len(x) < len(r):  # several classes of one picture
        return np.concatenate([largest_of_windows(x, y, r[k : k + 1], window) for k in range(len(r))])
    w = window
    moved = np.zeros(x.shape, r.dtype)
    axes = [
        _Axis(*values)
        for values in zip(w.kernel, w.strides, w.dilations, w.pads, x.shape[2:], y.shape[2:], strict=True)
    ]
    xs, ys, rs, sink = (array.reshape(-1, *array.shape[2:]) for array in (x, y, r, moved))
    for block in blocks(len(xs), math.prod(axis.length * axis.stride for axis in axes)):
        _move(xs[block], ys[block], rs[block], sink[block], axes)
    return moved


@dataclass(frozen=True)
class _Axis:
    """One axis of the windows, laid out so that every place of the kernel is a shift.

    Input i is element q of plane p with i + pad = stride · q + p, and all planes are ``length`` long; output o meets
    it at a place with place · dilation = stride · (q − o) + p.
    """

    kernel: int
    stride: int
    dilation: int
    pad: int
    size: int
    output: int

    @property
    def length(self) -> int:
        return self.output + (self.kernel - 1) * self.dilation // self.stride

    def meeting(self, plane: int) -> tuple[slice, slice]:
        """Return the stretches of the input and of a plane that hold the same elements."""
        first = max(0, -((plane - self.pad) // self.stride))
        start = first * self.stride + plane - self.pad
        count = max(0, min(self.length - first, -((start - self.size) // self.stride)))
        return slice(start, start + count * self.stride, self.stride), slice(first, first + count)


def _move(x: Array, y: Array, r: Array, moved: Array, axes: Sequence[_Axis]) -> None:
    """Write ``r`` (channels, *output) to the place of each window's maximum in ``moved`` (channels, *size)."""
    lengths = [axis.length for axis in axes]
    planes = list(itertools.product(*(range(axis.stride) for axis in axes)))
    meetings = [tuple(axis.meeting(p) for axis, p in zip(axes, plane, strict=True)) for plane in planes]
    laid = {plane: np.full((len(x), *lengths), np.nan, x.dtype) for plane in planes}
    sums = {plane: np.zeros(laid[plane].size, r.dtype) for plane in planes}
    for plane, met in zip(planes, meetings, strict=True):
        laid[plane][within(tuple(there for _, there in met))] = x[within(tuple(here for here, _ in met))]
    largest, left = np.zeros((len(x), *lengths), y.dtype), np.zeros((len(x), *lengths), r.dtype)
    outputs = within(tuple(slice(axis.output) for axis in axes))
    largest[outputs], left[outputs] = y, r
    bits = np.dtype(f"i{r.dtype.itemsize}")
    open_, won = np.ones(left.size, bool), np.empty(left.size, bool)
    mask, share, source = np.empty(left.size, bits), np.empty(left.size, r.dtype), left.reshape(-1).view(bits)
    begun = set[tuple[int, ...]]()
    for place in itertools.product(*(range(axis.kernel) for axis in axes)):
        steps = [divmod(p * axis.dilation, axis.stride) for p, axis in zip(place, axes, strict=True)]
        plane = tuple(rest for _, rest in steps)
        shift = int(np.ravel_multi_index([step for step, _ in steps], lengths))
        until = left.size - shift
        np.equal(laid[plane].reshape(-1)[shift:], largest.reshape(-1)[:until], out=won[:until])
        won[:until] &= open_[:until]
        open_[:until] ^= won[:until]
        np.copyto(mask[:until], np.negative(won[:until].view(np.int8)))  # all bits set, or none
        if shift == 0 and plane not in begun:  # as in windows that do not overlap, where every plane has one place
            np.bitwise_and(source, mask, out=sums[plane].view(bits))
        else:
            np.bitwise_and(source[:until], mask[:until], out=share.view(bits)[:until])
            sums[plane][shift:] += share[:until]
        begun.add(plane)
    for plane, met in zip(planes, meetings, strict=True):
        there = within(tuple(there for _, there in met))
        moved[within(tuple(here for here, _ in met))] = sums[plane].reshape(-1, *lengths)[there]


def largest_of_axes(x: Array, r: Array, axes: tuple[int, ...]) -> Array:
    """Return ``r`` moved to the place of the maximum of ``x`` over whole ``axes``, the first of equals."""
    others = [axis for axis in range(x.ndim) if axis not in axes]
    order = (*others, *axes)
    turned = x.transpose(order)
    flat = turned.reshape(*(x.shape[axis] for axis in others), -1)
    best = flat.argmax(axis=-1)[..., None] == np.arange(flat.shape[-1])
    whole = r.reshape(-1, *flat.shape[1:-1], 1) if others[:1] == [0] else r.reshape(*flat.shape[:-1], 1)
    moved = np.where(best, whole, r.dtype.type(0))
    return moved.reshape(*moved.shape[:-1], *turned.shape[len(others) :]).transpose(np.argsort(order))
