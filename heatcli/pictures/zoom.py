"""A map at the network's full resolution, a region of it enlarged, the picture beside both (the paper's Fig. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
from PIL.Image import Image, Resampling

from heatcli.errors import UsageError
from heatcli.pictures.grid import Maps, colour_bar, coloured, enlarged, finite, letters_for, usual_colormap
from heatcli.pictures.sheet import Sheet

PANEL = 448
"""The longer side of a panel in pixels, about: whole map and region are enlarged by whole factors."""
PART = 3
"""A region that is looked for is this part of each side."""
SLACK = 0.15
"""Where this much is lacking to a whole factor it is taken, and the region loses a part of its outermost pixels."""


class Region(NamedTuple):
    """A rectangle of a map in its pixels: left and upper corner, width and height."""

    x: int
    y: int
    width: int
    height: int


def busiest(map: np.ndarray, part: int = PART) -> Region:
    """Return the region, a ``part`` of each side of ``map`` (H, W), that holds most relevance, negative by its size.

    The first in reading order, where several hold the same.
    """
    sizes = np.abs(finite(map)).astype(np.float64)
    height, width = (max(1, round(side / part)) for side in sizes.shape)
    summed = np.pad(sizes.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    held = summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
    y, x = np.unravel_index(int(held.argmax()), held.shape)
    return Region(int(x), int(y), width, height)


def inside(region: Region, shape: tuple[int, int]) -> Region:
    """Return ``region``; raises UsageError where it is not wholly inside a map of ``shape`` (height, width)."""
    height, width = shape
    x, y, wide, tall = region
    if min(x, y) < 0 or min(wide, tall) < 1 or x + wide > width or y + tall > height:
        raise UsageError(
            f"the region {','.join(map(str, region))} (X,Y,WIDTH,HEIGHT) does not lie inside the network's "
            f"{width}×{height} pixels"
        )
    return region


def zoom(
    picture: Image,
    maps: Maps,
    region: Region,
    *,
    full: float = 0.0,
    caption: Sequence[str] = (),
    text: int | None = None,
) -> Sheet:
    """Return the sheet of the first of ``maps`` beside its picture, whole above, ``region`` enlarged below.

    ``picture`` is what the network saw, in any resolution; map pixels are drawn as squares. ``full`` is the relevance
    that gets the strongest colour, 0 for the map's own. Raises UsageError for a region that is not inside the map.
    """
    map = maps.maps[0]
    if map is None:
        raise UsageError(f"there is no map of {maps.heading} to zoom into")
    shape = (map.shape[0], map.shape[1])
    x, y, wide, tall = inside(region, shape)
    whole = max(1, -(-PANEL // max(shape)))
    near = max(1, int(min(whole * shape[0] / tall, whole * shape[1] / wide) + SLACK))
    panel = (whole * shape[0], whole * shape[1])
    name = maps.colormap or usual_colormap(signed=maps.signed)
    drawn = coloured(finite(map), name, full, signed=maps.signed)

    def part(row: int, column: int) -> Image:
        factor, left, upper, across, down = (whole, 0, 0, *shape[::-1]) if row == 0 else (near, x, y, wide, tall)
        size = (factor * down, factor * across)
        if column == 1:
            shown = enlarged(drawn.crop((left, upper, left + across, upper + down)), size)
        else:
            fine = picture.width / shape[1], picture.height / shape[0]
            box = (left * fine[0], upper * fine[1], (left + across) * fine[0], (upper + down) * fine[1])
            shown = picture.convert("RGB").resize(size[::-1], Resampling.LANCZOS, box=box)
        if row == 0:
            _mark(shown, Region(*(factor * length for length in (x, y, wide, tall))))
        laid = PIL.Image.new("RGB", panel[::-1], (245, 245, 245))
        laid.paste(shown, ((panel[1] - size[1]) // 2, (panel[0] - size[0]) // 2))
        return laid

    words = ("region", f"{wide}x{tall} pixels at {x},{y}", f"{near / whole:.3g} times larger")
    bar = colour_bar(name, full or None, signed=maps.signed)
    return Sheet(
        part,
        panel,
        ("picture", maps.heading),
        (caption, words),
        (None, bar),
        text=text or letters_for((PANEL // 2, PANEL // 2)),
    )


def _mark(image: Image, region: Region) -> None:
    """Draw a frame around ``region``: black between white lines, to be seen on any ground."""
    draw = PIL.ImageDraw.Draw(image)
    edge = 3  # at the border of the image the frame moves inward, to be seen on all sides
    left = min(max(edge, region.x), image.width - edge - 1)
    upper = min(max(edge, region.y), image.height - edge - 1)
    right = max(left, min(image.width - edge, region.x + region.width) - 1)
    lower = max(upper, min(image.height - edge, region.y + region.height) - 1)
    for away, colour in ((edge, "white"), (2, "black"), (1, "black"), (0, "white")):
        draw.rectangle((left - away, upper - away, right + away, lower + away), outline=colour)
