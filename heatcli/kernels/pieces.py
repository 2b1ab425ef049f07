"""Elementwise work piece by piece, so that what several steps share stays in a core's cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

PIECE = 1 << 16
"""About how many elements a piece has: 256 KiB of float32."""


def pieces(array: np.ndarray) -> Iterator[Any]:
    """Yield places in ``array``, stretches of axis 1, that together are all of it.

    Sharing them out to threads does not pay: they compete with those of the matrix products, which keep spinning.
    """
    if array.ndim < 2:
        yield (...,)
        return
    length = array.shape[1]
    count = max(1, min(length, array.size // PIECE))
    for place in range(count):
        yield slice(None), slice(length * place // count, length * (place + 1) // count)
