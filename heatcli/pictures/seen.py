"""What a network saw, drawn in any size: of a picture the part it looked at, of a tensor the picture that it holds."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.Image import Image, Resampling

from heatcli.pictures.layouts import chw
from heatcli.pictures.normalisation import Preprocessing
from heatcli.pictures.placement import Placement

AROUND = (128, 128, 128)
"""What is drawn where the network looked beyond the picture's edge."""


def seen_in_picture(image: Image, placement: Placement, size: tuple[int, int]) -> Image:
    """Return the part of the upright RGB ``image`` that the network saw, in (height, width) ``size``.

    It is drawn from the picture's own pixels, which are finer than what the network got, or as they are where they are
    coarser than ``size``: enlarged, not blurred.
    """
    left, upper, right, lower = placement.box
    tall, wide = placement.picture
    coarse = right - left <= size[1] and lower - upper <= size[0]
    if not coarse or min(left, upper) < 0 or right > wide or lower > tall:
        return Placement(placement.picture, size, placement.box).view(image, AROUND)
    if all(side == int(side) for side in placement.box):
        return fitted(image.crop((int(left), int(upper), int(right), int(lower))), size)
    return image.resize(size[::-1], Resampling.LANCZOS, box=placement.box)


def seen_in_tensor(x: np.ndarray, preprocessing: Preprocessing | None, layout: str) -> Image | None:
    """Return the picture in the network input ``x`` as an RGB image, a pixel each; None where it holds no picture.

    Preprocessing is undone. Where ``x`` leaves the range of what it yields, or there is none, the smallest value
    becomes black and the largest white; channels that are no colours are averaged.
    """
    if preprocessing is not None:
        low, high = preprocessing.bounds()
        if (x >= low).all() and (x <= high).all():
            return preprocessing.picture(x)
    planes = chw(x, layout, None if preprocessing is None else preprocessing.size)
    if planes is None:
        return None
    if preprocessing is not None and preprocessing.channels == "bgr":
        planes = planes[::-1]
    return as_image(planes.transpose(1, 2, 0) if len(planes) == 3 else planes.mean(axis=0, dtype=np.float64))


def as_image(picture: Image | np.ndarray) -> Image:
    """Return ``picture`` as an RGB image; an array of floats is stretched from its smallest to its largest value."""
    if isinstance(picture, Image):
        return picture.convert("RGB")
    pixels = picture
    if pixels.dtype != np.uint8:
        values = picture.astype(np.float64)
        low, high = values.min(), values.max()
        pixels = np.rint((values - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    return PIL.Image.fromarray(pixels).convert("RGB")


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """Return ``image`` in (height, width) ``size``: pixels enlarged by a whole factor stay squares, else smoothly."""
    height, width = size
    if image.size == (width, height):
        return image
    whole = height % image.height == 0 and width % image.width == 0
    return image.resize((width, height), Resampling.NEAREST if whole else Resampling.LANCZOS)
