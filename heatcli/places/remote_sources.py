"""Adds what URLs stand for to what has been gathered: objects, folders, globs, archives."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2s

from heatcli.errors import UsageError
from heatcli.places import addresses, naming, remote, storage
from heatcli.places.gathering import Gathered, is_archive
from heatcli.places.items import Item, Origin
from heatcli.places.remote import StorageError
from heatcli.places.selection import PICTURE_SUFFIXES, is_hidden, is_own_output, natural_order, suffix_of


def typed(gathered: Gathered, url: str) -> None:
    """Add what an argument of the command stands for.

    Raises UsageError where it holds nothing, or the storage cannot be asked.
    """
    gathered.know(url)
    shown = storage.shown(url)
    try:
        if addresses.is_glob(url) and ("*" in url or not remote.exists(url)):
            _glob(gathered, url)
        elif not _any(gathered, url, "", ""):
            what = "archive" if is_archive(addresses.plain(url)) else "folder"
            gathered.refuse(f"{what} {shown}", archived=what == "archive")
    except StorageError as error:
        raise UsageError(f"{shown}: {error}") from error


def line(gathered: Gathered, url: str) -> None:
    """Add what a line of a list stands for; it keeps its whole path below the output folder, with host or bucket."""
    above, _, name = storage.shown(url).partition("://")[2].rpartition("/")
    head = naming.of_path(above)
    head = head and f"{head}/"
    try:
        gathered.know(url)
        if not _any(gathered, url, head, f"{head}{name}/" if name else head):
            gathered.fail(url, "no pictures are there")
    except (StorageError, UsageError) as error:
        gathered.fail(url, str(error))


def _any(gathered: Gathered, url: str, head: str, own: str) -> bool:
    """Add an archive, one object or a folder, what a folder holds to ``own``; return whether there is anything."""
    plain = addresses.plain(url)
    name = plain.rpartition("/")[2]
    if is_archive(plain):
        return gathered.archive(url, head)
    if name and (gathered.chosen.takes(name) or addresses.on_the_web(url) or not remote.is_folder(url)):
        _object(gathered, url, head)
        return True
    shown = storage.shown(url).rstrip("/")
    gathered.folders.append(shown)
    before = len(gathered.items)
    found = remote.below(url, recursive=gathered.chosen.recursive)
    _found(gathered, Origin(f"{shown}/", plain.rstrip("/") + "/", own), found)
    return len(gathered.items) > before


def _object(gathered: Gathered, url: str, head: str) -> None:
    """Add one object; where its name is no picture's, what stands behind a ``?`` tells it from others."""
    plain, shown = addresses.plain(url), storage.shown(url)
    name = plain.rpartition("/")[2]
    after = url[len(plain) :]
    if is_own_output(name):
        gathered.skip(shown)
    elif after and suffix_of(name) not in PICTURE_SUFFIXES:
        mark = blake2s(after.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        gathered.items.append(Item(Origin(f"{shown}?…{mark}", url, f"{head}{name or 'picture'}-{mark}"), ""))
    else:
        above, place = shown[: len(shown) - len(name)], plain[: len(plain) - len(name)]
        origin = Origin(above, place, head, after) if after else gathered.origin(above, place, head)
        gathered.items.append(Item(origin, name))


def _glob(gathered: Gathered, url: str) -> None:
    """Add the pictures that fit a glob, and what archives hold that do."""
    folder, pattern = addresses.split_glob(url)
    shown = storage.shown(folder)
    found = remote.matches(folder, pattern)
    before = len(gathered.items)
    packed = sorted(filter(is_archive, found), key=natural_order)
    gathered.begin(folder + name for name in packed)
    _found(gathered, Origin(shown, folder), (name for name in found if not is_archive(name)), counted=True)
    for name in packed:
        above = name.rpartition("/")[0]
        gathered.archive(folder + name, above and f"{above}/")
    if any("/" in item.below for item in gathered.items[before:]):
        gathered.folders.append(shown)
    if len(gathered.items) == before:
        gathered.refuse(f"pattern {storage.shown(url)}")


def _found(gathered: Gathered, origin: Origin, found: Iterable[str], *, counted: bool = False) -> None:
    """Add what a storage has named, as far as it is taken; with ``counted`` count the rest."""
    for below in sorted((name for name in found if not is_hidden(name)), key=natural_order):
        if gathered.chosen.takes(below) or is_own_output(below):
            gathered.add(origin, below)
        else:
            gathered.others += counted
