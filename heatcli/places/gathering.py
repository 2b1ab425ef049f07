"""What has been found so far of all inputs; files, folders, archives and URLs add to it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from heatcli.errors import UsageError
from heatcli.places import addresses, archives, naming, remote, storage
from heatcli.places.archives import Member
from heatcli.places.items import Item, Origin
from heatcli.places.selection import Selection, is_hidden, is_own_output

ASIDE = 8
"""Archives of a remote storage whose members are listed at the same time."""
Listing = tuple[list[Member], OSError | None]
"""The members of an archive that are taken, and why there are no more where it broke off."""


class Gathered:
    """The ``items`` and what else ``Sources`` tells.

    ``head`` is everywhere the folder below the output folder that something goes to, with a slash at its end.
    """

    def __init__(self, chosen: Selection, *, watched: bool) -> None:
        """Begin with nothing; ``watched`` folders may be empty."""
        self.chosen, self.watched = chosen, watched
        self.items: list[Item] = []
        self.folders: list[str] = []
        self.skipped = self.others = 0
        self.last = ""
        """An own heatmap that was left out."""
        self._executor = ThreadPoolExecutor(ASIDE)
        self._origins: dict[str, Origin] = {}
        self._schemes: set[str] = set()
        self._listings: dict[str, Future[Listing]] = {}

    def begin(self, places: Iterable[str]) -> None:
        """List the members of remote archives aside where there are several: most of the time is spent waiting."""
        remotely = [
            place
            for place in dict.fromkeys(places)
            if storage.is_remote(place) and archives.kind(addresses.plain(place)) and not addresses.is_glob(place)
        ]
        for place in remotely if len(remotely) > 1 else ():
            with suppress(UsageError):  # said where its turn comes
                self.know(place)
                self._listings[place] = self._executor.submit(_listing, place, self.chosen)

    def end(self) -> None:
        """Begin nothing more aside."""
        self._executor.shutdown(cancel_futures=True)

    def know(self, url: str) -> None:
        """Raise UsageError where this kind of URL cannot be used; asked once for each kind."""
        kind = addresses.scheme(url)
        if kind not in self._schemes:
            remote.require(url)
            self._schemes.add(kind)

    def origin(self, name: str, place: str, head: str) -> Origin:
        """Return what files of one folder share, the same object for all of them."""
        found = self._origins.get(place)
        if found is None or found.below != head or found.name != name:
            found = self._origins[place] = Origin(name, place, head)
        return found

    def add(self, origin: Origin, below: str, problem: str | None = None, start: int = 0, size: int = 0) -> None:
        """Add one file, unless heatcli wrote it."""
        if not problem and is_own_output(below):
            self.skip(origin.name + below)
            return
        if naming.climbs(below):
            problem = "its name leads out of the folder (..); rename it"
        self.items.append(Item(origin, below, problem, start, size))

    def skip(self, name: str) -> None:
        """Leave out a heatmap that heatcli wrote."""
        self.skipped += 1
        self.last = name

    def fail(self, text: str, problem: str) -> None:
        """Add an input as one that cannot be read."""
        plain = addresses.plain(text) if storage.is_remote(text) else text
        name = plain.rstrip("/" + os.sep).replace(os.sep, "/").rpartition("/")[2]
        self.items.append(Item(Origin(storage.shown(text), text, name), "", problem))

    def refuse(self, what: str, *, archived: bool = False) -> None:
        """Raise UsageError because nothing was found in ``what`` was typed."""
        only = "only heatmaps that heatcli wrote" if self.skipped else "no pictures"
        raise UsageError(f"{what}: {only} there; {self.chosen.said(archived=archived)}")

    def archive(self, text: str, head: str) -> bool:
        """Add the members of an archive, below its name without the suffix; return whether there is anything."""
        remotely = storage.is_remote(text)
        shown, plain = storage.shown(text), addresses.plain(text) if remotely else text
        holds = archives.kind(plain)
        if holds is None:
            self.fail(text, archives.refusal(plain))
            return True
        self.folders.append(shown)
        place = text if remotely else storage.absolute(text)
        stem = os.path.splitext(plain.replace(os.sep, "/").rpartition("/")[2])[0]
        origin = Origin(f"{shown}/", place, f"{head}{stem}/", holds=holds)
        aside = self._listings.pop(text, None)
        members, error = _listing(place, self.chosen) if aside is None else aside.result()
        before = len(self.items)
        names: set[str] = set()
        for member in members:
            problem = member.problem
            if member.name in names:
                problem = "is in the archive more than once; the first is taken"
            names.add(member.name)
            self.add(origin, member.name, problem, member.start, member.size)
        if error is not None:
            self.fail(text, storage.reason(error))
        return len(self.items) > before


def is_archive(name: str) -> bool:
    """Whether it is an archive by its name, one that is refused included."""
    return archives.kind(name) is not None or archives.is_compressed(name)


def _listing(place: str, chosen: Selection) -> Listing:
    """Return the members of an archive that are taken, in their order."""
    found: list[Member] = []
    holds = archives.kind(addresses.plain(place) if storage.is_remote(place) else place)
    try:
        for member in archives.members(place, holds or "tar"):
            name = member.name
            if not is_hidden(name) and (chosen.takes(name, archived=True) or is_own_output(name)):
                found.append(member)
    except OSError as error:
        return found, error
    return found, None
