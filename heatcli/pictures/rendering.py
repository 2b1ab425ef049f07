"""From relevance to a picture: overlay, heatmap, side by side, contour; on the original picture, written as PNG."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.Image import Image

from heatcli.errors import UsageError
from heatcli.pictures.colour_bar import ends, line_bar, scale_bar, with_bar
from heatcli.pictures.contours import SHARES, contour_lines, sides
from heatcli.pictures.paint import Paint, coloured, full_colour, overlaid, paint_of
from heatcli.pictures.placement import Placement
from heatcli.pictures.saving import save_png

__all__ = ["STYLES", "full_colour", "render", "save_png"]

STYLES = ("overlay", "heatmap", "side-by-side", "contour")

CAPTION = "relevance of an input pixel"
LINES_CAPTION = f"{CAPTION}, smoothed, on the lines around {', '.join(f'{share:.0%}' for share in SHARES)} of it"

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
    colorbar: bool = False,
) -> Image:
    """Draw ``heatmap`` (h, w), relevance as the network sees it, as an RGB image.

    ``picture`` is the upright original and ``placement`` where the network looked; the result has the picture's size,
    and what the network did not see is dimmed. With ``size_like`` network it has the map's size and shows what the
    network saw. Without a picture there is only the map, whatever the style. ``style`` is one of ``STYLES``;
    ``colormap`` a name or string of ``colormaps``; ``scale`` the relevance that gets the strongest colour, per-image
    for ``full_colour``. Maps are drawn from zero upward, ``signed`` ones symmetrically about zero. A map that is zero
    everywhere shows nothing but the picture. ``colorbar`` adds a strip below with a bar of the colours and its
    numbers, the relevance of one pixel of the network's input; the rest stays as it is. Raises UsageError for unknown
    settings and maps that are no picture.
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
        image = PIL.Image.fromarray(coloured(relevance, paint))
        return _with_bar(image, relevance, paint, "heatmap", 0) if colorbar else image
    if size_like == "network":
        picture = Placement(placement.picture, (height, width), placement.box).view(picture)
        placement = Placement((height, width), (height, width), (0.0, 0.0, float(width), float(height)))
    laid = placement.to_picture(relevance)
    seen = np.asarray(picture.convert("RGB"))
    if style == "heatmap":
        drawn = _outside(coloured(laid, paint), placement, towards=128)
    elif style == "overlay":
        drawn = _outside(overlaid(laid, seen, paint), placement)
    elif style == "contour":
        drawn = _outside(contour_lines(relevance, placement, seen, paint.table), placement)
    else:
        drawn = _beside(_outside(seen, placement), _outside(coloured(laid, paint), placement, towards=128))
    image = PIL.Image.fromarray(drawn)
    return _with_bar(image, relevance, paint, style, image.width - placement.picture[1]) if colorbar else image


def _paint(relevance: np.ndarray, name: str | None, scale: str | float, signed: bool, style: str) -> Paint:
    if name is None:
        name = "hot" if not signed else "seismic" if style in ("heatmap", "side-by-side") else "coldhot"
    return paint_of(name, full_colour(relevance, scale), signed=signed)


def _with_bar(image: Image, relevance: np.ndarray, paint: Paint, style: str, left: int) -> Image:
    """Draw the bar below ``image``, whose map in this ``style`` begins at x = ``left``."""
    if style != "contour":
        bar = None if paint.blank else scale_bar(paint, *ends(paint, relevance), blended=style == "overlay")
        return with_bar(image, left, bar, CAPTION, empty=paint.blank or not relevance.any())
    values: list[float] = []
    colours: list[np.ndarray] = []
    for side in sides(relevance, paint.table):  # each from zero outward
        values = [side.sign * level for level in side.levels][:: side.sign] + values
        colours = [*side.colours[:: side.sign], *colours]
    return with_bar(image, left, line_bar(values, np.asarray(colours)) if values else None, LINES_CAPTION)


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
