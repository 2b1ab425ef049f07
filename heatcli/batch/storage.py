"""Reads and writes whole files by name; what a name may be is known here only."""

from __future__ import annotations

import os
from pathlib import Path

from heatcli.replacing import replacing


def write(place: str, content: bytes) -> None:
    """Write the file at ``place`` whole or not at all; makes its folder. Raises OSError."""
    with replacing(Path(place)) as stream:
        stream.write(content)


def modified(place: str) -> int | None:
    """Return when the file at ``place`` was last changed, in nanoseconds; None where it is not there."""
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return None


def listed(folder: str) -> dict[str, int | None]:
    """Return all files below ``folder`` and when each was last changed, in nanoseconds; none where there is no folder.

    Names are ``folder`` and what is below it, as ``Path`` writes them.
    """
    found: dict[str, int | None] = {}
    open_: list[str] = [str(Path(folder))]
    while open_:
        try:
            with os.scandir(open_.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        open_.append(entry.path)
                    else:
                        found[os.path.normpath(entry.path)] = entry.stat().st_mtime_ns
        except OSError:  # what cannot be looked into counts as not there
            continue
    return found


def remove(place: str) -> None:
    """Remove the file at ``place``, if it is there."""
    Path(place).unlink(missing_ok=True)
