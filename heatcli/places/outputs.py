"""Decides which file each heatmap is written to, and refuses before any work what could not be written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heatcli.errors import UsageError
from heatcli.places import remote, storage
from heatcli.places.items import TENSOR_SUFFIXES, Item
from heatcli.places.repeats import repeated
from heatcli.places.selection import PICTURE_SUFFIXES
from heatcli.places.sources import Sources

STDOUT = "-"
DEFAULT_FOLDER = "heatmaps"
RECORDS = "records.jsonl"


@dataclass(frozen=True)
class Plan:
    """Where everything goes: one ``file``, stdout (both None), or below ``folder``; ``records`` is the file of records.

    All are places: paths of this machine, ``.`` being the current folder, or URLs. ``several`` says that one picture
    has more than one target, and so each heatmap's name holds its class index.
    """

    folder: str | None
    file: str | None
    records: str | None
    several: bool

    @property
    def to_stdout(self) -> bool:
        """Whether the one heatmap is written to stdout."""
        return self.folder is None and self.file is None

    @property
    def around(self) -> str:
        """The folder that no file leaves whose name was made up; that of ``file`` was typed."""
        return self.folder if self.folder is not None else storage.parent(self.file or "")

    def heatmap(self, item: Item, target: int | None = None) -> str:
        """Return the place of this item's heatmap for class ``target``, such as ``maps/a/cat.281.heatmap.png``."""
        middle = f".{target}" if self.several and target is not None else ""
        if self.file is not None:
            stem, suffix = os.path.splitext(self.file)
            return f"{stem}{middle}{suffix}"
        if self.folder is None:
            raise ValueError("a heatmap that goes to stdout has no file")
        below = item.below
        stem, suffix = os.path.splitext(below)
        known = suffix.lower() in PICTURE_SUFFIXES or suffix.lower() in TENSOR_SUFFIXES
        return storage.joined(self.folder, f"{stem if known else below}{middle}.heatmap.png")


def plan(sources: Sources, output: str | None, *, several: bool = False) -> Plan:
    """Read ``output`` (a file, a folder, ``-``, a URL of either, or None) in view of the inputs.

    Without it heatmaps go to the current folder, or to ``heatmaps/`` where a folder was given. Records are kept where
    many heatmaps go to a folder of their own, and where there are some. Raises UsageError where the output does not
    fit the inputs.
    """
    count = len(sources.items)
    if output == STDOUT:
        if count > 1 or several or sources.folders:
            what = f"{count} inputs" if count > 1 else "a folder" if sources.folders else "several targets"
            raise UsageError(f"-o - writes one heatmap to stdout, but there are {what}; give a folder instead")
        return Plan(None, None, None, several)
    if output is None:
        folder = DEFAULT_FOLDER if sources.folders else "."
        return Plan(folder, None, storage.joined(folder, RECORDS) if sources.folders else None, several)
    if not output:
        raise UsageError("-o is empty; give a .png file, a folder, or - for stdout")
    place, suffix = _place(output)
    if not suffix or (sources.folders and suffix != ".png"):
        records = storage.joined(place, RECORDS)
        kept = sources.folders or count > 1 or (not storage.is_remote(records) and os.path.lexists(records))
        return Plan(place, None, records if kept else None, several)
    if count > 1 or sources.folders:
        what = f"{count} inputs" if count > 1 else "a folder as input"
        raise UsageError(f"-o {storage.shown(output)} names one file, but there are {what}; give a folder")
    if suffix != ".png":
        raise UsageError(
            f"-o {storage.shown(output)}: heatmaps are written as PNG; give a name that ends in .png, or a folder"
        )
    return Plan(None, place, None, several)


def _place(output: str) -> tuple[str, str]:
    """Return the place that ``output`` names, and its suffix in small letters where it is no folder."""
    text = storage.local(output)
    if storage.is_remote(text):
        bucket, _, path = text.partition("://")[2].partition("/")
        suffix = os.path.splitext(path)[1].lower()
        return text.rstrip("/") if bucket else text, "" if path.endswith("/") else suffix
    folder = os.path.isdir(text) or text.endswith(("/", os.sep))  # pathlib raises where a folder above is closed to us
    named = Path(text)
    return str(named), "" if folder else named.suffix.lower()


def check(plan: Plan, items: Sequence[Item]) -> None:
    """Raise UsageError where two inputs would write one file, one would be overwritten, or a folder is not writable.

    Nothing is made or written: a run that fails before its first heatmap leaves no trace.
    """
    if plan.to_stdout:
        return

    folders: dict[str, None] = {}

    def places() -> Iterator[str]:
        for item in items:
            if not item.problem:
                place = plan.heatmap(item)
                folders[storage.parent(place)] = None
                yield os.path.normcase(place)

    for place in repeated(places):
        one, other, *_ = (i for i in items if not i.problem and os.path.normcase(plan.heatmap(i)) == place)
        raise UsageError(
            f"{one.name} and {other.name} would both write {storage.shown(plan.heatmap(one))}; "
            "rename one or explain them into two folders"
        )
    if plan.file is not None and not storage.is_remote(plan.file):  # in a folder, heatmaps have names of their own
        file = os.path.normcase(Path(plan.file).absolute())
        for item in items:
            if item.path is not None and os.path.normcase(item.path.absolute()) == file:
                raise UsageError(f"the heatmap would overwrite the picture {item.name}; give another -o")
    if storage.is_remote(plan.around):
        remote.check_writable(plan.around)
        return
    if plan.records is not None:
        check_writable(storage.parent(plan.records))
    refused = [reason for folder in folders if (reason := _refusal(folder))]
    if refused and len(refused) == len(folders):  # else it is a matter of the pictures that go there
        raise UsageError(refused[0])


def check_writable(folder: str | Path) -> None:
    """Raise UsageError unless ``folder`` can be written into, or made in the nearest folder above it that exists."""
    if refusal := _refusal(folder):
        raise UsageError(refusal)


def _refusal(folder: str | Path) -> str | None:
    """Return why nothing can be written into ``folder``, None where it can."""
    existing = Path(folder).absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        reason = f"{existing} is not a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        reason = f"no permission to write into {existing}"
        if hasattr(os, "statvfs") and os.statvfs(existing).f_flag & os.ST_RDONLY:
            reason = f"{existing} is on a read-only file system"
    else:
        return None
    return f"cannot write into the output folder {folder}: {reason}; give another -o"
