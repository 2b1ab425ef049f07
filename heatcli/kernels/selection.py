"""Which element was the largest: the adjoints of maxima, the first of equals taking all."""

from __future__ import annotations

import numpy as np

from heatcli.kernels.windows import stretches, within
from heatcli.network.layers import Window

Array = np.ndarray


def largest_of_windows(x: Array, y: Array, r: Array, window: Window) -> Array:
    """Return ``r`` (N, C, *output) moved to the place of each window's maximum in ``x`` (N, C, *size).

    ``y`` is the max pool's output. Ties are frequent behind rectified layers; the first in row-major order wins, so
    that relevance is never doubled.
    """
    moved = np.zeros((len(r), *x.shape[1:]), r.dtype)
    left = r.copy()
    w = window
    for _, source, sink in stretches(w.kernel, w.strides, w.dilations, w.pads, x.shape[2:], y.shape[2:]):
        open_, target = left[within(sink)], moved[within(source)]
        won = np.where(x[within(source)] == y[within(sink)], open_, 0)
        target += won
        open_ -= won
    return moved


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
