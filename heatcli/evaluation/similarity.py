"""How alike two maps are: by the order of their values (Spearman), and by their local structure (SSIM)."""

from __future__ import annotations

import numpy as np

from heatcli.evaluation.smoothing import gaussian, smoothed

Array = np.ndarray


def ranks(values: Array) -> Array:
    """Return the rank of every one of ``values``, 1 for the smallest; equal values share the mean of their ranks."""
    _, place, counts = np.unique(np.asarray(values).reshape(-1), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place.reshape(-1)]


def spearman(a: Array, b: Array) -> float:
    """Return Spearman's rank correlation of two maps of one shape, −1 to 1; NaN where one of them is constant.

    ρ is Pearson's correlation of the ranks, with ties at their mean rank.
    """
    one, other = (rank - rank.mean() for rank in (ranks(a), ranks(b)))
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norm if norm else float("nan")


def ssim(a: Array, b: Array) -> float:
    """Return the mean structural similarity of two maps of one shape, each scaled to 0–1 by its largest value.

    Wang, Bovik, Sheikh & Simoncelli 2004: windows are Gaussian with σ = 1.5, C1 = 0.01², C2 = 0.03². NaN where a map
    is zero everywhere.
    """
    if not np.any(a) or not np.any(b):
        return float("nan")
    x, y = (np.asarray(entry, np.float64) / np.abs(entry).max() for entry in (a, b))
    window = gaussian(1.5)
    mean_x, mean_y = smoothed(x, window), smoothed(y, window)
    var_x, var_y = smoothed(x * x, window) - mean_x**2, smoothed(y * y, window) - mean_y**2
    both = smoothed(x * y, window) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float((likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())
