"""The four files of MNIST, read as they are distributed: idx, with or without gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heatcli.errors import UsageError

Array = np.ndarray
SIDE = 28
STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
WHERE_FROM = "the four files of MNIST (train-images-idx3-ubyte.gz and so on) are needed, as published"
AGAIN = "fetch the file again"


@dataclass(frozen=True, eq=False)
class Digits:
    """``images`` (N, 28, 28) uint8, white on black; ``labels`` (N,) uint8, 0 to 9."""

    images: Array
    labels: Array


def read_digits(folder: Path, part: str) -> Digits:
    """Return the ``"train"`` or the ``"test"`` digits in ``folder``.

    Raises UsageError, which says the file, what is wrong with it and what to do, where one is missing, cannot be
    unpacked, is no idx file of bytes, is shorter or longer than its header says, or holds something else than digits.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; {WHERE_FROM}")
    images, labels = (_found(folder, stem) for stem in STEMS[part])
    pictures, classes = read_idx(images, axes=3), read_idx(labels, axes=1)
    if pictures.shape[1:] != (SIDE, SIDE):
        height, width = pictures.shape[1:]
        raise UsageError(f"{images}: pictures of {height}×{width} pixels, MNIST's have {SIDE}×{SIDE}; {WHERE_FROM}")
    if len(pictures) != len(classes):
        raise UsageError(f"{images} has {len(pictures)} pictures, {labels} {len(classes)} labels; {WHERE_FROM}")
    if len(set(np.unique(classes))) != 10 or classes.max() > 9:
        raise UsageError(f"{labels}: the labels are not the ten digits 0 to 9; {WHERE_FROM}")
    return Digits(pictures, classes)


def read_idx(path: Path, axes: int) -> Array:
    """Return the bytes of an idx file with ``axes`` axes as a read-only uint8 array; errors as for ``read_digits``.

    The format: two zero bytes, the type (8 is unsigned byte), the number of axes, the length of every axis as a
    big-endian 32-bit number, then the values.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as reason:
        raise UsageError(f"{path}: cannot be read or unpacked ({reason}); {AGAIN}") from None
    begin = 4 + 4 * axes
    if len(content) < begin or content[:4] != bytes((0, 0, 8, axes)):
        raise UsageError(f"{path}: not an idx file of bytes with {axes} axes (it begins {content[:4].hex()}); {AGAIN}")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", axes, 4))
    expected = math.prod(shape)
    if len(content) - begin != expected:
        sides = "×".join(map(str, shape))
        raise UsageError(f"{path}: {len(content) - begin} values where its header says {sides} = {expected}; {AGAIN}")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def _found(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.gz", stem, stem.replace("-idx", ".idx")):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder}: there is no {stem}.gz in it; {WHERE_FROM}")
