"""The part of a model that has been fetched so far: a private file in the cache, of one process at a time."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from heatcli.errors import HeatcliError
from heatcli.opening import reason

if sys.platform != "win32":
    import fcntl

END = ".part"
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
OWN = 0o600
ATTEMPTS = 3


class Part:
    """An open file that grows towards ``target`` and takes its place at the end; what a killed run left goes on.

    Its name is that of ``target`` with ``.part``, or one of its own where another process fetches the same. It is made
    for its owner alone; of what was there before only that is taken over which the owner alone can have written: no
    links, no pipes, no files of others. Errors of the disk are raised as HeatcliError.
    """

    def __init__(self, target: Path) -> None:
        """Open the part of ``target``."""
        self.target, self.size = target, 0
        self._kept = self._path = target.with_name(f"{target.name}{END}")
        try:
            self._descriptor = self._opened()
            self.size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file. It stays for a later run, unless it is empty or has a name that no later run looks for."""
        if self._descriptor < 0:
            return
        drop = not self.size or self._path != self._kept
        if sys.platform == "win32":  # what is open cannot be removed there
            self._close()
        if drop:
            with suppress(OSError):
                self._path.unlink()
        self._close()

    def write(self, block: bytes) -> None:
        """Append ``block``."""
        left = memoryview(block)
        try:
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            while left:
                written = os.write(self._descriptor, left)
                self.size += written
                left = left[written:]
        except OSError as error:
            raise self._failure(error) from error

    def clear(self) -> None:
        """Forget all that is here."""
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise self._failure(error) from error
        self.size = 0

    def sha256(self) -> str:
        """Return the checksum of what is here."""
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            with os.fdopen(self._descriptor, "rb", closefd=False) as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise self._failure(error) from error

    def finish(self) -> None:
        """Put the file in the place of ``target``, for those to read who may read its folder."""
        try:
            if sys.platform != "win32":
                os.fchmod(self._descriptor, OWN | (self.target.parent.stat().st_mode & 0o044))
            os.fsync(self._descriptor)
            if sys.platform == "win32":
                self._close()
            self._path.replace(self.target)
        except OSError as error:
            raise HeatcliError(f"{self.target}: cannot be put in place ({reason(error)})") from error
        self._close()

    def _opened(self) -> int:
        """Return the descriptor of what was left to go on with, or of a new file."""
        for _ in range(ATTEMPTS):  # names come and go
            if (descriptor := self._left()) is not None:
                return descriptor
        self._path = self.target.with_name(f"{self.target.name}.{secrets.token_hex(8)}{END}")
        return os.open(self._path, FLAGS | os.O_EXCL, OWN)

    def _left(self) -> int | None:
        """Return the descriptor of the file that later runs go on with, made or taken over; None where it is not free.

        What is no file of ours alone is taken out of the way.
        """
        if sys.platform == "win32":  # nothing there says whether another process is at it
            return None
        try:
            descriptor = os.open(self._kept, FLAGS | os.O_NONBLOCK, OWN)
        except OSError:  # a link, a folder, a file of somebody else's; if it is the disk, the next file says so
            self._put_away()
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if not os.path.samestat(found, self._kept.lstat()):  # whoever had it has put it in place meanwhile
                os.close(descriptor)
            elif _of_ours_alone(found):
                return descriptor
            else:
                self._put_away()
                os.close(descriptor)
        except OSError:
            os.close(descriptor)
        return None

    def _put_away(self) -> None:
        with suppress(OSError):
            if stat.S_ISDIR(self._kept.lstat().st_mode):
                self._kept.rmdir()
            else:
                self._kept.unlink()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _failure(self, error: OSError) -> HeatcliError:
        return HeatcliError(f"{self._path}: cannot be written ({reason(error)})")


def _of_ours_alone(status: os.stat_result) -> bool:
    """Whether a file with this ``status`` can only have been written by its owner, who is us."""
    own = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    own = own and (sys.platform == "win32" or status.st_uid == os.geteuid())
    return own and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
