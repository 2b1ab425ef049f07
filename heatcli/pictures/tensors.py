"""Read an .npy tensor that nobody vouches for: what its header claims is checked before any memory is taken."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from heatcli.errors import PictureError
from heatcli.opening import STRANGE, Irregular, opened, reason, size

START = b"\x93NUMPY"
"""What every .npy file begins with."""

MOST_BYTES = 1 << 30
"""The largest tensor that is read; no classifier takes a single input anywhere near it."""

MOST_SIDE = 1 << 62
"""No axis is longer, not even that of an array that is empty because of another one."""

NUMBERS = "fiub"
"""The kinds of NumPy types that count as numbers: floats, integers, booleans."""


def read_tensor(source: str | Path | bytes) -> np.ndarray:
    """Return the array in the .npy file at ``source``, a path or the bytes of a file.

    Raises PictureError for what is missing, no regular file, no .npy file, cut short, larger than 1 GiB, or holds
    anything but numbers.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source), "the tensor")
    name = str(source)
    try:
        with opened(source) as stream:
            return _read(stream, size(stream), name)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except Irregular as error:
        raise PictureError(f"{name}: {error.strerror}, not a regular file".replace(f"{STRANGE},", "is")) from None
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a name with a null byte
        raise PictureError(f"{name}: cannot be read ({reason(error)})") from error


def _read(stream: BinaryIO, length: int, name: str) -> np.ndarray:
    """Read the array from ``stream``, which holds ``length`` bytes."""
    shape, dtype = _header(stream, name)
    if dtype.hasobject:
        raise PictureError(f"{name}: holds Python objects; save an array of numbers")
    if dtype.kind not in NUMBERS:
        raise PictureError(f"{name}: holds {dtype}, not numbers")
    if any(isinstance(side, bool) or side > MOST_SIDE for side in shape):  # which Python takes for numbers, NumPy not
        raise PictureError(f"{name}: is a broken .npy file (its shape is {shape})")
    claimed, there = math.prod(shape) * dtype.itemsize, length - stream.tell()
    if min(shape, default=0) < 0:
        raise PictureError(f"{name}: is a broken .npy file (its shape is {shape})")
    if claimed > MOST_BYTES:
        raise PictureError(
            f"{name}: holds an array of shape {shape}, {claimed >> 20:,} MiB; at most {MOST_BYTES >> 20:,} MiB are read"
        )
    if claimed > there:
        raise PictureError(
            f"{name}: is cut short: an array of shape {shape} takes {claimed:,} bytes, but {there:,} are there"
        )
    stream.seek(0)
    try:
        loaded: np.ndarray = np.load(stream, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise PictureError(f"{name}: is a broken .npy file") from error
    return loaded


def _header(stream: BinaryIO, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type as the file states them, the stream at the first number."""
    if stream.read(len(START)) != START:
        raise PictureError(f"{name}: is no .npy file")
    stream.seek(0)
    try:
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        version = np.lib.format.read_magic(stream)
        if version == (3, 0):  # it was made for fields with names beyond Latin-1
            raise PictureError(f"{name}: holds a table with named fields, not an array of numbers")
        reader = readers.get(version)
        if reader is None:
            raise PictureError(f"{name}: is a broken .npy file (its version is {version})")
        shape, _, dtype = reader(stream)
    except PictureError:
        raise
    except Exception as error:  # it is read as Python text, by parsers with exceptions of all kinds
        raise PictureError(f"{name}: is a broken .npy file (its header cannot be read)") from error
    return shape, dtype
