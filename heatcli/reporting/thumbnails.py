"""A picture small enough to be one of thousands on a page: WebP of a given side."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Resampling

from heatcli.errors import PictureError
from heatcli.limits import Limits
from heatcli.pictures.reading import read_picture

QUALITY = 60
"""Of WebP: at 160 pixels a photograph takes about 3 kB and its overlay half of that."""
SMALLEST, LARGEST = 32, 1024
"""Sides that make sense."""


@dataclass(frozen=True)
class Thumbnail:
    """The picture's own ``width`` and ``height``, and a small one as ``webp``."""

    width: int
    height: int
    webp: bytes


@dataclass(frozen=True)
class Missing:
    """No picture, and the ``reason`` in a few words."""

    reason: str


def thumbnail(source: Path | bytes | None, side: int, most: int = Limits.pixels) -> Thumbnail | Missing:
    """Return the picture at ``source`` with its longer side of at most ``side`` pixels, never enlarged.

    One of more than ``most`` pixels is not opened.
    """
    if source is None:
        return Missing("no such file")
    if isinstance(source, Path) and source.suffix.lower() == ".npy":
        return Missing("a tensor, no picture")
    try:
        image = read_picture(source, most, at_least=2 * side)
    except PictureError as error:
        name = str(source) if isinstance(source, Path) else "the picture"
        return Missing(str(error).removeprefix(f"{name}: "))
    width, height = image.size
    image.thumbnail((side, side), Resampling.LANCZOS, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY, method=4)
    return Thumbnail(width, height, stream.getvalue())
