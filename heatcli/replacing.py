"""Writes a file whole or not at all: to a temporary file in the same folder, then renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PART = ".part"
"""How the names of temporary files end, which begin with a dot; a killed run can leave some behind."""
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)

_unfinished: set[Path] = set()


@contextmanager
def replacing(path: Path, *, within: Path | None = None) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` when the block ends without an exception; makes its folder.

    A link keeps pointing where it does, the file behind it is replaced; a device or pipe is written directly. That is
    for a name that somebody typed. One that was made up goes ``within`` a folder: a link or pipe that stands in its
    place is replaced itself, and OSError is raised where a link above it leads out of that folder.
    """
    if within is None and path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as stream:
            yield stream
        return
    path = Path(os.path.realpath(path)) if within is None else _kept_within(path, within)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}{PART}")
    _unfinished.add(temporary)
    try:
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def leads_out(path: Path, folder: Path) -> bool:
    """Whether ``path``, with all links in it followed, lies outside ``folder``."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _kept_within(path: Path, folder: Path) -> Path:
    """Return ``path`` without links above its name; raises OSError where these lead out of ``folder``."""
    if leads_out(path.parent, folder):
        raise OSError(errno.ELOOP, "a link in its place leads out of the output folder", str(path))
    return Path(os.path.realpath(path.parent), path.name)


def drop_unfinished() -> None:
    """Remove the temporary files of this process, which must end right after it: what its threads write is lost."""
    while _unfinished:  # a thread may begin with the next file meanwhile
        with suppress(OSError, KeyError):
            _unfinished.pop().unlink()


def is_leftover(name: str) -> bool:
    """Whether a file of this name, without its folder, is a temporary one that was left behind."""
    return LEFTOVER.fullmatch(name) is not None
