"""One input of a batch: what it is called, where it lies, and its place below the output folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from heatcli.errors import PictureError

TENSOR_SUFFIXES = frozenset([".npy"])
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Item:
    """One input: ``name`` as it is reported, ``place`` where it lies (None for stdin), ``below`` where its output goes.

    ``below`` is the place below the output folder, written with slashes. ``problem`` says why it cannot be read, where
    that is known before: a folder that cannot be searched.
    """

    name: str
    place: str | None
    below: str
    problem: str | None = None

    @property
    def is_stdin(self) -> bool:
        """Whether it comes through stdin."""
        return self.place is None

    @property
    def called(self) -> str:
        """What people are told: the name, or stdin."""
        return "stdin" if self.is_stdin else self.name

    @property
    def is_tensor(self) -> bool:
        """Whether the file holds a network input as an array instead of a picture."""
        return self.relative.suffix.lower() in TENSOR_SUFFIXES

    @property
    def relative(self) -> PurePosixPath:
        """The place below the output folder."""
        return PurePosixPath(self.below)

    @property
    def path(self) -> Path | None:
        """The file itself where it is one of this machine, else None."""
        return None if self.place is None else Path(self.place)

    def picture(self) -> Path | bytes:
        """Return what ``Explainer.explain`` takes: the path, or the bytes; raises PictureError where there are none."""
        if self.problem:
            raise PictureError(f"{self.name}: {self.problem}")
        return stdin_bytes() if self.place is None else Path(self.place)


def stdin_bytes() -> bytes:
    """Return what stdin holds: the bytes of a picture or of an .npy tensor."""
    content = sys.stdin.buffer.read()
    if not content:
        raise PictureError("stdin is empty; pipe a picture into heatcli")
    return content
