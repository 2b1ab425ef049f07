"""One input of a batch: what it is called, where it lies, and its place below the output folder."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from heatcli.batch import archives, naming, storage
from heatcli.errors import PictureError

TENSOR_SUFFIXES = frozenset([".npy"])
STDIN = "-"

Holds = Literal["files", "tar", "zip"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What items that were found together share, so that each of them stays small: a folder or an archive.

    ``name`` is what their names begin with, as it was typed and without credentials. ``place`` is the absolute folder
    or URL with the slash at its end, or the archive itself; None for stdin. ``below`` is the folder below the output
    folder that they go to, with a slash at its end. ``after`` is what a URL has behind the name, such as a signature;
    ``content`` is what was read of stdin before.
    """

    name: str
    place: str | None
    below: str = ""
    after: str = ""
    holds: Holds = "files"
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One input: ``inner`` is its name inside the ``origin``, written with slashes.

    ``problem`` says why it cannot be read, where that is known before: a folder that cannot be searched. ``start`` and
    ``size`` say where a member of an archive is: first byte and length in a tar, place in the directory and unpacked
    length in a zip. It is all that a worker on another machine needs to read the picture.
    """

    origin: Origin
    inner: str
    problem: str | None = None
    start: int = 0
    size: int = 0

    @property
    def name(self) -> str:
        """What it is called in reports and records: what was typed, without credentials."""
        return self.origin.name + self.inner

    @property
    def place(self) -> str | None:
        """The file or URL that holds it, for a member of an archive the archive; None for stdin."""
        origin = self.origin
        if origin.place is None or origin.holds != "files":
            return origin.place
        return origin.place + self.inner + origin.after

    @property
    def below(self) -> str:
        """Its place below the output folder, written with slashes; it never leads out of that."""
        return naming.safe(self.origin.below + self.inner)

    @property
    def is_stdin(self) -> bool:
        """Whether it comes through stdin."""
        return self.origin.place is None

    @property
    def is_member(self) -> bool:
        """Whether it lies in an archive."""
        return self.origin.holds != "files"

    @property
    def called(self) -> str:
        """What people are told: the name, or stdin."""
        return "stdin" if self.is_stdin else self.name

    @property
    def is_tensor(self) -> bool:
        """Whether the file holds a network input as an array instead of a picture."""
        return os.path.splitext(self.origin.below + self.inner)[1].lower() in TENSOR_SUFFIXES

    @property
    def relative(self) -> PurePosixPath:
        """The place below the output folder."""
        return PurePosixPath(self.below)

    @property
    def path(self) -> Path | None:
        """The file itself where it is one of this machine, else None: stdin, URLs, members of archives."""
        place = self.place
        return None if place is None or self.is_member or storage.is_remote(place) else Path(place)

    def picture(self) -> Path | bytes:
        """Return what ``Explainer.explain`` takes: the path, or the bytes; raises PictureError where there are none.

        The path is the one that was typed where this leads to the same file.
        """
        if self.problem:
            raise PictureError(f"{self.called}: {self.problem}")
        place = self.place
        if place is None:
            return stdin_bytes() if self.origin.content is None else self.origin.content
        try:
            if self.origin.holds == "tar":
                return archives.tar_member(place, self.start, self.size)
            if self.origin.holds == "zip":
                return archives.zip_member(place, self.start, self.inner, self.size)
            if storage.is_remote(place):
                return storage.read(place)
        except OSError as error:
            raise PictureError(f"{self.name}: {storage.reason(error)}") from error
        return Path(self.name if storage.absolute(self.name) == place else place)


def carried(item: Item) -> Item:
    """Return an item that a worker elsewhere can read: what came through stdin goes with it."""
    if not item.is_stdin or item.problem is not None:
        return item
    try:
        return replace(item, origin=replace(item.origin, content=stdin_bytes()))
    except PictureError as error:
        return replace(item, problem=str(error).removeprefix("stdin: ").removeprefix("stdin "))


def single(name: str, place: str | None, below: str, problem: str | None = None) -> Item:
    """Return an item that shares nothing with others."""
    split = len(below) if below and name.endswith(below) and (place or "").endswith(below) else 0
    if place is None or not split:
        return Item(Origin(name, place, below), "", problem)
    return Item(Origin(name[:-split], place[:-split]), below, problem)


def stdin_bytes() -> bytes:
    """Return what stdin holds: the bytes of a picture or of an .npy tensor; raises PictureError for an endless pipe."""
    content = sys.stdin.buffer.read(storage.MOST_BYTES + 1)
    if not content:
        raise PictureError("stdin is empty; pipe a picture into heatcli")
    if len(content) > storage.MOST_BYTES:
        raise PictureError(f"stdin: more than {storage.MOST_BYTES >> 30} GiB came in; that is no picture")
    return content
