"""Adds files, folders, globs and archives of this machine to what has been gathered."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from heatcli.places import naming, searching, storage
from heatcli.places.gathering import Gathered, is_archive
from heatcli.places.items import Item, Origin
from heatcli.places.selection import PICTURE_SUFFIXES, is_own_output, suffix_of


def typed(gathered: Gathered, text: str) -> None:
    """Add what an argument of the command stands for; raises UsageError where it holds nothing."""
    if os.path.isdir(text):
        if not _folder(gathered, text, ""):
            gathered.refuse(f"folder {text}")
    elif glob.has_magic(text) and not os.path.lexists(text):
        _glob(gathered, text)
    elif is_archive(text):
        if not gathered.archive(text, ""):
            gathered.refuse(f"archive {text}", archived=True)
    else:
        _file(gathered, text, "")


def line(gathered: Gathered, text: str) -> None:
    """Add what a line of a list stands for; it keeps its whole path below the output folder."""
    above = os.path.dirname(text)
    head = naming.of_path(above) if above else ""
    head = head and f"{head}/"
    if is_archive(text):
        if not gathered.archive(text, head):
            gathered.fail(text, "no pictures are in this archive")
    elif suffix_of(text) not in PICTURE_SUFFIXES and os.path.isdir(text):  # a million pictures are not asked for
        own = naming.of_path(text)
        if not _folder(gathered, text, own and f"{own}/"):
            gathered.fail(text, "no pictures are in this folder")
    else:
        _file(gathered, text, head)


def _file(gathered: Gathered, text: str, head: str) -> None:
    """Add one file, whatever it is called."""
    name = os.path.basename(text)
    above = text[: len(text) - len(name)]
    if is_own_output(name):
        gathered.skip(text)
    else:
        gathered.items.append(Item(gathered.origin(above, storage.absolute(above), head), name))


def _folder(gathered: Gathered, text: str, head: str) -> bool:
    """Add what a folder holds; return whether that is anything, own heatmaps left out."""
    name = _beginning(text)
    origin = Origin(name, storage.absolute(name), head)
    before = len(gathered.items)
    for below, problem in searching.below(text, gathered.chosen):
        if problem and not below:
            gathered.fail(text, problem)
        else:
            gathered.add(origin, below, problem)
    found = len(gathered.items) > before
    if found or gathered.watched:
        gathered.folders.append(text)
    return found or gathered.watched


def _glob(gathered: Gathered, pattern: str) -> None:
    """Add the pictures that fit a glob, and what folders and archives hold that do."""
    fixed = searching.fixed_part(pattern)
    base = _beginning(fixed)
    origin = Origin(base, storage.absolute(base))
    before = len(gathered.items)
    deep = False
    for name in searching.matches(pattern):
        below = name[len(fixed) :].replace(os.sep, "/")
        above = below.rpartition("/")[0]
        if is_archive(name):
            gathered.archive(name, above and f"{above}/")
        elif gathered.chosen.takes(below) or is_own_output(below):
            gathered.add(origin, below)
            deep = deep or bool(above)
        elif not os.path.isdir(name):
            gathered.others += 1
        elif "**" not in pattern:
            _folder(gathered, name, f"{below}/")
    if deep:
        gathered.folders.append(base or ".")
    if len(gathered.items) == before:
        gathered.refuse(f"pattern {pattern}")


def _beginning(folder: str) -> str:
    """Return what the names of files in ``folder`` begin with; nothing for the current one."""
    name = str(Path(folder))
    return "" if name == "." else os.path.join(name, "")
