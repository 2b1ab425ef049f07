"""Reads and writes whole files by name; what a name may be is known here only."""

from __future__ import annotations

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
