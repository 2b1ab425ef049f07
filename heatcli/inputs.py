"""From what the user gives to what the network takes: its input tensor, and the range of its values."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image

from heatcli.errors import HeatcliError, PictureError, UsageError
from heatcli.limits import Limits
from heatcli.network.layers import InputSpec
from heatcli.pictures.preprocessing import Placement, Preprocessing
from heatcli.pictures.reading import left_aside, read_picture
from heatcli.pictures.tensors import NUMBERS, START, read_tensor

Array = np.ndarray
Picture = str | Path | bytes | BinaryIO | PIL.Image.Image | Array
Range = tuple[float | Sequence[float], float | Sequence[float]]
Bounds = tuple[Array, Array]


@dataclass(frozen=True)
class Prepared:
    """One picture as the network sees it.

    ``x`` has the network input's shape and dtype, batch axis included; ``bounds`` (l, h) broadcast to it, None where
    the range is not known; ``image`` and ``placement`` are None for a tensor; ``seconds`` is what reading took;
    ``warnings`` say what of the picture was left aside.
    """

    x: Array
    bounds: Bounds | None
    image: PIL.Image.Image | None
    placement: Placement | None
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """What is given for an input beside the picture; ``file`` is None for an array."""

    value: Array
    file: str | None
    sha256: str

    def record(self) -> dict[str, str | None]:
        """Return where it came from, and what tells it from another."""
        return {"file": self.file, "sha256": self.sha256}


def constants(given: Mapping[str, str | Path | Array] | None) -> dict[str, Constant]:
    """Return what is ``given`` for inputs beside the picture, by name: arrays, or the .npy files that hold them.

    Raises UsageError for what cannot be read.
    """
    if not isinstance(given or {}, Mapping):
        raise UsageError(f"inputs must go from names to arrays or .npy files, not be a {type(given).__name__}")
    found = {}
    for name, value in (given or {}).items():
        if isinstance(value, str | Path):
            try:
                array = read_tensor(value)
            except PictureError as error:
                raise UsageError(f"--input {name}: {error}") from error
        else:
            try:
                array = np.asarray(value)
            except ValueError:
                raise UsageError(f"--input {name}: rows of numbers of one length are needed") from None
            if array.dtype.kind not in NUMBERS:
                raise UsageError(f"--input {name}: an array of {array.dtype}; numbers are needed")
        digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()
        found[name] = Constant(array, str(value) if isinstance(value, str | Path) else None, digest)
    return found


def prepare(
    picture: Picture,
    spec: InputSpec,
    preprocessing: Preprocessing | None,
    given: Range | None,
    *,
    most: int = Limits.pixels,
) -> Prepared:
    """Make ``picture``, a picture in any form or a tensor, into the input ``spec``; ``given`` is the user's range.

    Pictures of more than ``most`` pixels are refused.

    Raises PictureError where it cannot be read or does not fit, UsageError where the range is wrong.
    """
    begun = time.perf_counter()
    tensor = _tensor(picture)
    image: PIL.Image.Image | None = None
    placement: Placement | None = None
    bounds: Bounds | None = None
    if tensor is not None:
        x = _as_input(tensor, spec)
    elif preprocessing is None:
        raise UsageError(f"the input {spec.name} {spec.shape} is no picture; give a tensor as an .npy file")
    else:
        assert not isinstance(picture, np.ndarray)
        image = read_picture(picture, most)
        x, placement = preprocessing.tensor(image)
        bounds = preprocessing.bounds()
    if given is not None:
        bounds = range_of(given, spec)
    if bounds is not None:
        _check_range(x, bounds, UsageError if tensor is None else PictureError)
    said = () if image is None else left_aside(image)
    return Prepared(x, bounds, image, placement, time.perf_counter() - begun, said)


def _tensor(picture: Picture) -> Array | None:
    """Return the array that ``picture`` is or that its .npy file holds, None for a true picture."""
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, str | Path):
        return read_tensor(picture) if str(picture).lower().endswith(".npy") else None
    if isinstance(picture, bytes):
        return read_tensor(picture) if picture.startswith(START) else None
    if not isinstance(picture, PIL.Image.Image) and not hasattr(picture, "read"):
        raise UsageError(
            f"a {type(picture).__name__} is no picture; give a path, the bytes of a file, an open binary file, "
            "a PIL image, or the network input as a NumPy array"
        )
    return None


def _as_input(tensor: Array, spec: InputSpec) -> Array:
    if tensor.dtype.kind not in NUMBERS:
        raise PictureError(f"the tensor holds {tensor.dtype}, not numbers")
    sides = [[length for length in shape if length != 1] for shape in (tensor.shape, spec.shape)]
    x = tensor.reshape(spec.shape) if sides[0] == sides[1] else tensor  # axes of length 1 change nothing
    if x.shape != spec.shape:
        raise PictureError(f"the tensor has shape {tensor.shape}; the input {spec.name} takes {spec.shape}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise PictureError("the tensor holds values that are not finite (NaN or infinity)")
    if not _fits(x, spec.dtype):
        raise PictureError(
            f"the tensor holds {x.dtype} values from {x.min():g} to {x.max():g}; the input {spec.name} takes "
            f"{_limits(spec.dtype)}"
        )
    return np.ascontiguousarray(x, spec.dtype)


def range_of(given: Range, spec: InputSpec) -> Bounds:
    """Return the user's range, one pair or one pair a channel, so that it broadcasts to the input.

    Raises UsageError for a range that does not fit ``spec``.
    """
    axis = spec.layout.find("C")
    try:
        pair = dict(zip(("lower", "upper"), given, strict=True))
    except (TypeError, ValueError):
        raise UsageError(f"--range {given!r}: a lower and an upper bound are needed, such as (-1, 1)") from None
    sides = []
    for name, side in pair.items():
        try:
            values = np.asarray(side, np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise UsageError(f"--range {given!r}: the bounds must be numbers, or lists with one a channel") from None
        if not values.size or not np.isfinite(values).all():
            raise UsageError(f"--range {given!r}: the bounds must be finite numbers")
        if values.size > 1 and (axis < 0 or values.size != spec.shape[axis]):
            raise UsageError(f"--range gives {values.size} channels; the input {spec.name} is {spec.shape}")
        if not _fits(values, spec.dtype):
            raise UsageError(
                f"--range: the {name} bound is {', '.join(f'{value:g}' for value in values)}; the input {spec.name} "
                f"takes {_limits(spec.dtype)}"
            )
        shape = [1] * len(spec.shape)
        if values.size > 1:
            shape[axis] = values.size
        sides.append(values.astype(spec.dtype).reshape(shape))
    low, high = sides
    if np.any(low >= high):
        raise UsageError("--range must give the lower bound first, then the upper")
    return low, high


def _fits(values: Array, dtype: str) -> bool:
    """Whether finite ``values`` survive the step to ``dtype``: within its limits, whole where it holds integers."""
    kind = np.dtype(dtype)
    if not values.size or values.dtype == kind or kind.kind == "b":
        return True
    limits = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
    low, high = values.min(), values.max()
    whole = kind.kind == "f" or values.dtype.kind != "f" or bool((values == np.rint(values)).all())
    return whole and float(low) >= float(limits.min) and float(high) <= float(limits.max)


def _limits(dtype: str) -> str:
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return f"{dtype}, whole numbers from {np.iinfo(kind).min} to {np.iinfo(kind).max}"
    return f"{dtype}, numbers up to {np.finfo(kind).max:g}"


def _check_range(x: Array, bounds: Bounds, error: type[HeatcliError]) -> None:
    """Hold l ≤ x ≤ h, up to rounding: z^B promises no negative relevance only there (paper 4.2)."""
    low, high = bounds
    slack = 1e-5 * max(1.0, float(np.abs(high).max()), float(np.abs(low).max()))
    if np.any(x < low - slack) or np.any(x > high + slack):
        raise error(
            f"the input has values from {x.min():g} to {x.max():g}, outside its range {low.min():g} to {high.max():g}; "
            "give the true one with --range"
        )
