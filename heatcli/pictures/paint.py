"""How relevance becomes colour: which gets the strongest one, the table of colours, the blend on a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heatcli.errors import UsageError
from heatcli.pictures.colormaps import colormap

PERCENTILE = 99.9
"""Relevance at this percentile of the map gets the strongest colour: a few extreme pixels must not hide the rest."""

BAND = 64
"""Rows that are coloured at a time: what is between stays in the cache, and large pictures need little memory."""


@dataclass(frozen=True, eq=False)
class Paint:
    """The colour ``table`` (255, 3) uint8, the relevance ``full`` that gets its end, and whether zero is its middle.

    ``full`` is 0 for a map without relevance.
    """

    table: np.ndarray
    full: float
    signed: bool

    @property
    def blank(self) -> bool:
        """Whether all relevance has the colour of zero: ``full`` is too small to divide by."""
        return self.full < float(np.finfo(np.float32).tiny)

    def shades(self, relevance: np.ndarray) -> np.ndarray:
        """Return the relevance as a share of the full colour, −1…1, of the same shape."""
        if self.blank:
            return np.zeros_like(relevance)
        return np.clip(relevance / np.float32(self.full), -1, 1)

    def colours(self, shades: np.ndarray) -> np.ndarray:
        """Return the colours of ``shades`` (H, W) as (H, W, 3) uint8."""
        places = shades * 127 + 127 if self.signed else np.maximum(shades, 0) * 254
        return self.table[np.rint(places).astype(np.uint8)]

    def blended(self, shades: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """Lay the colours of ``shades`` (H, W) over the darkened ``picture`` (H, W, 3): uint8, opaque by relevance."""
        opacity = (np.abs(shades) ** np.float32(0.6) * np.float32(0.95))[:, :, None]
        ground = _ground(picture)
        colours = self.colours(shades).astype(np.float32)
        return np.rint(ground + opacity * (colours - ground)).astype(np.uint8)


def paint_of(name: str, full: float, *, signed: bool) -> Paint:
    """Return the paint of the colour map ``name``; UsageError where it starts at zero and the map is ``signed``."""
    chosen = colormap(name)
    if signed and chosen.diverging is False:
        raise UsageError(f"the colour map {chosen.name} starts at zero, but this map is signed; use seismic or bwr")
    return Paint(chosen.table if signed else chosen.positive, full, signed)


def full_colour(heatmap: np.ndarray, scale: str | float = "per-image") -> float:
    """Return the absolute relevance that gets the strongest colour: ``scale`` itself where it is a number.

    ``per-image`` is the 99.9th percentile of the map's absolute values, or their maximum where that is zero. Raises
    UsageError for anything that is no positive number.
    """
    if scale == "per-image":
        sizes = np.abs(heatmap)
        return _percentile(sizes, PERCENTILE) or float(sizes.max())
    try:
        value = float(scale)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"the scale '{scale}' is neither per-image nor a positive number")
    return value


def coloured(relevance: np.ndarray, paint: Paint) -> np.ndarray:
    """Return ``relevance`` (H, W) in colours, (H, W, 3) uint8."""
    drawn = np.empty((*relevance.shape, 3), np.uint8)
    for rows in _bands(len(drawn)):
        drawn[rows] = paint.colours(paint.shades(relevance[rows]))
    return drawn


def overlaid(relevance: np.ndarray, picture: np.ndarray, paint: Paint) -> np.ndarray:
    """Lay the colours of ``relevance`` (H, W) over ``picture`` (H, W, 3) uint8; a new array of its shape."""
    drawn = np.empty_like(picture)
    for rows in _bands(len(drawn)):
        drawn[rows] = paint.blended(paint.shades(relevance[rows]), picture[rows])
    return drawn


def _ground(picture: np.ndarray) -> np.ndarray:
    """Return the picture mostly grey and darkened, float32, so that colours stand out on it."""
    pixels = picture.astype(np.float32)
    grey = pixels @ np.asarray([[0.299], [0.587], [0.114]], np.float32)
    return pixels * np.float32(0.2) + grey * np.float32(0.45)


def _percentile(values: np.ndarray, percent: float) -> float:
    """Return what NumPy's function of this name does, which for its first use imports masked arrays."""
    place = percent / 100 * (values.size - 1)
    below, above = math.floor(place), math.ceil(place)
    ordered = np.partition(values.reshape(-1), (below, above))
    return float(ordered[below]) + (place - below) * float(ordered[above] - ordered[below])


def _bands(height: int) -> list[slice]:
    return [slice(start, start + BAND) for start in range(0, height, BAND)]
