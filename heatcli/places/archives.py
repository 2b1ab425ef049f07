"""Members of .tar and .zip archives: where they lie and what they hold; nothing is unpacked to disk.

Members of a tar are read by first byte and length, those of a zip through the archive's directory, which is kept open.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, NamedTuple, cast

from heatcli.opening import opened
from heatcli.places import remote, storage
from heatcli.places.remote import StorageError

COMPRESSED = (
    *(".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.lzma", ".tar.zst", ".tzst", ".tar.lz4"),
)
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}
BLOCK = tarfile.BLOCKSIZE
MOST_OPEN = 8
"""Zip archives that a process keeps open."""
HEADERS = 1 << 20
"""Bytes that the headers of one member of a tar may take: long names, times and attributes are in them."""
DIGITS = re.compile(rb"\d{300}")
"""So many in a row stand in no header; tarfile of older Python versions takes the square of their number in time."""


class ArchiveError(StorageError):
    """An archive or a member cannot be read; the message says why in one line, without the name."""


class Member(NamedTuple):
    """A file in an archive; ``start`` and ``size`` are what ``Item`` says, ``problem`` why it cannot be read."""

    name: str
    start: int
    size: int
    problem: str | None = None


def kind(name: str) -> Literal["tar", "zip"] | None:
    """Return what kind of archive a file is by its name, None for others."""
    lowered = name.lower()
    if lowered.endswith(".tar"):
        return "tar"
    return "zip" if lowered.endswith(".zip") else None


def is_compressed(name: str) -> bool:
    """Whether a file is a compressed tar by its name."""
    return name.lower().endswith(COMPRESSED)


def refusal(name: str) -> str:
    """Return why a compressed tar is not read."""
    return (
        f"a compressed tar ({name.rpartition('.')[2]}) has no random access: to read one member, all before it are "
        "unpacked; make it a .tar or a .zip"
    )


def members(place: str, holds: Literal["tar", "zip"]) -> Iterator[Member]:
    """Yield every regular file of an archive, as they lie in it; links, devices and sparse files are left out.

    Raises ArchiveError or OSError where it cannot be read, or from some place on.
    """
    with _stream(place) as stream:
        yield from _of_tar(stream) if holds == "tar" else _of_zip(stream)


def tar_member(place: str, start: int, size: int) -> bytes:
    """Return ``size`` bytes from ``start`` on; raises ArchiveError where no member of this size begins there."""
    begin = start - BLOCK
    if storage.is_remote(place):
        content = remote.part(place, begin, BLOCK + size)
    else:
        with opened(place) as stream:
            stream.seek(begin)
            content = stream.read(BLOCK + size)
    try:
        header = tarfile.TarInfo.frombuf(content[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        header = None
    if header is None or header.size != size or len(content) != BLOCK + size:
        raise ArchiveError("the archive has changed since it was searched; run the command again")
    return content[BLOCK:]


def zip_member(place: str, start: int, name: str, size: int) -> bytes:
    """Return member number ``start``; raises ArchiveError where it has another name or size, or is broken."""
    held = _zips.opened(place)
    with held.lock, _translated("zip member"):
        listed = held.archive.infolist()
        info = listed[start] if start < len(listed) else None
        if info is None or info.filename.removeprefix("./") != name or info.file_size != size:
            raise ArchiveError("the archive has changed since it was searched; run the command again")
        with held.archive.open(info) as stream:
            content = remote.bounded(cast("BinaryIO", stream), size)
    if len(content) != size:
        raise ArchiveError(f"broken zip member ({len(content):,} bytes of {size:,})")
    return content


def _of_tar(stream: BinaryIO) -> Iterator[Member]:
    total = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    first = stream.read(8)
    packed = next((name for magic, name in MAGIC.items() if first.startswith(magic)), None)
    if packed is not None:
        raise ArchiveError(refusal(f".{packed}"))
    stream.seek(0)
    headers = _Headers(stream)
    with _translated("tar"), tarfile.open(fileobj=cast("BinaryIO", headers), mode="r:") as archive:
        before = 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # which would hold all of them
            headers.left = HEADERS
            if info.size < 0 or archive.offset <= before:  # the next one would be this one or an earlier one again
                raise ArchiveError(f"the archive is broken from byte {before:,} on; what lies before is taken")
            before = archive.offset
            if info.isreg() and info.offset_data + info.size > total:
                raise ArchiveError(f"the archive is cut off in the middle of {info.name}; what lies before is taken")
            if info.isreg() and not info.issparse():
                problem = storage.oversized(info.size)
                yield Member(info.name.removeprefix("./"), info.offset_data, info.size, problem)
        # tarfile takes a broken header for the end, where zeros or nothing should be
        stream.seek(archive.offset)
        if stream.read(BLOCK).strip(b"\0"):
            raise ArchiveError(f"the archive is broken from byte {archive.offset:,} on; what lies before is taken")


def _of_zip(stream: BinaryIO) -> Iterator[Member]:
    with _translated("zip"), zipfile.ZipFile(stream) as archive:
        for place, info in enumerate(archive.infolist()):
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                continue
            problem = "is encrypted; unpack it with its password first" if info.flag_bits & 1 else None
            problem = problem or storage.oversized(info.file_size)
            yield Member(info.filename.removeprefix("./"), place, info.file_size, problem)


@contextmanager
def _stream(place: str) -> Iterator[BinaryIO]:
    if storage.is_remote(place):
        with remote.opened(place) as stream:
            yield stream
    else:
        with opened(place) as stream:
            yield stream


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn whatever tarfile, zipfile and the decompressors raise into an ArchiveError."""
    try:
        yield
    except StorageError:
        raise
    except tarfile.ReadError as error:
        cut = "unexpected end" in str(error)
        said = "the archive is cut off; what lies before is taken" if cut else f"no tar archive, or broken ({error})"
        raise ArchiveError(said) from error
    except NotImplementedError as error:
        raise ArchiveError(f"packed in a way that is not read ({error}); pack it anew") from error
    except Exception as error:  # zlib.error, EOFError, struct.error, ValueError and others, by archive and version
        if isinstance(error.__context__, StorageError):  # which zipfile takes for no archive at all
            raise error.__context__ from None
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise ArchiveError(f"broken {what} ({text})") from error


class _Headers:
    """What tarfile reads of an archive while its members are listed: the headers of one are ``left`` so many bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.left = stream, HEADERS
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise ArchiveError(f"a header has more than the {HEADERS:,} bytes that are read; what lies before is taken")
        content = self._stream.read(size)
        if size > BLOCK and DIGITS.search(content):
            raise ArchiveError("a header holds a number that is too long; what lies before is taken")
        return content


class _OpenZip:
    """An archive whose directory has been read; it closes when nobody holds it."""

    def __init__(self, place: str) -> None:
        self.lock = threading.Lock()
        with _translated("zip"):
            self.stream = remote.kept_open(place) if storage.is_remote(place) else None
            if self.stream is None:
                opened(place).close()  # it is a regular file; zipfile opens it by its name, and closes it by itself
            self.archive = zipfile.ZipFile(place if self.stream is None else self.stream)


class _Zips:
    """The zip archives that this process holds open: the last few, by place, time of change and size."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: OrderedDict[tuple[str, int, int], _OpenZip] = OrderedDict()

    def opened(self, place: str) -> _OpenZip:
        about = None if storage.is_remote(place) else os.stat(place)
        key = (place, 0, 0) if about is None else (place, about.st_mtime_ns, about.st_size)
        with self.lock:
            found = self.kept.get(key)
            if found is None:
                found = self.kept[key] = _OpenZip(place)
                if len(self.kept) > MOST_OPEN:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(key)
            return found


_zips = _Zips()


def _forget() -> None:
    """Begin anew: a forked process shares the place of reading in open files with the one that it came from."""
    global _zips
    _zips = _Zips()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
