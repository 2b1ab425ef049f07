"""Turns what was typed or listed (files, folders, globs, archives, URLs, ``-``) into items with places for output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heatcli.errors import UsageError
from heatcli.places import local_sources, remote_sources, storage
from heatcli.places.gathering import Gathered
from heatcli.places.items import STDIN, Item, Origin
from heatcli.places.lists import read_list
from heatcli.places.repeats import repeated
from heatcli.places.selection import selection


@dataclass(frozen=True)
class Sources:
    """All inputs: ``items`` in order, and the ``folders`` (archives and lists as well) that they come from.

    ``skipped`` counts the heatmaps that heatcli wrote, ``others`` the files that fit a glob and look like no picture.
    """

    items: tuple[Item, ...]
    folders: tuple[str, ...]
    skipped: int
    others: int = 0


def expand(
    inputs: Sequence[str],
    *,
    recursive: bool = True,
    patterns: Iterable[str] = (),
    listed: str | None = None,
    watched: bool = False,
) -> Sources:
    """Return every input as items, first ``inputs`` as they were typed, then those of the list file ``listed``.

    Files are taken as they are; folders are searched in natural order, with their sub-folders where ``recursive``, for
    files that look like pictures or tensors or fit one of ``patterns``; hidden ones are left out. A sub-folder that
    cannot be searched is an item with a ``problem``. A glob that the shell has not expanded (``**`` included) keeps the
    folders below its fixed part. An archive counts as a folder of its name without the suffix, where it was named,
    fits a glob or stands in a list; inside folders archives are left alone. URLs are any of these. Heatmaps that
    heatcli wrote are left out. What does not exist is an item like any other: reading it fails, and the rest goes on;
    of a line of the list that holds for folders and archives as well. Raises UsageError where a folder, glob or archive
    that was typed holds nothing, unless it is ``watched``, ``-`` is given twice, or a storage cannot be asked.
    """
    if listed == STDIN and STDIN in inputs:
        raise UsageError("- (stdin) is given as a picture and by --list; it can be one of them")
    if inputs.count(STDIN) > 1:
        raise UsageError("- (stdin) was given more than once; it holds one picture")
    places = [storage.local(text) for text in inputs]
    lines = [storage.local(text) for text in read_list(listed)] if listed is not None else []
    gathered = Gathered(selection(patterns, recursive=recursive), watched=watched)
    try:
        gathered.begin([*places, *lines])
        for text in places:
            if text == STDIN:
                gathered.items.append(Item(Origin(STDIN, None, "stdin"), ""))
            else:
                (remote_sources if storage.is_remote(text) else local_sources).typed(gathered, text)
        if listed is not None:
            gathered.folders.append(listed)
        for text in lines:
            (remote_sources if storage.is_remote(text) else local_sources).line(gathered, text)
    finally:
        gathered.end()
    items = gathered.items
    if not items and not watched:
        what = f"--list {listed} is empty" if listed is not None else "no input was given"
        if gathered.skipped:
            what = f"{gathered.last} is a heatmap that heatcli wrote"
        raise UsageError(f"nothing to explain: {what}")
    if len(inputs) > 1 or lines:
        items = _without_repeats(items)
    return Sources(tuple(items), tuple(gathered.folders), gathered.skipped, gathered.others)


def _without_repeats(items: list[Item]) -> list[Item]:
    """Drop the second mention of one file for one place, such as a file that two globs match."""
    again = set(repeated(lambda: map(_identity, items)))
    if not again:
        return items
    kept, seen = [], set()
    for item in items:
        identity = _identity(item)
        if identity in again:
            if identity in seen:
                continue
            seen.add(identity)
        kept.append(item)
    return kept


def _identity(item: Item) -> str:
    """Return what two mentions of one input for one place have in common."""
    member = f"{item.start}\0{item.inner}" if item.is_member else ""
    place = item.place or STDIN
    return f"{place if storage.is_remote(place) else os.path.normpath(place)}\0{item.origin.below}\0{member}"
