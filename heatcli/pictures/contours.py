"""Contour lines of relevance, each around the smallest area that holds a certain share of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heatcli.pictures.placement import Placement

SHARES = (0.75, 0.5, 0.25)
"""Each line encloses the smallest area that holds this share of the smoothed relevance."""

BAND = 512
"""Rows that are drawn at a time, so that large pictures need little memory."""

SMOOTHING = 0.03
"""Standard deviation of the smoothing as a share of the map's mean side."""


def smoothed(map: np.ndarray, sigma: float) -> np.ndarray:
    """Blur ``map`` (h, w) with a Gaussian of ``sigma`` map pixels, mirrored at the borders; its sum is kept."""
    height, width = map.shape
    return _gaussian(height, sigma) @ map @ _gaussian(width, sigma).T


def levels(map: np.ndarray, shares: tuple[float, ...] = SHARES) -> list[float]:
    """Return for every share the value above which the pixels of ``map`` (no negative ones) hold that share."""
    values = np.sort(map, axis=None)[::-1]
    held = np.cumsum(values, dtype=np.float64)
    if not held[-1] > 0:
        return []
    places = np.searchsorted(held, np.asarray(shares) * held[-1])
    return [float(values[min(place, values.size - 1)]) for place in places]


@dataclass(frozen=True, eq=False)
class Side:
    """The lines of one sign: where the ``blurred`` map (h, w), no negative ones, has ``levels``; ``colours`` (k, 3)."""

    sign: int
    blurred: np.ndarray
    levels: list[float]
    colours: np.ndarray


def sides(heatmap: np.ndarray, table: np.ndarray) -> list[Side]:
    """Return the positive lines of ``heatmap`` (h, w), then the negative ones if it has any; colours of ``table``."""
    found = []
    for sign, places in ((1, (160, 240)), (-1, (95, 15))):
        if sign > 0 or heatmap.min() < 0:
            blurred = smoothed(np.maximum(sign * heatmap, 0), SMOOTHING * sum(heatmap.shape) / 2)
            at = levels(blurred)
            found.append(Side(sign, blurred, at, table[np.linspace(*places, len(SHARES)).astype(int)][: len(at)]))
    return found


def contour_lines(heatmap: np.ndarray, placement: Placement, picture: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Draw contour lines of ``heatmap`` (h, w) on ``picture`` (H, W, 3) uint8; a new array of its shape.

    The colours come from ``table`` (255, 3), brighter for smaller areas; a signed map (diverging ``table`` or not) has
    its negative side drawn from the table's other end. All zero: the picture itself.
    """
    drawn = picture.copy()
    x0, y0, x1, y1 = placement.inside
    seen = drawn[y0:y1, x0:x1]  # a line around the edge of what the network saw would mean nothing
    thickness = max(1.0, min(picture.shape[:2]) / 250)
    for side in sides(heatmap, table):
        laid = placement.to_picture(side.blurred)[y0:y1, x0:x1]
        for start in range(0, len(laid), BAND):
            before, rows = min(start, 1), slice(start, start + BAND)
            slope = _slope(laid[start - before : start + BAND + 1])[before : before + BAND]
            _draw(seen[rows], laid[rows], slope, side.levels, side.colours, thickness)
    return drawn


def _slope(laid: np.ndarray) -> np.ndarray:
    """Return the length of the gradient per pixel, (H, W) float32, nowhere zero."""
    down, across = (np.gradient(laid, axis=axis) if laid.shape[axis] > 1 else np.zeros_like(laid) for axis in (0, 1))
    return np.hypot(down, across) + np.float32(1e-30)


def _draw(
    drawn: np.ndarray, laid: np.ndarray, slope: np.ndarray, at: list[float], colours: np.ndarray, thickness: float
) -> None:
    """Draw one line a level into ``drawn`` (H, W, 3), ``thickness`` pixels wide on a dark seam, with smooth edges.

    The distance to a line is the difference to its level over the slope.
    """
    for level, colour in zip(at, colours, strict=True):
        distance = np.abs(laid - np.float32(level)) / slope
        near = distance < thickness + 1
        away, pixels = distance[near], drawn[near].astype(np.float32)
        for reach, ink, strength in ((thickness + 1, np.zeros(3), 0.6), (thickness / 2 + 0.5, colour, 1.0)):
            opacity = (np.clip(reach - away, 0, 1) * strength)[:, None]
            pixels += opacity * (ink.astype(np.float32) - pixels)
        drawn[near] = np.rint(pixels).astype(np.uint8)


def _gaussian(length: int, sigma: float) -> np.ndarray:
    """Return the matrix (length, length) that blurs along one axis, mirrored at both ends; its columns sum to 1."""
    target, source = np.arange(length)[:, None], np.arange(length)[None]
    distances = np.stack([target - source, target + source + 1, 2 * length - 1 - target - source])
    weights = np.exp(-0.5 * (distances / max(sigma, 1e-3)) ** 2).sum(axis=0)
    return weights / weights.sum(axis=0, keepdims=True)
