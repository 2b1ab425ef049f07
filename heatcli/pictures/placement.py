"""Where the network looked: the geometry between the upright picture and the network's frame, both ways."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
from PIL.Image import Image, Resampling

from heatcli.errors import UsageError

FITS = ("crop", "squash", "pad")


@dataclass(frozen=True)
class Placement:
    """The part of a picture that a network saw.

    ``picture`` and ``network`` are (height, width) of the upright picture and of the network's frame. ``box`` is
    (left, upper, right, lower) in picture pixels, with fractions; where the picture was padded, it reaches outside.
    """

    picture: tuple[int, int]
    network: tuple[int, int]
    box: tuple[float, float, float, float]

    @property
    def inside(self) -> tuple[int, int, int, int]:
        """(left, upper, right, lower), whole picture pixels: those whose centre the network saw."""
        left, upper, right, lower = self.box
        height, width = self.picture
        return (
            max(0, math.ceil(left - 0.5)),
            max(0, math.ceil(upper - 0.5)),
            min(width, math.floor(right - 0.5) + 1),
            min(height, math.floor(lower - 0.5) + 1),
        )

    def view(self, image: Image, fill: tuple[int, ...] | int = 0) -> Image:
        """Return the upright ``image`` as the network sees it, in the network's size; ``fill`` pads around it.

        Bilinear with anti-aliasing, in one step: the same pixels as resizing the whole picture and cropping it.
        """
        height, width = self.network
        left, upper, right, lower = self.box
        across, down = width / (right - left), height / (lower - upper)
        tall, wide = self.picture
        if left >= 0 and upper >= 0 and right <= wide and lower <= tall:
            return image.resize((width, height), Resampling.BILINEAR, box=self.box)
        inner = image.resize((max(1, round(wide * across)), max(1, round(tall * down))), Resampling.BILINEAR)
        frame = PIL.Image.new(image.mode, (width, height), fill)
        frame.paste(inner, (round(-left * across), round(-upper * down)))
        return frame

    def to_picture(self, map: np.ndarray) -> np.ndarray:
        """Lay ``map`` (h, w) over the picture: (H, W) float32, zero where the network saw nothing.

        ``map`` covers the network's frame and may be coarser. Bicubic, held within the map's own range, so that a map
        without negative values stays without.
        """
        values = np.asarray(map, np.float32)
        whole = np.zeros(self.picture, np.float32)
        x0, y0, x1, y1 = self.inside
        if x1 <= x0 or y1 <= y0:
            return whole
        left, upper, right, lower = self.box
        across, down = values.shape[1] / (right - left), values.shape[0] / (lower - upper)
        # One repeated pixel around the map: centres of the outermost picture pixels can lie half a pixel beyond it.
        framed = PIL.Image.fromarray(np.pad(values, 1, mode="edge"))
        source = (
            max(0.0, (x0 - left) * across + 1),
            max(0.0, (y0 - upper) * down + 1),
            min(float(framed.width), (x1 - left) * across + 1),
            min(float(framed.height), (y1 - upper) * down + 1),
        )
        laid = np.asarray(framed.resize((x1 - x0, y1 - y0), Resampling.BICUBIC, box=source))
        np.clip(laid, values.min(), values.max(), out=whole[y0:y1, x0:x1])
        return whole


def place(picture: tuple[int, int], network: tuple[int, int], fit: str, resize: int | None = None) -> Placement:
    """Fit a picture of (height, width) ``picture`` into the frame ``network`` (height, width).

    ``crop``: the shorter side becomes ``resize`` (None: just enough to fill the frame), then the centre is cut out.
    ``squash``: both sides are squashed to the frame; with ``resize`` to a frame whose shorter side is ``resize``, of
    which the centre is cut out. ``pad``: the whole picture inside the frame, with a border on two sides.
    Sizes and offsets are rounded to whole pixels as torchvision does.
    """
    tall, wide = picture
    height, width = network
    if fit == "squash":
        larger = (resize or 0) / min(height, width)
        new_tall, new_wide = max(height, round(height * larger)), max(width, round(width * larger))
    elif fit == "crop":
        larger = max((resize or 0) / min(tall, wide), height / tall, width / wide)
        new_tall, new_wide = max(height, int(tall * larger + 1e-6)), max(width, int(wide * larger + 1e-6))
    elif fit == "pad":
        larger = min(height / tall, width / wide)
        new_tall = min(height, max(1, round(tall * larger)))
        new_wide = min(width, max(1, round(wide * larger)))
    else:
        raise UsageError(f"unknown fit '{fit}'; known: {', '.join(FITS)}")
    across, down = wide / new_wide, tall / new_tall
    left, upper = _offset(new_wide - width), _offset(new_tall - height)
    box = (left * across, upper * down, (left + width) * across, (upper + height) * down)
    if fit != "pad":  # rounding must not push the box out of the picture by a billionth
        box = (box[0], box[1], min(box[2], float(wide)), min(box[3], float(tall)))
    return Placement(picture, network, box)


def _offset(surplus: int) -> int:
    """Half of ``surplus``, which is negative where the frame is larger."""
    return round(surplus / 2) if surplus >= 0 else -round(-surplus / 2)
