"""How large a file from a stranger may be, and how much memory it may ask for: one value, checked at every door."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from heatcli.errors import UsageError

SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class Limits:
    """What is accepted of a model and of a picture; what asks for more is refused before memory is taken.

    ``file``: bytes of the model file. ``nodes``: operations, those of inner graphs and functions counted each time that
    they are called. ``weights``: bytes of all constants, in the file and beside it. ``dimension``: elements of one
    tensor, and so the length of an axis. ``activations``: bytes of all tensors that the network computes of one
    picture. ``pixels``: width × height of a picture.
    """

    file: int = 2 * 10**9
    nodes: int = 50_000
    weights: int = 8 * 10**9
    dimension: int = 2 * 10**9
    activations: int = 8 * 10**9
    pixels: int = 80 * 10**6

    def __post_init__(self) -> None:
        """Raise UsageError for a limit that is no whole number from 1 on."""
        values: list[tuple[str, Any]] = list(self.items())
        for name, value in values:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"--limit {name}={value}: a whole number from 1 on is needed, such as 500M or 2G")

    def items(self) -> list[tuple[str, int]]:
        """Return every limit by name."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    @classmethod
    def of(cls, given: Limits | Mapping[str, int | str] | None) -> Self:
        """Return ``given`` as limits; a mapping changes some of the defaults. Raises UsageError for what does not fit.

        Values may be texts such as ``2G``, ``500M`` or ``100k``, powers of 1000.
        """
        if isinstance(given, cls):
            return given
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise UsageError(f"limits must go from names to numbers, not be a {type(given).__name__}")
        known = [field.name for field in fields(cls)]
        changed: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise UsageError(f"--limit {name}: there is no such limit; known: {', '.join(known)}")
            changed[name] = parse(name, value) if isinstance(value, str) else value
        return replace(cls(), **changed)

    def raised(self, name: str, needed: int) -> str:
        """Return how to accept what needs so much of the limit ``name``, for the end of a message."""
        return f"--limit {name}={rounded_up(max(needed, getattr(self, name) + 1))} accepts it if you trust the file"


def parse(name: str, text: str) -> int:
    """Read ``2G``, ``1.5M``, ``100k`` or ``50000`` as the value of limit ``name``; raises UsageError."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([kmgt]?)\s*", text, re.IGNORECASE | re.ASCII)
    value = float(match[1]) * SUFFIXES[match[2].lower()] if match else 0.0
    if value < 1 or value > 1e18:
        raise UsageError(f"--limit {name}={text}: a number from 1 on is needed, such as 50000, 500M or 2G")
    return int(match[1]) * SUFFIXES[match[2].lower()] if match and match[1].isdigit() else round(value)


def amount(number: int) -> str:
    """Return a number in its unit, such as ``8G`` or ``80M``, as ``parse`` reads it; rounded to three digits."""
    for suffix, size in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if number >= size:
            return f"{number / size:.3g}{suffix}" if number < 1000 * size else f"{number / size:.0f}{suffix}"
    return f"{number:,}"


def rounded_up(number: int) -> str:
    """Return the least number of two digits that is not below ``number``, in its unit."""
    for suffix, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            step = 10 ** max(0, math.floor(math.log10(number)) - 1)
            up = -(-number // step) * step
            return f"{up / size:g}{suffix}"
    return str(number)
