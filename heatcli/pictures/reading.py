"""Read a picture that nobody vouches for: from a file of any common format to upright 8-bit RGB."""

from __future__ import annotations

import io
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
from heatcli.limits import Limits, rounded_up
from heatcli.opening import Irregular, TooLarge, opened, size, whole
from heatcli.pictures import scans

Source = str | Path | bytes | BinaryIO | Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
"""What is opened; Pillow knows sixty formats more, some of which start other programs or were hardly ever attacked."""

FORMATS_SAID = "JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF, JPEG 2000"

MOST_BYTES = 1 << 30
"""The largest file that is read: some decoders take all of it into memory."""

ROWS = 1 << 20
"""About how many deep pixels are scaled at a time: as float64 they take much more room than in the end."""

FRAMES, ANIMATION, PAGES = (
    "heatcli frames",
    "the picture is an animation: its first frame is explained, the others are left aside",
    "the file holds several pages: the first one is explained, the others are left aside",
)
"""Under which name a picture remembers that it was one of several, and what is said then."""


def read_picture(source: Source, most: int = Limits.pixels, *, at_least: int | None = None) -> Image:
    """Return the picture at ``source`` upright, as a new 8-bit RGB image of at most ``most`` pixels.

    ``source`` is a path, the bytes of a file, an open binary file, or a PIL image (left as it is). The EXIF or XMP
    orientation is applied, transparency is laid on white, the first frame of an animation is taken, colour profiles
    are left aside as the pipelines do that networks are trained with. Deeper pixels are scaled to 0–255, see
    ``to_eight_bits``. Where sides of ``at_least`` so many pixels are enough, a JPEG is decoded at half, a quarter or an
    eighth of its size. Raises PictureError for what is missing, no regular file, too large, broken or no picture.
    """
    if isinstance(source, Image):
        with _translated("the picture", most), _quiet(most):
            return _decoded(source, "the picture", most)
    if isinstance(source, bytes):
        return _opened(io.BytesIO(source), "the picture", most, at_least)
    if not isinstance(source, str | Path):
        return _opened(_in_memory(source), str(getattr(source, "name", "the picture")), most, at_least)
    name = str(source)
    try:
        with opened(source) as stream:
            if size(stream) > MOST_BYTES:
                raise PictureError(f"{name}: has more than {MOST_BYTES >> 30} GiB; that is no picture")
            return _opened(stream, name, most, at_least)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except Irregular as error:
        raise PictureError(f"{name}: {error.strerror}, so no picture") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise PictureError(f"{name}: cannot be opened ({_reason(error)})") from error


def left_aside(image: Image) -> tuple[str, ...]:
    """Return what is to be said about a picture that was read: that it was the first of several."""
    said = image.info.get(FRAMES)
    return (said,) if isinstance(said, str) else ()


def to_eight_bits(pixels: np.ndarray, *, sixteen: bool) -> np.ndarray:
    """Return grey ``pixels`` (H, W) of a wider type as uint8 (H, W).

    ``sixteen`` says that the file's format makes 65535 white; then p/257. Otherwise the values decide: within 0–1
    (floats) p·255, within 0–255 as they are, within 0–65535 (integers) p/257, and any other range is stretched so
    that the smallest value becomes black and the largest white. What is not finite becomes black.
    """
    real = np.issubdtype(pixels.dtype, np.floating)
    step = max(1, ROWS // max(1, pixels.shape[-1]))
    parts = [slice(row, row + step) for row in range(0, len(pixels), step)]
    ends: list[tuple[float, float]] = []
    for part in parts if not sixteen else ():
        values = pixels[part]
        finite = values[np.isfinite(values)]
        if finite.size:
            ends.append((float(finite.min()), float(finite.max())))
    low, high = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)
    if sixteen:
        low, high = 0.0, 65535.0
    elif real and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif not real and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    span = (high - low) or 1.0
    bytes_ = np.empty(pixels.shape, np.uint8)
    for part in parts:
        values = np.asarray(pixels[part], np.float64)
        scaled = np.where(np.isfinite(values), (values - low) * (255.0 / span), 0.0)
        bytes_[part] = np.clip(np.rint(scaled), 0, 255)
    return bytes_


def _in_memory(stream: BinaryIO) -> io.BytesIO:
    name = getattr(stream, "name", "the picture")
    try:
        return io.BytesIO(whole(stream, MOST_BYTES))
    except TooLarge:
        raise PictureError(f"{name}: more than {MOST_BYTES >> 30} GiB came in; that is no picture") from None
    except (OSError, ValueError) as error:
        raise PictureError(f"{name}: cannot be read ({_reason(error)})") from error
    except TypeError:
        raise PictureError(f"{name}: was opened as text; open it with the mode 'rb'") from None


def _opened(stream: BinaryIO, name: str, most: int, at_least: int | None) -> Image:
    with _translated(name, most), _quiet(most):
        _check_canvas(stream, name, most)
        with PIL.Image.open(stream, formats=FORMATS) as image:
            _check_size(*image.size, name, most)
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            return _decoded(image, name, most)


def _check_canvas(stream: BinaryIO, name: str, most: int) -> None:
    """Check what decoders do not: the size of a WebP, before memory is taken for all of it, and the scans of a JPEG."""
    head = stream.read(30)
    if head.startswith(scans.START) and scans.too_many(stream):
        raise PictureError(f"{name}: goes over its pixels more than {scans.MOST} times, as no photograph does")
    stream.seek(0)
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 30:
        _check_size(1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little"), name, most)


def _check_size(width: int, height: int, name: str, most: int) -> None:
    if width * height > most:
        raise PictureError(f"{name}: {width}×{height} pixels are more than {_accepted(most, width * height)}")


def _accepted(most: int, needed: int) -> str:
    """Return how many pixels are opened, and what can be done."""
    return (
        f"the {most / 1e6:.3g} million that are opened; scale it down first, or accept it with "
        f"--max-pixels {rounded_up(needed)}"
    )


def _decoded(image: Image, name: str, most: int) -> Image:
    """Check the size, decode, set upright and convert; ``image`` itself stays as it is."""
    _check_size(*image.size, name, most)
    several = _several(image)
    sixteen = image.mode.startswith("I;16") or image.format == "PPM"  # Pillow scales deep PPM files to 65535
    image.load()
    upright = _upright(image)
    if several:
        upright.info[FRAMES] = several
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _grey(upright, sixteen=sixteen)
    elif upright.has_transparency_data:
        colours = upright.convert("LA").convert("RGBA") if upright.mode == "La" else upright.convert("RGBA")
        upright = PIL.Image.alpha_composite(PIL.Image.new("RGBA", colours.size, "white"), colours)
    ready = upright.convert("RGB")
    ready.info = {FRAMES: several} if several else {}
    return ready


def _grey(image: Image, *, sixteen: bool) -> Image:
    """Return deep grey pixels as bytes; the one shade that a PNG can declare transparent becomes white."""
    pixels = np.asarray(image)
    grey = to_eight_bits(pixels, sixteen=sixteen)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[pixels == clear] = 255
    return PIL.Image.fromarray(grey)


def _several(image: Image) -> str | None:
    """Return what is said of a file that holds more than the picture that is taken from it."""
    if not getattr(image, "is_animated", False) or image.format not in ("GIF", "PNG", "WEBP", "AVIF", "TIFF"):
        return None  # a photograph of several lenses or depths (MPO) is one picture
    return PAGES if image.format == "TIFF" else ANIMATION


def _upright(image: Image) -> Image:
    """Apply the orientation that EXIF or XMP asks for; TIFF files come rotated and without it from Pillow."""
    try:
        return PIL.ImageOps.exif_transpose(image)
    except Exception:  # metadata that cannot be parsed asks for nothing; the pixels are there
        return image


@contextmanager
def _translated(name: str, most: int) -> Iterator[None]:
    """Turn whatever Pillow raises into a PictureError; its decoders have no common exception."""
    try:
        yield
    except PictureError:
        raise
    except PIL.UnidentifiedImageError:
        raise PictureError(f"{name}: not a picture that can be read ({FORMATS_SAID})") from None
    except PIL.Image.DecompressionBombError:
        raise PictureError(f"{name}: has more pixels than {_accepted(most, 4 * most)}") from None
    except MemoryError:
        raise PictureError(f"{name}: does not fit into memory") from None
    except Exception as error:  # no common base, see above
        raise PictureError(f"{name}: broken picture ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


class _Silence:
    """How many readers are at work, and the warning filters and Pillow's own limit to put back after the last one."""

    lock = threading.Lock()
    readers = 0
    filters: warnings.catch_warnings[None]
    pixels: int | None


@contextmanager
def _quiet(most: int = Limits.pixels) -> Iterator[None]:
    """Keep Pillow's warnings away while any thread reads, and its own limit where that is below ``most`` pixels.

    ``warnings`` alone would mix up filters between threads.
    """
    with _Silence.lock:
        if _Silence.readers == 0:
            _Silence.filters = warnings.catch_warnings()
            _Silence.filters.__enter__()
            _Silence.pixels = PIL.Image.MAX_IMAGE_PIXELS
            warnings.filterwarnings("ignore", module=r"PIL\.")
        if PIL.Image.MAX_IMAGE_PIXELS is not None:
            PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS, most)
        _Silence.readers += 1
    try:
        yield
    finally:
        with _Silence.lock:
            _Silence.readers -= 1
            if _Silence.readers == 0:
                _Silence.filters.__exit__(None, None, None)
                PIL.Image.MAX_IMAGE_PIXELS = _Silence.pixels
