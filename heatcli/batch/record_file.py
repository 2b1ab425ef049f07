"""The file of records: one a line, appended while a batch runs; whole lines survive whatever ends it."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from heatcli.batch.records import SCHEMA, Record, line
from heatcli.errors import OutputError, UsageError
from heatcli.opening import STRANGE, Irregular, opened
from heatcli.replacing import leads_out, replacing

if sys.platform != "win32":
    import fcntl


LONGEST = 1 << 26
"""Bytes that a line has at most."""


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file in order; lines that were torn by a crash and foreign schemas are left out."""
    for row in lines(path):
        entry = parsed(row)
        if entry is not None:
            yield entry


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file of records as they are, none where there is no such file.

    What is longer than any record comes in pieces, so that no file of another kind fills the memory. Raises UsageError
    for what is no regular file.
    """
    try:
        with opened(path) as stream:
            while row := stream.readline(LONGEST):
                yield row
    except FileNotFoundError:
        return
    except Irregular as error:
        raise UsageError(f"{path}: {error.strerror}; move it away, or give another output folder with -o") from None


def parsed(row: bytes) -> Record | None:
    """Return the record in a line, None for a torn one and for anything else."""
    if not row.endswith(b"\n"):
        return None
    try:
        entry: Any = json.loads(row)
    except (ValueError, RecursionError):  # RecursionError: brackets in brackets, thousands deep
        return None
    return entry if isinstance(entry, dict) and entry.get("schema") == SCHEMA and _is_whole(entry) else None


def _is_whole(entry: Record) -> bool:
    """Whether what a later run goes by is of the kind that it always is; files can be edited by hand."""
    model, settings = entry.get("model") or {}, entry.get("settings") or {}
    objects = isinstance(model, dict) and isinstance(settings, dict) and isinstance(settings.get("options") or {}, dict)
    return objects and isinstance(entry.get("input"), str)


class RecordFile:
    """A file of records that is open for more, locked against a second run; removed again where nothing was added."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at ``path``; raises UsageError where another run has it, OutputError if it cannot."""
        self.path, self._made = path, False
        self._stream = self._opened()

    def keep(self, wanted: Callable[[Record], bool]) -> None:
        """Keep those records that are ``wanted``, in their order; torn lines go. One line is held at a time.

        Raises UsageError where the file holds something else than records, which is then left as it is.
        """
        if all(keep for _, keep in self._judged(wanted)):
            return
        try:
            if sys.platform == "win32":  # what is open cannot be replaced there
                self._stream.close()
            with replacing(self.path) as stream:
                _lock(stream, self.path)
                stream.writelines(row for row, keep in self._judged(wanted) if keep)
                stream.flush()
                if sys.platform != "win32":  # the lock is held on when this takes the place: no run may come between
                    kept = FileIO(os.dup(stream.fileno()), "ab")
        except OSError as error:
            raise self._cannot(error) from error
        self._stream.close()
        self._stream = self._opened() if sys.platform == "win32" else kept

    def _judged(self, wanted: Callable[[Record], bool]) -> Iterator[tuple[bytes, bool]]:
        """Yield every line and whether it is kept; raises UsageError for one that is whole and no record."""
        for number, row in enumerate(lines(self.path), start=1):
            entry = parsed(row)
            if entry is None and row.endswith(b"\n") and row.strip():  # what a crash has torn has no end
                raise UsageError(
                    f"{self.path}: line {number} is no record of this version of heatcli\n"
                    "Move the file away, or give another output folder with -o."
                )
            yield row, entry is not None and wanted(entry)

    def add(self, *entries: Record) -> None:
        """Append records in one write, so that the heatmaps of one picture are there together or not at all.

        Raises OutputError where that cannot be done, or the file is no longer the one that was opened; it is then as
        it was.
        """
        content = memoryview(b"".join((line(entry) + "\n").encode() for entry in entries))
        place = self._stream.seek(0, os.SEEK_END)
        try:
            if not self._is_in_place():
                raise OutputError(f"{self.path} was removed or replaced while this run was writing to it")
            while content:  # the disk may take a part
                content = content[os.write(self._stream.fileno(), content) :]
        except BaseException as error:  # an interrupt among them
            if content:
                with suppress(OSError):
                    self._stream.truncate(place)
            if isinstance(error, OSError):
                raise self._cannot(error) from error
            raise

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        with suppress(OSError):
            os.fsync(self._stream.fileno())
            if self._stream.seek(0, os.SEEK_END) == 0 and self._is_in_place():
                self.path.unlink()
                if self._made:
                    self.path.parent.rmdir()
        self._stream.close()

    def _opened(self) -> FileIO:
        try:
            self._made |= not self.path.parent.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.path.is_file() and not self.path.is_dir():  # a pipe waits for a reader
                raise OSError(errno.EINVAL, STRANGE, str(self.path))
            if leads_out(self.path, self.path.parent):
                raise OSError(errno.ELOOP, "it is a link that leads out of the output folder", str(self.path))
            while True:
                stream = self.path.open("ab", buffering=0)
                _lock(stream, self.path)
                if self._is_in_place(stream):
                    return stream
                stream.close()  # another run put a new file in its place before the lock was ours
        except OSError as error:
            raise self._cannot(error) from error

    def _is_in_place(self, stream: FileIO | None = None) -> bool:
        """Whether what is open is still the file of that name."""
        try:
            return os.path.samestat(os.fstat((stream or self._stream).fileno()), self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _cannot(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self.path}: {error.strerror or error}")


def _lock(stream: BinaryIO | FileIO, path: Path) -> None:
    if sys.platform == "win32":  # no locks of that kind there: two runs at once are the user's to avoid
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise UsageError(
            f"{path.parent}: another heatcli is writing there; wait for it, or give another output folder"
        ) from None
    except OSError:  # a file system without locks
        return
