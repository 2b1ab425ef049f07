"""Turns what was typed (files, folders, globs, ``-``) into items, each with its place below the output folder."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heatcli.batch import storage
from heatcli.batch.items import STDIN, TENSOR_SUFFIXES, Item, single
from heatcli.errors import UsageError

PICTURE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "tif", "tiff", "bmp", "dib"),
        *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "jpx"),
    )
)
"""What counts as a picture when a folder is searched; a file that is named outright is always tried."""
OWN_OUTPUTS = (".heatmap.png", ".heatmap.npy", ".heatmap.npz", ".heatmap.root.png", ".heatmap.root.npy")


Found = tuple[Path, str | None]
"""A path, and why it cannot be read where that is known."""


@dataclass(frozen=True)
class Sources:
    """All inputs: ``items`` in order, ``folders`` that were searched, own heatmaps that were ``skipped``.

    ``others`` are the files that fit a pattern and do not look like pictures.
    """

    items: tuple[Item, ...]
    folders: tuple[Path, ...]
    skipped: tuple[Path, ...]
    others: tuple[Path, ...] = ()


def expand(inputs: Sequence[str]) -> Sources:
    """Return every input as items: files as they are, folders and globs searched in natural order.

    A folder is searched with its sub-folders for files that look like pictures or tensors; hidden ones are left out.
    A sub-folder that cannot be searched is an item with a ``problem``. A glob that the shell has not expanded (``**``
    included) is searched for the same kinds of files, keeps the folders below its fixed part, and counts as a folder
    where there are any. Heatmaps that heatcli wrote are left out and listed in ``skipped``. A file that does not
    exist is an item like any other: reading it fails, and the rest goes on. Raises UsageError where a folder or glob
    holds nothing or ``-`` is given twice.
    """
    items: list[Item] = []
    folders: list[Path] = []
    skipped: list[Path] = []
    others: list[Path] = []
    for text in inputs:
        path = Path(text)
        if text == STDIN:
            items.append(single(STDIN, None, "stdin"))
        elif os.path.isdir(text):
            folders.append(path)
            _keep(_below(path), path, items, skipped, f"folder {text}")
        elif glob.has_magic(text) and not os.path.lexists(path):
            base, before = _fixed_part(text), len(items)
            _keep(_matches(text, others), base, items, skipped, f"pattern {text}")
            if any(item.relative.parent.parts for item in items[before:]):
                folders.append(base)
        elif is_own_output(path):
            skipped.append(path)
        else:
            items.append(single(text, storage.absolute(text), path.name))
    if sum(item.is_stdin for item in items) > 1:
        raise UsageError("- (stdin) was given more than once; it holds one picture")
    if not items:
        raise UsageError(
            f"nothing to explain: {skipped[0]} is a heatmap that heatcli wrote" if skipped else "no input was given"
        )
    return Sources(_without_repeats(items), tuple(folders), tuple(skipped), tuple(others))


def is_own_output(path: Path) -> bool:
    """Whether the name is one that heatcli gives to what it writes."""
    return path.name.lower().endswith(OWN_OUTPUTS)


def natural_order(path: Path) -> list[list[str | int]]:
    """Sort key that puts picture2 before picture10, ignoring case, folder by folder."""
    return [
        [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", part.casefold())]
        for part in path.parts
    ]


def _keep(found: Iterable[Found], base: Path, items: list[Item], skipped: list[Path], what: str) -> None:
    """Sort what was found below ``base`` into items and skipped ones; raise UsageError where there is neither."""
    ordered = sorted(found, key=lambda entry: (natural_order(entry[0]), entry[0].parts))
    items_before, skipped_before = len(items), len(skipped)
    for path, problem in ordered:
        if is_own_output(path):
            skipped.append(path)
        else:
            name = str(path)
            items.append(single(name, storage.absolute(name), path.relative_to(base).as_posix(), problem))
    if len(items) == items_before:
        only = "only heatmaps that heatcli wrote" if len(skipped) > skipped_before else "no pictures"
        raise UsageError(f"{what}: {only} there; pictures end in {' '.join(sorted(PICTURE_SUFFIXES))} or .npy")


def _below(folder: Path) -> Iterator[Found]:
    """Yield files that look like pictures or tensors, following links to folders once each.

    A folder that cannot be searched is yielded with the reason.
    """
    seen: set[str] = set()
    closed: list[OSError] = []
    for root, names, files in os.walk(folder, followlinks=True, onerror=closed.append):
        real = os.path.realpath(root)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            path = Path(root) / name
            if not name.startswith(".") and _looks_right(path):
                yield path, None
    for error in closed:
        yield Path(error.filename or folder), f"this folder cannot be searched ({error.strerror or error})"


def _matches(pattern: str, others: list[Path]) -> Iterator[Found]:
    """Yield the pictures and tensors that match; a folder that matches is searched like one that was named.

    Files that match and do not look like either are added to ``others``.
    """
    for name in glob.iglob(pattern, recursive=True):
        path = Path(name)
        if path.is_file():
            if _looks_right(path):
                yield path, None
            else:
                others.append(path)
        elif path.is_dir() and "**" not in pattern:
            yield from _below(path)


def _looks_right(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES | TENSOR_SUFFIXES


def _fixed_part(pattern: str) -> Path:
    """Return the leading folders of a pattern that hold no wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _without_repeats(items: Iterable[Item]) -> tuple[Item, ...]:
    """Drop the second mention of one file for one place, such as a file that two patterns match."""
    unique = {(item.path and item.path.absolute(), item.below): item for item in reversed([*items])}
    return tuple(reversed(unique.values()))
