"""Maps averaged along their sides: every window is a small matrix, so no pixel is visited one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Window = Callable[[int], Array]
"""Returns, for a side of n pixels, the (n, n) float64 matrix whose rows are what each pixel takes of all."""


def box(width: int) -> Window:
    """Return the window that adds up ``width`` pixels, half of them on either side; beyond the border is nothing."""

    def matrix(side: int) -> Array:
        return (np.abs(_distances(side)) <= width // 2).astype(np.float64)

    return matrix


def gaussian(sigma: float) -> Window:
    """Return the window exp(−d²/2σ²) at distance d; what it takes adds up to one, at the border too."""

    def matrix(side: int) -> Array:
        weights = np.exp(-0.5 * (_distances(side) / sigma) ** 2)
        return weights / weights.sum(axis=1, keepdims=True)

    return matrix


def smoothed(values: Array, window: Window, axes: Sequence[int] | None = None) -> Array:
    """Return ``values`` with ``window`` run along ``axes`` (None: all), one after the other; float64, same shape."""
    found = np.asarray(values, np.float64)
    for axis in range(found.ndim) if axes is None else axes:
        found = np.moveaxis(np.tensordot(window(found.shape[axis]), found, (1, axis)), 0, axis)
    return found


def _distances(side: int) -> Array:
    places = np.arange(side)
    return places[:, None] - places[None, :]
