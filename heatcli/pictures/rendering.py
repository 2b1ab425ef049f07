"""From relevance to a picture: overlay, heatmap, side by side, contour; on the original picture, written as PNG."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
from PIL.Image import Image

from heatcli.errors import UsageError
from heatcli.pictures.colormaps import Colormap, colormap
from heatcli.pictures.contours import contour_lines
from heatcli.pictures.placement import Placement
from heatcli.pictures.saving import save_png

__all__ = ["STYLES", "full_colour", "render", "save_png"]

STYLES = ("overlay", "heatmap", "side-by-side", "contour")

PERCENTILE = 99.9
"""Relevance at this percentile of the map gets the strongest colour: a few extreme pixels must not hide the rest."""

BAND = 64
"""Rows that are coloured at a time: what is between stays in the cache, and large pictures need little memory."""

DIMMED = 0.35
"""How bright the picture stays where the network did not look."""


def render(
    heatmap: np.ndarray,
    picture: Image | None,
    placement: Placement | None,
    *,
    style: str = "overlay",
    colormap: str | None = None,
    scale: str | float = "per-image",
    signed: bool = False,
    size_like: str = "picture",
) -> Image:
    """Draw ``heatmap`` (h, w), relevance as the network sees it, as an RGB image.

    ``picture`` is the upright original and ``placement`` where the network looked; the result has the picture's size,
    and what the network did not see is dimmed. With ``size_like`` network it has the map's size and shows what the
    network saw. Without a picture there is only the map, whatever the style. ``style`` is one of ``STYLES``;
    ``colormap`` a name or string of ``colormaps``; ``scale`` the relevance that gets the strongest colour, per-image
    for ``full_colour``. Maps are drawn from zero upward, ``signed`` ones symmetrically about zero. A map that is zero
    everywhere shows nothing but the picture. Raises UsageError for unknown settings and maps that are no picture.
    """
    if style not in STYLES:
        raise UsageError(f"unknown style '{style}'; known: {', '.join(STYLES)}")
    if size_like not in ("picture", "network"):
        raise UsageError(f"unknown size '{size_like}'; known: picture, network")
    if heatmap.ndim != 2 or 0 in heatmap.shape:
        shape = "×".join(map(str, heatmap.shape))
        raise UsageError(f"relevance of shape {shape} is no picture and cannot be drawn; save it as .npy")
    relevance = np.where(np.isfinite(heatmap), heatmap, 0).astype(np.float32)
    if not signed:
        relevance = np.maximum(relevance, 0)
    paint = _paint(relevance, colormap, scale, signed, style)
    height, width = relevance.shape
    if picture is None or placement is None:
        return PIL.Image.fromarray(_coloured(relevance, paint))
    if size_like == "network":
        picture = Placement(placement.picture, (height, width), placement.box).view(picture)
        placement = Placement((height, width), (height, width), (0.0, 0.0, float(width), float(height)))
    laid = placement.to_picture(relevance)
    seen = np.asarray(picture.convert("RGB"))
    if style == "heatmap":
        drawn = _outside(_coloured(laid, paint), placement, towards=128)
    elif style == "overlay":
        drawn = _outside(_overlaid(laid, seen, paint), placement)
    elif style == "contour":
        drawn = _outside(contour_lines(relevance, placement, seen, paint.table), placement)
    else:
        drawn = _beside(_outside(seen, placement), _outside(_coloured(laid, paint), placement, towards=128))
    return PIL.Image.fromarray(drawn)


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


def _percentile(values: np.ndarray, percent: float) -> float:
    """Return what NumPy's function of this name does, which for its first use imports masked arrays."""
    place = percent / 100 * (values.size - 1)
    below, above = math.floor(place), math.ceil(place)
    ordered = np.partition(values.reshape(-1), (below, above))
    return float(ordered[below]) + (place - below) * float(ordered[above] - ordered[below])


@dataclass(frozen=True, eq=False)
class Paint:
    """How relevance becomes colour: the colour ``table`` (255, 3), ``full`` relevance for its end, signed or not."""

    table: np.ndarray
    full: float
    signed: bool

    def shades(self, relevance: np.ndarray) -> np.ndarray:
        """Return the relevance as a share of the full colour, −1…1, of the same shape."""
        if self.full < np.finfo(np.float32).tiny:
            return np.zeros_like(relevance)
        return np.clip(relevance / np.float32(self.full), -1, 1)

    def colours(self, shades: np.ndarray) -> np.ndarray:
        """Return the colours of ``shades`` (H, W) as (H, W, 3) uint8."""
        places = shades * 127 + 127 if self.signed else np.maximum(shades, 0) * 254
        return self.table[np.rint(places).astype(np.uint8)]


def _paint(relevance: np.ndarray, name: str | None, scale: str | float, signed: bool, style: str) -> Paint:
    if name is None:
        usual = "hot" if not signed else "seismic" if style in ("heatmap", "side-by-side") else "coldhot"
        chosen: Colormap = colormap(usual)
    else:
        chosen = colormap(name)
    if signed and chosen.diverging is False:
        raise UsageError(f"the colour map {chosen.name} starts at zero, but this map is signed; use seismic or bwr")
    return Paint(chosen.table if signed else chosen.positive, full_colour(relevance, scale), signed)


def _coloured(relevance: np.ndarray, paint: Paint) -> np.ndarray:
    drawn = np.empty((*relevance.shape, 3), np.uint8)
    for rows in _bands(len(drawn)):
        drawn[rows] = paint.colours(paint.shades(relevance[rows]))
    return drawn


def _overlaid(relevance: np.ndarray, picture: np.ndarray, paint: Paint) -> np.ndarray:
    """Lay the colours over the darkened picture, the more opaque the more relevance."""
    drawn = np.empty_like(picture)
    for rows in _bands(len(drawn)):
        shades = paint.shades(relevance[rows])
        opacity = (np.abs(shades) ** np.float32(0.6) * np.float32(0.95))[:, :, None]
        ground = _ground(picture[rows])
        colours = paint.colours(shades).astype(np.float32)
        drawn[rows] = np.rint(ground + opacity * (colours - ground))
    return drawn


def _ground(picture: np.ndarray) -> np.ndarray:
    """Return the picture mostly grey and darkened, float32, so that colours stand out on it."""
    pixels = picture.astype(np.float32)
    grey = pixels @ np.asarray([[0.299], [0.587], [0.114]], np.float32)
    return pixels * np.float32(0.2) + grey * np.float32(0.45)


def _outside(drawn: np.ndarray, placement: Placement, towards: int = 0) -> np.ndarray:
    """Dim what the network did not see, ``towards`` black or another grey; a copy where anything changes."""
    x0, y0, x1, y1 = placement.inside
    height, width = placement.picture
    if (x0, y0, x1, y1) == (0, 0, width, height):
        return drawn
    dimmed = (np.arange(256) * DIMMED + towards * (1 - DIMMED)).astype(np.uint8)[drawn]
    dimmed[y0:y1, x0:x1] = drawn[y0:y1, x0:x1]
    return dimmed


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    gap = np.full((len(left), max(2, left.shape[1] // 50), 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def _bands(height: int) -> list[slice]:
    return [slice(start, start + BAND) for start in range(0, height, BAND)]
