"""Pictures that are members of archives: records name them as ARCHIVE/MEMBER."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from heatcli.places import archives
from heatcli.places.archives import Member
from heatcli.reporting.places import Places


class Members:
    """Finds those members of archives that are in ``names``; an archive is searched when the first one is asked for."""

    def __init__(self, names: Iterable[str], places: Places) -> None:
        """Keep which names matter: an archive may hold millions of others."""
        self._names, self._places = frozenset(names), places
        self._found: dict[str, dict[str, Member]] = {}
        self._lock = threading.Lock()

    def content(self, name: str | None) -> bytes | None:
        """Return the bytes of the picture called ``name``, None where it is no member of an archive that is there.

        Raises ArchiveError or OSError where the archive cannot be read.
        """
        for archive, inner in _splits(name or ""):
            holds = archives.kind(archive)
            place = self._places.input(archive) if holds else None
            if holds is None or place is None or not place.is_file():
                continue
            member = self._searched(archive, place).get(inner)
            if member is None or member.problem:
                return None
            if holds == "tar":
                return archives.tar_member(str(place), member.start, member.size)
            return archives.zip_member(str(place), member.start, inner, member.size)
        return None

    def _searched(self, archive: str, place: Path) -> dict[str, Member]:
        with self._lock:
            if archive not in self._found:
                found: dict[str, Member] = {}
                self._found[archive] = found
                holds = archives.kind(archive)
                for member in archives.members(str(place), holds) if holds else ():
                    if f"{archive}/{member.name}" in self._names:
                        found[member.name] = member
            return self._found[archive]


def _splits(name: str) -> Iterable[tuple[str, str]]:
    """Yield what can be an archive and what its member."""
    at = name.find("/")
    while at >= 0:
        yield name[:at], name[at + 1 :]
        at = name.find("/", at + 1)
