"""Reads, writes and lists whole files by their place: a path of this machine here, a URL through ``remote``."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from heatcli.places import addresses, remote
from heatcli.replacing import replacing

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z][A-Za-z0-9+.-]+)*://")
"""A scheme has two letters at least: ``C:`` is a drive."""
MOST_BYTES = 1 << 30
"""What a picture may be large, as a file of a remote storage or a member of an archive."""


def is_remote(place: str) -> bool:
    """Whether it is a URL and not a path of this machine."""
    return "://" in place and URL.match(place) is not None


def local(text: str) -> str:
    """Return what was typed, a ``file://`` URL as the path it stands for."""
    if text[:7].lower() != "file://":
        return text
    from urllib.parse import unquote, urlsplit
    from urllib.request import url2pathname

    path = urlsplit(text).path
    return path if os.path.lexists(path) and unquote(path) != path else url2pathname(path)


def absolute(path: str) -> str:
    """Return a path of this machine as it is seen from everywhere; ``..`` stays, since links decide what it means."""
    return os.path.join(os.getcwd(), path)


def seen_from(base: str, place: str) -> str:
    """Return ``place`` as it is seen from the folder ``base``; URLs and absolute paths stay as they are."""
    return place if is_remote(place) else os.path.join(base, place)


def shown(place: str) -> str:
    """Return ``place`` as people and records may see it: without credentials and signatures."""
    return addresses.shown(place) if is_remote(place) else place


def joined(folder: str, below: str) -> str:
    """Return the place of ``below``, written with slashes, in ``folder``."""
    if is_remote(folder):
        return f"{folder.rstrip('/')}/{below}"
    if folder in ("", "."):
        return below.replace("/", os.sep)
    return os.path.join(folder, below.replace("/", os.sep))


def parent(place: str) -> str:
    """Return the folder that ``place`` lies in."""
    if is_remote(place):
        return place.rpartition("/")[0]
    return os.path.dirname(place) or "."


def read(place: str, limit: int = MOST_BYTES) -> bytes:
    """Return the content of the file; raises OSError where it cannot be read or is larger than ``limit`` bytes."""
    if is_remote(place):
        return remote.read(place, limit)
    with Path(place).open("rb") as stream:
        return remote.bounded(stream, limit)


def write(place: str, content: bytes, *, within: str | None = None) -> None:
    """Write the file at ``place`` whole or not at all; makes its folder. Raises OSError.

    No link leads out of the folder ``within``, if given, or to another name in it; see ``replacing``.
    """
    if is_remote(place):
        remote.write(place, content)
        return
    with replacing(Path(place), within=None if within is None else Path(within)) as stream:
        stream.write(content)


def fetch(place: str, stream: BinaryIO) -> None:
    """Write to ``stream`` what the file at ``place`` holds, however large. Raises OSError."""
    if is_remote(place):
        remote.fetch(place, stream)
        return
    with Path(place).open("rb") as source:
        shutil.copyfileobj(source, stream)


def send(file: Path, place: str) -> None:
    """Write the file at ``place`` with what a ``file`` of this machine holds, however large. Raises OSError."""
    if is_remote(place):
        remote.send(file, place)
        return
    with file.open("rb") as source, replacing(Path(place)) as stream:
        shutil.copyfileobj(source, stream)


def remove(place: str) -> None:
    """Remove the file at ``place`` if it is there. Raises OSError."""
    if is_remote(place):
        remote.remove(place)
    else:
        Path(place).unlink(missing_ok=True)


def modified(place: str) -> int | None:
    """Return when the file at ``place`` was last changed, in nanoseconds; None where it is not there or unknown."""
    if is_remote(place):
        return remote.modified(place)
    try:
        return os.stat(place).st_mtime_ns
    except OSError:
        return None


def listed(folder: str) -> dict[str, int | None]:
    """Return every file below ``folder`` and when it was last changed, in nanoseconds (None: unknown).

    The keys are what ``joined(folder, below)`` gives. Nothing is there where there is no such folder. Of a remote
    storage this is one question, and raises OSError where it has no answer.
    """
    if is_remote(folder):
        return {joined(folder, below): changed for below, changed in remote.listed(folder).items()}
    found: dict[str, int | None] = {}
    waiting = [folder or "."]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(joined(here, entry.name))
                    else:
                        with suppress(OSError):  # a link that leads nowhere
                            found[joined(here, entry.name)] = entry.stat().st_mtime_ns
        except OSError:  # it is not there, or closed to us: then nothing in it can be relied on
            continue
    return found


def oversized(size: int) -> str | None:
    """Return why a file of ``size`` bytes is not read, None where it is."""
    return f"{size:,} bytes are more than a picture can have ({MOST_BYTES:,})" if size > MOST_BYTES else None


def reason(error: OSError) -> str:
    """Return in a line why a file could not be read or written, without its name."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return " ".join(str(error.strerror or error).split()) or type(error).__name__
