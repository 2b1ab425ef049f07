"""Finds the files that records name, also when their folder has moved or the command is run from elsewhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from urllib.parse import quote

TRIED = 100
"""So many outputs are looked at to find out what of their names leads to the folder of the records."""


class Places:
    """Where the files of a run lie: outputs below the folder of its records, inputs as the run saw them.

    Records name files as they were typed, relative to the folder in which the run was started. The outputs tell which
    one that was: the part of their names that leads to the folder of the records.
    """

    def __init__(self, folder: Path, outputs: Iterable[str]) -> None:
        """Settle where the run was started by some of the ``outputs`` of the records in ``folder``."""
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links in it are left as they are
        found: Counter[int] = Counter()
        for name in [*outputs][:TRIED]:
            parts = _relative(name)
            leading = (count for count in range(len(parts)) if _exists(self._folder.joinpath(*parts[count:])))
            found.update([next(leading, -1)])
        del found[-1]
        self._leading = found.most_common(1)[0][0] if found else None
        self._start = self._folder
        for _ in range(self._leading or 0):
            self._start = self._start.parent

    def output(self, name: str | None) -> Path | None:
        """Return the file of a heatmap, None where it is not there."""
        if not name:
            return None
        parts = _relative(name)
        if parts and self._leading is not None:
            below = self._folder.joinpath(*parts[self._leading :])
            if _exists(below):
                return below
        return self._as_typed(name)

    def input(self, name: str | None) -> Path | None:
        """Return the file of a picture, None where it is not there."""
        if not name:
            return None
        beside = self._start / name
        return beside if _exists(beside) else self._as_typed(name)

    @staticmethod
    def _as_typed(name: str) -> Path | None:
        path = Path(name).absolute()
        return path if _exists(path) else None


def link(path: Path, page: Path) -> str | None:
    """Return the relative address of ``path`` on a page at ``page``, percent-encoded.

    None where the file lies neither below the page's folder nor below the one that holds it: such an address says more
    about this machine than about the run, and is wrong on every other one. It starts with a dot, so that no name can
    be taken for a scheme.
    """
    try:
        relative = os.path.relpath(path.absolute(), page.absolute().parent)
    except ValueError:  # another drive
        return None
    parts = PurePath(relative).parts
    if not parts or os.pardir in parts[1:]:  # the folder itself is no picture
        return None
    address = quote(os.fsencode("/".join(parts)))
    return address if parts[0] == os.pardir else f"./{address}"


def _relative(name: str) -> tuple[str, ...]:
    """Return the parts of a relative name, none for an absolute one or one that leads upward."""
    path = PurePath(name)
    return () if path.is_absolute() or os.pardir in path.parts else path.parts


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, a null byte, a closed folder
        return False
