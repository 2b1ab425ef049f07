"""Open a file that nobody vouches for: a regular one only, and no more of it than is allowed."""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

MOST_JSON = 16 << 20
"""Bytes of a JSON file at most: settings, labels, configurations."""

PIECE = 1 << 16
"""Bytes that are read at a time where nobody knows how many will come."""
STRANGE = "is a pipe or a device, not a regular file"


class Irregular(OSError):
    """What has that name is no regular file; ``strerror`` says what it is."""


class TooLarge(OSError):
    """The file is larger than what is read of its kind; ``strerror`` says how much that is."""


def opened(path: str | Path) -> BufferedReader:
    """Open the regular file at ``path``, which may be a link to one, for reading.

    Raises Irregular for a folder, a named pipe, a socket or a device, before it is opened and again when it is; and
    OSError, or ValueError for a name that no file can have.
    """
    _refuse(Path(path).stat(), path)  # opening a device can do something; opening a named pipe waits for a writer
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        _refuse(os.fstat(descriptor), path)  # the name may have come to mean something else meanwhile
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def size(stream: BufferedReader) -> int:
    """Return how many bytes an open file has."""
    return os.fstat(stream.fileno()).st_size


def content(path: str | Path, most: int) -> bytes:
    """Return all bytes of the regular file at ``path``; raises TooLarge where they are more than ``most``."""
    with opened(path) as stream:
        return whole(stream, most, size(stream), str(path))


def whole(stream: BinaryIO, most: int, likely: int = 0, name: str = "") -> bytes:
    """Return all bytes of an open file, ``likely`` so many; raises TooLarge where they are more than ``most``.

    Reading so many as may come would take memory for them at once.
    """
    parts, total = [b""], 0
    while likely <= most:
        parts.append(stream.read(max(likely + 1 - total, PIECE)))
        total += len(parts[-1])
        if not parts[-1]:
            return b"".join(parts)
        if total > most:
            break
    raise TooLarge(errno.EFBIG, f"has more than the {most:,} bytes that are read", name)


def read_json(path: str | Path, most: int = MOST_JSON) -> Any:
    """Return the content of a JSON file; raises ValueError where it is broken or nested too deep, and OSError."""
    text = content(path, most).decode("utf-8-sig")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deep") from None


def reason(error: BaseException) -> str:
    """Return why a file could not be opened or read, in a line of at most 200 characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__


def _refuse(status: os.stat_result, path: str | Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Irregular(errno.EISDIR, "is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise Irregular(errno.EINVAL, STRANGE, str(path))
