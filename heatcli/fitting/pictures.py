"""The pictures that relevance models are fitted to: files, and stacks of network inputs in one .npy file."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from heatcli.errors import UsageError
from heatcli.inputs import Picture
from heatcli.network.layers import InputSpec
from heatcli.opening import opened
from heatcli.pictures.tensors import NUMBERS

Array = np.ndarray


class Pictures(Sequence[Picture]):
    """Pictures one after the other; nothing is read before it is asked for."""

    def __init__(self, sources: Sequence[Picture], spec: InputSpec) -> None:
        """Take pictures, and arrays or .npy files (N, …) that hold N inputs ``spec`` one after the other."""
        self._parts: list[tuple[Picture, Array | None]] = []
        self._places: list[tuple[int, int]] = []
        for part, source in enumerate(sources):
            stack = stacked(source, spec)
            self._parts.append((source, stack))
            self._places += [(part, row) for row in range(1 if stack is None else len(stack))]

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> list[Picture]: ...
    def __getitem__(self, place: int | slice) -> Picture | list[Picture]:
        """Return a picture: what was given, or an array cut out of a stack."""
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        part, row = self._places[place]
        source, stack = self._parts[part]
        return source if stack is None else np.array(stack[row])

    def name(self, place: int) -> str:
        """Return what a picture is called."""
        part, row = self._places[place]
        source, stack = self._parts[part]
        named = str(source) if isinstance(source, str | Path) else f"picture {part + 1}"
        return named if stack is None else f"{named}, number {row + 1}"

    @property
    def digest(self) -> str:
        """What tells these pictures from others without reading them: names, sizes and dates; arrays by content."""
        found = hashlib.sha256()
        for source, _ in self._parts:
            found.update(b"\0")
            if isinstance(source, str | Path):
                found.update(str(source).encode(errors="surrogateescape"))
                try:
                    status = Path(source).stat()
                    found.update(f" {status.st_size} {status.st_mtime_ns}".encode())
                except OSError:
                    found.update(b" -")
            elif isinstance(source, np.ndarray):
                found.update(f"{source.dtype} {source.shape} ".encode() + source.tobytes())
            else:
                raise UsageError(f"relevance models are fitted to files and arrays, not to a {type(source).__name__}")
        return found.hexdigest()


def stacked(source: Picture, spec: InputSpec) -> Array | None:
    """Return the stack (N, …) of inputs that ``source`` is, as it lies in its file; None for a single picture."""
    stack: Array
    if isinstance(source, np.ndarray):
        stack = source
    elif isinstance(source, str | Path) and str(source).lower().endswith(".npy"):
        try:
            opened(source).close()  # a pipe or a device is not touched
            stack = np.load(source, mmap_mode="r", allow_pickle=False)
        except Exception:  # a broken header is read by parsers with exceptions of all kinds
            return None  # reading it as one picture says what is wrong
    else:
        return None
    sides = [length for length in spec.shape if length != 1]
    one = math.prod(sides)
    several = stack.ndim > 0 and stack.dtype.kind in NUMBERS and one > 0 and stack.size == len(stack) * one
    if not several or len(stack) < 2 or [length for length in stack.shape[1:] if length != 1] != sides:
        return None
    return stack
