"""Searches folders of this machine, and what fits a glob, for pictures; files are not looked into, nor asked for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from heatcli.places.selection import Selection, is_own_output, natural_order

Found = tuple[str, str | None]
"""A place below the folder that was searched, written with slashes, and why it cannot be read where that is known."""


def below(folder: str, chosen: Selection) -> Iterator[Found]:
    """Yield what is taken in natural order, following links to folders once each; hidden ones are left out.

    Own heatmaps are among them. A folder that cannot be searched is yielded with the reason, ``folder`` itself as an
    empty place.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [("", True)]
    while waiting:
        place, is_folder = waiting.pop()
        if not is_folder:
            yield place, None
            continue
        here = os.path.join(folder, place)
        try:
            about = os.stat(here)
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            entries = _entries(here, f"{place}/" if place else "", chosen)
        except OSError as error:
            yield place, f"this folder cannot be searched ({error.strerror or error})"
            continue
        entries.sort(key=lambda entry: (natural_order(entry[0]), entry[0]), reverse=True)
        waiting += entries


def _entries(folder: str, above: str, chosen: Selection) -> list[tuple[str, bool]]:
    """Return what one folder holds and is taken or searched, and whether it is a folder."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            place = above + name
            if _is_folder(entry):
                if chosen.recursive:
                    found.append((place, True))
            elif chosen.takes(place) or is_own_output(name):
                found.append((place, False))
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; the system says so of most without being asked again."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def matches(pattern: str) -> list[str]:
    """Return what fits the glob, in natural order."""
    found = glob.glob(pattern, recursive=True)
    found.sort(key=lambda name: (natural_order(name.replace(os.sep, "/")), name))
    return found


def fixed_part(pattern: str) -> str:
    """Return the leading folders of a glob that hold no wildcard, with the separator at their end; may be empty."""
    head = os.path.split(pattern)[0]
    while glob.has_magic(head):
        head = os.path.split(head)[0]
    return os.path.join(head, "") if head else ""
