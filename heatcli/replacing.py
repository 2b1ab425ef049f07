"""Writes a file whole or not at all: to a temporary file in the same folder, then renamed."""

from __future__ import annotations

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
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` when the block ends without an exception; makes its folder.

    A link keeps pointing where it does, the file behind it is replaced; a device or pipe is written directly.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as stream:
            yield stream
        return
    path = path.resolve()
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


def drop_unfinished() -> None:
    """Remove the temporary files of this process, which must end right after it: what its threads write is lost."""
    while _unfinished:  # a thread may begin with the next file meanwhile
        with suppress(OSError, KeyError):
            _unfinished.pop().unlink()


def is_leftover(name: str) -> bool:
    """Whether a file of this name, without its folder, is a temporary one that was left behind."""
    return LEFTOVER.fullmatch(name) is not None
