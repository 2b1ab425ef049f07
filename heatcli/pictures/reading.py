"""Read a picture that nobody vouches for: from a file of any common format to upright 8-bit RGB."""

from __future__ import annotations

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import PIL.ImageOps
from PIL.Image import Image

from heatcli.errors import PictureError

Source = str | Path | bytes | BinaryIO | Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
"""What is opened; Pillow knows sixty formats more, some of which start other programs or were hardly ever attacked."""

FORMATS_SAID = "JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF, JPEG 2000"

MOST_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded: every step holds at least 3 bytes a pixel."""

MOST_BYTES = 1 << 30
"""What is read from a pipe at most."""


def read_picture(source: Source, *, at_least: int | None = None) -> Image:
    """Return the picture at ``source`` upright, as a new 8-bit RGB image.

    ``source`` is a path, the bytes of a file, an open binary file, or a PIL image (left as it is). The EXIF or XMP
    orientation is applied, transparency is laid on white, the first frame of an animation is taken, colour profiles
    are left aside as the pipelines do that networks are trained with. Deeper pixels are scaled to 0–255, see
    ``to_eight_bits``. Where sides of ``at_least`` so many pixels are enough, a JPEG is decoded at half, a quarter or an
    eighth of its size. Raises PictureError for what is missing, no regular file, too large, broken or no picture.
    """
    if isinstance(source, Image):
        with _translated("the picture"), _quiet():
            return _decoded(source, "the picture")
    if isinstance(source, bytes):
        return _opened(io.BytesIO(source), "the picture", at_least)
    if not isinstance(source, str | Path):
        return _opened(_in_memory(source), str(getattr(source, "name", "the picture")), at_least)
    name = str(source)
    try:
        _refuse_irregular(Path(source).stat().st_mode, name)  # before opening: opening a named pipe waits for a writer
        with Path(source).open("rb") as stream:
            return _opened(stream, name, at_least)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise PictureError(f"{name}: cannot be opened ({_reason(error)})") from error


def to_eight_bits(pixels: np.ndarray, *, sixteen: bool) -> np.ndarray:
    """Return grey ``pixels`` (H, W) of a wider type as uint8 (H, W).

    ``sixteen`` says that the file's format makes 65535 white; then p/257. Otherwise the values decide: within 0–1
    (floats) p·255, within 0–255 as they are, within 0–65535 (integers) p/257, and any other range is stretched so
    that the smallest value becomes black and the largest white. What is not finite becomes black.
    """
    real = np.issubdtype(pixels.dtype, np.floating)
    values = np.asarray(pixels, np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    if sixteen:
        low, high = 0.0, 65535.0
    elif real and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif not real and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    span = (high - low) or 1.0
    scaled = np.where(finite, (values - low) * (255.0 / span), 0.0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _refuse_irregular(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise PictureError(f"{name}: is a folder, not a picture")
    if not stat.S_ISREG(mode):
        raise PictureError(f"{name}: is a pipe or a device, not a regular file")


def _in_memory(stream: BinaryIO) -> io.BytesIO:
    name = getattr(stream, "name", "the picture")
    try:
        content = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PictureError(f"{name}: cannot be read ({_reason(error)})") from error
    if not isinstance(content, bytes):
        raise PictureError(f"{name}: was opened as text; open it with the mode 'rb'")
    if len(content) > MOST_BYTES:
        raise PictureError(f"{name}: more than {MOST_BYTES >> 30} GiB came in; that is no picture")
    return io.BytesIO(content)


def _opened(stream: BinaryIO, name: str, at_least: int | None) -> Image:
    with _translated(name), _quiet(), PIL.Image.open(stream, formats=FORMATS) as image:
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        return _decoded(image, name)


def _decoded(image: Image, name: str) -> Image:
    """Check the size, decode, set upright and convert; ``image`` itself stays as it is."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise PictureError(
            f"{name}: {width}×{height} pixels are more than the {MOST_PIXELS // 10**6} million that are opened; "
            "scale it down first"
        )
    sixteen = image.mode.startswith("I;16") or image.format == "PPM"  # Pillow scales deep PPM files to 65535
    image.load()
    upright = _upright(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = PIL.Image.fromarray(to_eight_bits(np.asarray(upright), sixteen=sixteen))
    elif upright.has_transparency_data:
        colours = upright.convert("LA").convert("RGBA") if upright.mode == "La" else upright.convert("RGBA")
        upright = PIL.Image.alpha_composite(PIL.Image.new("RGBA", colours.size, "white"), colours)
    return upright.convert("RGB")


def _upright(image: Image) -> Image:
    """Apply the orientation that EXIF or XMP asks for; TIFF files come rotated and without it from Pillow."""
    try:
        return PIL.ImageOps.exif_transpose(image)
    except Exception:  # metadata that cannot be parsed asks for nothing; the pixels are there
        return image


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into a PictureError; its decoders have no common exception."""
    try:
        yield
    except PictureError:
        raise
    except PIL.UnidentifiedImageError:
        raise PictureError(f"{name}: not a picture that can be read ({FORMATS_SAID})") from None
    except PIL.Image.DecompressionBombError:
        limit = MOST_PIXELS // 10**6
        raise PictureError(
            f"{name}: more than the {limit} million pixels that are opened; scale it down first"
        ) from None
    except Exception as error:  # no common base, see above
        raise PictureError(f"{name}: broken picture ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


class _Silence:
    """How many readers are at work, and the warning filters to put back after the last one."""

    lock = threading.Lock()
    readers = 0
    filters: warnings.catch_warnings[None]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings away while any thread reads; ``warnings`` alone would mix up filters between threads."""
    with _Silence.lock:
        if _Silence.readers == 0:
            _Silence.filters = warnings.catch_warnings()
            _Silence.filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _Silence.readers += 1
    try:
        yield
    finally:
        with _Silence.lock:
            _Silence.readers -= 1
            if _Silence.readers == 0:
                _Silence.filters.__exit__(None, None, None)
