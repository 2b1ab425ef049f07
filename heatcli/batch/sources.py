"""Turns what was typed or listed (files, folders, globs, archives, URLs, ``-``) into items with places for output."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path

from heatcli.batch import archives, naming, remote, searching, storage
from heatcli.batch.archives import Member
from heatcli.batch.items import STDIN, Item, Origin
from heatcli.batch.lists import read_list
from heatcli.batch.repeats import repeated
from heatcli.batch.selection import (
    PICTURE_SUFFIXES,
    Selection,
    is_hidden,
    is_own_output,
    natural_order,
    selection,
    suffix_of,
)
from heatcli.errors import UsageError

ASIDE = 8
"""Archives of a remote storage whose members are listed at the same time."""
Listing = tuple[list[Member], OSError | None]
"""The members of an archive that are taken, and why there are no more where it broke off."""


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
    gathered = _Gathered(selection(patterns, recursive=recursive), watched=watched)
    if listed == STDIN and STDIN in inputs:
        raise UsageError("- (stdin) is given as a picture and by --list; it can be one of them")
    lines = None if listed is None else list(read_list(listed))
    try:
        gathered.begin([*inputs, *(lines or ())])
        for text in inputs:
            gathered.typed(text)
        if lines is not None:
            gathered.folders.append(listed or "")
            for text in lines:
                gathered.line(text)
    finally:
        gathered.executor.shutdown(cancel_futures=True)
    items = gathered.items
    if sum(item.is_stdin for item in items) > 1:
        raise UsageError("- (stdin) was given more than once; it holds one picture")
    if not items and not watched:
        what = f"--list {listed} is empty" if listed is not None else "no input was given"
        if gathered.skipped:
            what = f"{gathered.last} is a heatmap that heatcli wrote"
        raise UsageError(f"nothing to explain: {what}")
    if len(inputs) > 1 or lines is not None:
        items = _without_repeats(items)
    return Sources(tuple(items), tuple(gathered.folders), gathered.skipped, gathered.others)


class _Gathered:
    """What has been found so far; every kind of input adds to it."""

    def __init__(self, chosen: Selection, *, watched: bool) -> None:
        self.chosen, self.watched = chosen, watched
        self.executor = ThreadPoolExecutor(ASIDE)
        self.items: list[Item] = []
        self.folders: list[str] = []
        self.skipped = self.others = 0
        self.last = ""
        self.origins: dict[str, Origin] = {}
        self.schemes: set[str] = set()
        self.listings: dict[str, Future[Listing]] = {}

    def begin(self, places: Iterable[str]) -> None:
        """List the members of remote archives aside where there are several: most of the time is spent waiting."""
        remotely = [
            place
            for place in dict.fromkeys(places)
            if storage.is_remote(place) and archives.kind(remote.plain(place)) and not remote.is_glob(place)
        ]
        for place in remotely if len(remotely) > 1 else ():
            with suppress(UsageError):  # said where its turn comes
                self._known(place)
                self.listings[place] = self.executor.submit(_listing, place, self.chosen)

    def typed(self, text: str) -> None:
        """Add what an argument of the command stands for."""
        text = storage.local(text)
        if text == STDIN:
            self.items.append(Item(Origin(STDIN, None, "stdin"), ""))
        elif storage.is_remote(text):
            self._known(text)
            try:
                self._url(text, "")
            except remote.StorageError as error:
                raise UsageError(f"{storage.shown(text)}: {error}") from error
        elif os.path.isdir(text):
            if not self._folder(text, ""):
                self._refuse(f"folder {text}")
        elif glob.has_magic(text) and not os.path.lexists(text):
            self._glob(text)
        elif _is_archive(text):
            if not self._archive(text, text, ""):
                self._refuse(f"archive {text}", archived=True)
        else:
            self._file(text, "")

    def line(self, text: str) -> None:
        """Add what a line of a list stands for; it keeps its whole path below the output folder."""
        text = storage.local(text)
        if storage.is_remote(text):
            head = naming.of_path(storage.shown(text).partition("://")[2].rpartition("/")[0])
            try:
                self._known(text)
                self._url(text, head and f"{head}/", listed=True)
            except (remote.StorageError, UsageError) as error:
                self._fail(text, str(error))
            return
        above = os.path.dirname(text)
        head = naming.of_path(above) if above else ""
        head = head and f"{head}/"
        if _is_archive(text):
            if not self._archive(text, text, head):
                self._fail(text, "no pictures are in this archive")
        elif suffix_of(text) not in PICTURE_SUFFIXES and os.path.isdir(text):  # a million names are not asked for
            own = naming.of_path(text)
            if not self._folder(text, own and f"{own}/"):
                self._fail(text, "no pictures are in this folder")
        else:
            self._file(text, head)

    def _file(self, text: str, head: str) -> None:
        """Add one file of this machine, whatever it is called."""
        name = os.path.basename(text)
        if is_own_output(name):
            self._skip(text)
            return
        above = text[: len(text) - len(name)]
        origin = self.origins.get(above)
        if origin is None or origin.below != head:
            origin = self.origins[above] = Origin(above, storage.absolute(above), head)
        self.items.append(Item(origin, name))

    def _folder(self, text: str, head: str) -> bool:
        """Add what a folder of this machine holds; return whether that is anything, own heatmaps left out."""
        name = _folder_name(text)
        origin = Origin(name, storage.absolute(name), head)
        before = len(self.items)
        for below, problem in searching.below(text, self.chosen):
            if problem and not below:
                self._fail(text, problem)
            else:
                self._add(origin, below, problem)
        if len(self.items) > before or self.watched:
            self.folders.append(text)
        return len(self.items) > before

    def _glob(self, pattern: str) -> None:
        """Add the pictures that fit a glob, and what folders and archives hold that do."""
        fixed = searching.fixed_part(pattern)
        base = _folder_name(fixed)
        origin = Origin(base, storage.absolute(base))
        before = len(self.items)
        deep = False
        for name in searching.matches(pattern):
            below = name[len(fixed) :].replace(os.sep, "/")
            above = below.rpartition("/")[0]
            head = above and f"{above}/"
            if _is_archive(name):
                self._archive(name, name, head)
            elif self.chosen.takes(below) or is_own_output(below):
                self._add(origin, below)
                deep = deep or bool(above)
            elif not os.path.isdir(name):
                self.others += 1
            elif "**" not in pattern:
                self._folder(name, f"{below}/")
        if deep:
            self.folders.append(base or ".")
        if len(self.items) == before:
            self._refuse(f"pattern {pattern}")

    def _archive(self, text: str, place: str, head: str) -> bool:
        """Add the members of an archive, below its name without the suffix; return whether there is anything."""
        shown, plain = storage.shown(text), remote.plain(text) if storage.is_remote(text) else text
        holds = archives.kind(plain)
        if holds is None:
            self._fail(text, archives.refusal(plain))
            return True
        self.folders.append(shown)
        place = place if storage.is_remote(place) else storage.absolute(place)
        stem = os.path.splitext(plain.replace(os.sep, "/").rpartition("/")[2])[0]
        origin = Origin(f"{shown}/", place, f"{head}{stem}/", holds=holds)
        listing = self.listings.pop(text, None)
        members, error = _listing(place, self.chosen) if listing is None else listing.result()
        before = len(self.items)
        names: set[str] = set()
        for member in members:
            problem = member.problem
            if member.name in names:
                problem = "is in the archive more than once; the first is taken"
            names.add(member.name)
            self._add(origin, member.name, problem, member.start, member.size)
        if error is not None:
            self._fail(text, storage.reason(error))
        return len(self.items) > before

    def _url(self, text: str, head: str, *, listed: bool = False) -> None:
        """Add what a URL stands for: an archive, a glob, a folder, or one object, which is the usual."""
        plain = remote.plain(text)
        name = plain.rpartition("/")[2]
        if remote.is_glob(text) and not listed and ("*" in name or not remote.exists(text)):
            self._remote_glob(text)
        elif _is_archive(plain):
            if not self._archive(text, text, head):
                self._nothing(f"archive {storage.shown(text)}", text, listed=listed, archived=True)
        elif name and (self.chosen.takes(name) or remote.scheme(text) in remote.WEB or not remote.is_folder(text)):
            self._object(text, plain, head)
        else:
            shown = storage.shown(text).rstrip("/")
            self.folders.append(shown)
            own = f"{head}{name}" if listed else ""
            origin = Origin(f"{shown}/", text.rstrip("/") + "/", own and f"{own.rstrip('/')}/")
            before = len(self.items)
            self._found(origin, remote.below(text, recursive=self.chosen.recursive))
            if len(self.items) == before:
                self._nothing(f"folder {shown}", text, listed=listed)

    def _object(self, text: str, plain: str, head: str) -> None:
        """Add one object; where its name is no picture's, what stands behind a ``?`` tells it from others."""
        shown = storage.shown(text)
        name = plain.rpartition("/")[2]
        after = text[len(plain) :]
        if is_own_output(name):
            self._skip(shown)
        elif after and suffix_of(name) not in PICTURE_SUFFIXES:
            mark = blake2s(after.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
            self.items.append(Item(Origin(f"{shown}?…{mark}", text, f"{head}{name or 'picture'}-{mark}"), ""))
        else:
            above = plain[: len(plain) - len(name)]
            origin = self.origins.get(above) if not after else None
            if origin is None or origin.below != head:
                origin = Origin(shown[: len(shown) - len(name)], above, head, after)
                if not after:
                    self.origins[above] = origin
            self.items.append(Item(origin, name))

    def _remote_glob(self, text: str) -> None:
        """Add the pictures that fit a glob in a remote storage, and what archives hold that do."""
        folder, pattern = remote.split_glob(text)
        shown = storage.shown(folder)
        origin = Origin(shown, folder)
        found = remote.matches(folder, pattern)
        before = len(self.items)
        packed = sorted((name for name in found if _is_archive(name)), key=natural_order)
        self.begin(folder + name for name in packed)
        self._found(origin, (name for name in found if not _is_archive(name)), counted=True)
        for name in packed:
            above = name.rpartition("/")[0]
            self._archive(folder + name, folder + name, above and f"{above}/")
        if any("/" in item.below for item in self.items[before:]):
            self.folders.append(shown)
        if len(self.items) == before:
            self._refuse(f"pattern {storage.shown(text)}")

    def _found(self, origin: Origin, found: Iterable[str], *, counted: bool = False) -> None:
        """Add what a remote storage has named, as far as it is taken; with ``counted`` count the rest."""
        for below in sorted((name for name in found if not is_hidden(name)), key=natural_order):
            if self.chosen.takes(below) or is_own_output(below):
                self._add(origin, below)
            else:
                self.others += counted

    def _add(self, origin: Origin, below: str, problem: str | None = None, start: int = 0, size: int = 0) -> None:
        """Add one file, unless heatcli wrote it."""
        if not problem and is_own_output(below):
            self._skip(origin.name + below)
            return
        if naming.climbs(below):
            problem = "its name leads out of the folder (..); rename it"
        self.items.append(Item(origin, below, problem, start, size))

    def _fail(self, text: str, problem: str) -> None:
        """Add an input as one that cannot be read."""
        plain = remote.plain(text) if storage.is_remote(text) else text
        name = plain.rstrip("/" + os.sep).replace(os.sep, "/").rpartition("/")[2]
        self.items.append(Item(Origin(storage.shown(text), text, name), "", problem))

    def _skip(self, name: str) -> None:
        self.skipped += 1
        self.last = name

    def _nothing(self, what: str, text: str, *, listed: bool, archived: bool = False) -> None:
        if listed:
            self._fail(text, f"no pictures are in this {what.partition(' ')[0]}")
        else:
            self._refuse(what, archived=archived)

    def _refuse(self, what: str, *, archived: bool = False) -> None:
        if self.watched:
            return
        only = "only heatmaps that heatcli wrote" if self.skipped else "no pictures"
        raise UsageError(f"{what}: {only} there; {self.chosen.said(archived=archived)}")

    def _known(self, url: str) -> None:
        """Raise UsageError where this kind of URL cannot be used; asked once for each kind."""
        kind = remote.scheme(url)
        if kind not in self.schemes:
            remote.require(url)
            self.schemes.add(kind)


def _folder_name(folder: str) -> str:
    """Return what the names of files in ``folder`` begin with; nothing for the current one."""
    name = str(Path(folder))
    return "" if name == "." else os.path.join(name, "")


def _is_archive(name: str) -> bool:
    return archives.kind(name) is not None or archives.is_compressed(name)


def _listing(place: str, chosen: Selection) -> Listing:
    """Return the members of an archive that are taken, in their order."""
    found: list[Member] = []
    holds = archives.kind(remote.plain(place) if storage.is_remote(place) else place)
    try:
        for member in archives.members(place, holds or "tar"):
            name = member.name
            if not is_hidden(name) and (chosen.takes(name, archived=True) or is_own_output(name)):
                found.append(member)
    except OSError as error:
        return found, error
    return found, None


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
