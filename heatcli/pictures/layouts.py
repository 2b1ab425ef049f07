"""Which axis is which: between a picture (height, width, channels) and the network input's own arrangement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LAYOUTS = ("NCHW", "NHWC", "CHW", "HWC", "NHW", "HW", "flat", "flat-HWC")
"""What a picture can become. flat is a row of numbers, channel after channel; flat-HWC pixel after pixel."""


SMALLEST = 8
"""Rows of numbers that would make a smaller square are no pictures, unless the user says so."""


@dataclass(frozen=True)
class Form:
    """What kind of picture an input holds: ``size`` (height, width), 1 or 3 ``channels``, and how they are laid out."""

    size: tuple[int, int]
    channels: int
    layout: str


def form_of(shape: tuple[int, ...], layout: str, size: tuple[int, int] | None = None) -> Form | None:
    """Return the picture that an input of ``shape`` (batch axis included) holds, None where it holds none.

    A flat input of k·k numbers is a grey square, one of 3·k·k a coloured one; ``size`` (height, width) says otherwise.
    """
    if layout in ("flat", "flat-HWC"):
        count = math.prod(shape)
        for channels in (1, 3):
            side = math.isqrt(count // channels)
            height, width = size or (side, side)
            if (size or side >= SMALLEST) and channels * height * width == count:
                return Form((height, width), channels, layout)
        return None
    if layout not in LAYOUTS or len(layout) != len(shape):
        return None
    axes = dict(zip(layout, shape, strict=True))
    channels = axes.get("C", 1)
    if channels not in (1, 3) or axes.get("N", 1) != 1:
        return None
    return Form((axes["H"], axes["W"]), channels, layout)


def spread(
    shape: tuple[int, ...], layout: str, size: tuple[int, int] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape in which an input of ``shape`` has its sides apart, and which axes they are.

    The sides are height and width; where the input holds no picture, its last axis of more than one element.
    """
    if layout.startswith("flat"):
        form = form_of(shape, layout, size)
        if form is not None:
            if layout == "flat":
                return (form.channels, *form.size), (1, 2)
            return (*form.size, form.channels), (0, 1)
    elif layout in LAYOUTS and len(layout) == len(shape):
        return shape, (layout.index("H"), layout.index("W"))
    longer = [axis for axis, length in enumerate(shape) if length > 1]
    return shape, (longer[-1] if longer else len(shape) - 1,)


def arranged(pixels: np.ndarray, layout: str) -> np.ndarray:
    """Bring ``pixels`` (H, W, C) into ``layout``, with a batch axis of 1 where it has one; contiguous."""
    if layout == "flat-HWC":
        return pixels.reshape(1, -1)
    if layout == "flat":
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(1, -1)
    if "C" not in layout:
        pixels = pixels[:, :, 0]
    elif layout.endswith("CHW"):
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None] if layout.startswith("N") else pixels)


def by_channel(values: np.ndarray, form: Form) -> np.ndarray:
    """Shape one value a channel (C,) so that it broadcasts to the input of ``form``."""
    if form.layout.startswith("flat") and form.channels > 1:
        height, width = form.size
        return arranged(np.broadcast_to(values, (height, width, form.channels)), form.layout)
    return arranged(values.reshape(1, 1, -1), form.layout)


def chw(relevance: np.ndarray, layout: str, size: tuple[int, int] | None = None) -> np.ndarray | None:
    """Return ``relevance``, with or without the batch axis, as (C, H, W); None where it is no picture.

    ``size`` (height, width) is needed for flat inputs that are no square.
    """
    if layout.startswith("flat"):
        form = form_of((1, relevance.size), layout, size)
        if form is None:
            return None
        height, width = form.size
        if layout == "flat":
            return relevance.reshape(form.channels, height, width)
        return relevance.reshape(height, width, form.channels).transpose(2, 0, 1)
    axes = layout.replace("N", "")
    if layout not in LAYOUTS or relevance.ndim not in (len(axes), len(layout)):
        return None
    without_batch = relevance.reshape(relevance.shape[-len(axes) :])
    if axes == "HW":
        return without_batch[None]
    return without_batch.transpose(2, 0, 1) if axes == "HWC" else without_batch


def to_heatmap(relevance: np.ndarray, layout: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Sum ``relevance`` over its channels: (H, W) float32 (paper 6.2); the tensor itself where it is no picture."""
    picture = chw(relevance, layout, size)
    if picture is None:
        return np.asarray(relevance, np.float32)
    return np.asarray(picture.sum(axis=0, dtype=np.float64), np.float32)
