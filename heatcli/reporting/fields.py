"""Takes single values out of a record that may be older than this version or edited: None for what is not there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def at(record: Any, *path: str) -> Any:
    """Return what stands at ``path`` in nested objects, None where there is nothing."""
    for name in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def number(value: Any) -> float | None:
    """Return ``value`` where it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """Return ``value`` where it is a whole number of at most 63 bits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None


def text(value: Any) -> str | None:
    """Return ``value`` where it is text."""
    return value if isinstance(value, str) else None


def listed(value: Any) -> list[Any]:
    """Return ``value`` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def share(part: float | None, whole: float | None) -> float | None:
    """Return ``part/whole``, None where one is missing or the whole is 0."""
    return number(part / whole) if part is not None and whole else None
