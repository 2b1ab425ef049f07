"""What a network saw, drawn in any size: of a picture the part it looked at, of a tensor the picture that it holds."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.Image import Image, Resampling

from heatcli.pictures.layouts import chw
from heatcli.pictures.placement import Placement

AROUND = (128, 128, 128)
"""What is drawn where the network looked beyond the picture's edge."""


def seen_in_picture(image: Image, placement: Placement, size: tuple[int, int]) -> Image:
    """Return the part of the upright RGB ``image`` that the network saw, in (height, width) ``size``.

    It is drawn from the picture's own pixels, which are finer than what the network got, or as they are where they are
    coarser than ``size``: enlarged, not blurred.
    """
    left, upper, right, lower = placement.box
    inside = placement.inside
    coarse = right - left <= size[1] and lower - upper <= size[0]
    if coarse and (round(right - left), round(lower - upper)) == (inside[2] - inside[0], inside[3] - inside[1]):
        return fitted(image.crop(inside), size)
    return Placement(placement.picture, size, placement.box).view(image, AROUND)


def seen_in_tensor(
    x: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray] | None,
    layout: str,
    size: tuple[int, int] | None = None,
    channels: str = "rgb",
) -> Image | None:
    """Return the picture in a network input ``x`` as an RGB image, a pixel each; None where it holds no picture.

    The range ``bounds`` (l, h), which broadcast to ``x``, goes from black to white; without it, or where ``x`` leaves
    it, the smallest and the largest value do. ``layout`` and ``size`` are as for ``layouts.chw``.
    """
    values = x.astype(np.float64)
    if bounds is None or (values < bounds[0]).any() or (values > bounds[1]).any():
        bounds = values.min(), values.max()
    span = np.subtract(bounds[1], bounds[0], dtype=np.float64)
    shares = chw((values - bounds[0]) / np.where(span > 0, span, 1), layout, size)
    if shares is None:
        return None
    pixels = np.rint(shares * 255).astype(np.uint8)
    if channels == "bgr":
        pixels = pixels[::-1]
    coloured = pixels if len(pixels) == 3 else np.repeat(pixels[:1], 3, axis=0)
    return PIL.Image.fromarray(np.ascontiguousarray(coloured.transpose(1, 2, 0)))


def as_image(picture: Image | np.ndarray) -> Image:
    """Return ``picture`` as an RGB image; an array of floats is stretched from its smallest to its largest value."""
    if isinstance(picture, Image):
        return picture.convert("RGB")
    pixels = picture
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = np.rint((pixels - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    return PIL.Image.fromarray(pixels).convert("RGB")


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """Return ``image`` in (height, width) ``size``: pixels enlarged by a whole factor stay squares, else smoothly."""
    height, width = size
    if image.size == (width, height):
        return image
    whole = height % image.height == 0 and width % image.width == 0
    return image.resize((width, height), Resampling.NEAREST if whole else Resampling.LANCZOS)
