"""Finds names that occur more than once among very many, in 8 bytes a name."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise


def repeated(names: Callable[[], Iterable[str]]) -> list[str]:
    """Return what occurs more than once among ``names``, in the order of its first mention.

    ``names`` is called twice where that can be: first only hashes are kept and compared, then the few names
    that have one in common.
    """
    hashes = sorted(array("q", map(hash, names())))
    shared = {one for one, other in pairwise(hashes) if one == other}
    if not shared:
        return []
    counts = Counter(name for name in names() if hash(name) in shared)
    return [name for name, times in counts.items() if times > 1]
