"""Which of the files that a folder or an archive holds are taken, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from heatcli.places.items import TENSOR_SUFFIXES

PICTURE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "tif", "tiff", "bmp", "dib"),
        *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "jpx"),
    )
)
"""What counts as a picture when a folder is searched; a file that is named outright is always tried."""
OWN_OUTPUTS = (".heatmap.png", ".heatmap.npy", ".heatmap.npz", ".heatmap.root.png", ".heatmap.root.npy")
NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Selection:
    """Files whose names fit one of ``patterns``; without any, those that look like pictures or tensors.

    Patterns ignore case; one with a slash is held against the whole place below the folder or archive. In archives
    only pictures are taken without patterns: arrays beside pictures are labels and features there. Folders are
    searched with their sub-folders where ``recursive`` is set.
    """

    patterns: tuple[str, ...] = ()
    recursive: bool = True

    def takes(self, below: str, *, archived: bool = False) -> bool:
        """Whether the file at ``below``, written with slashes, is taken; heatmaps that heatcli wrote are as well."""
        if not self.patterns:
            suffix = suffix_of(below)
            return suffix in PICTURE_SUFFIXES or (not archived and suffix in TENSOR_SUFFIXES)
        whole = below.lower()
        name = whole.rpartition("/")[2]
        return any(fits.match(whole if path else name) for fits, path in self._fitting)

    def said(self, *, archived: bool = False) -> str:
        """Return what people are told about files that are taken."""
        if self.patterns:
            return f"--pattern {','.join(self.patterns)} fits none"
        tensors = "" if archived else " or .npy"
        return f"pictures end in {' '.join(sorted(PICTURE_SUFFIXES))}{tensors}; --pattern takes others"

    @cached_property
    def _fitting(self) -> tuple[tuple[re.Pattern[str], bool], ...]:
        return tuple((re.compile(translate(text.lower())), "/" in text) for text in self.patterns)


def selection(patterns: Iterable[str] = (), *, recursive: bool = True) -> Selection:
    """Return the selection of ``patterns``, each of which may hold several with commas between."""
    words = (word.strip() for text in patterns for word in text.split(","))
    return Selection(tuple(word for word in words if word), recursive)


def is_own_output(name: str) -> bool:
    """Whether the name is one that heatcli gives to what it writes."""
    return name.lower().endswith(OWN_OUTPUTS)


def is_hidden(below: str) -> bool:
    """Whether a part of the place begins with a dot, or is what macOS puts into archives."""
    if "/." not in below and not below.startswith((".", "__MACOSX/")):
        return False
    return any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in below.split("/"))


def suffix_of(below: str) -> str:
    """Return the suffix of a name with its dot, in small letters."""
    name = below.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem.strip(".") else ""


def natural_order(below: str) -> str:
    """Sort key that puts picture2 before picture10, ignoring case, folder by folder."""
    return NUMBER.sub(_by_size, below.casefold().replace("/", "\0"))


def _by_size(number: re.Match[str]) -> str:
    """Return a number so that its text sorts by its size: the count of its digits goes before them."""
    digits = number[0].lstrip("0")
    return f"\1{chr(len(digits))}{digits}"
