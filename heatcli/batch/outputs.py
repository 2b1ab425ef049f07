"""Decides which file each heatmap is written to, and refuses before any work what could not be written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from heatcli.batch.items import TENSOR_SUFFIXES, Item
from heatcli.batch.sources import PICTURE_SUFFIXES, Sources
from heatcli.errors import UsageError

STDOUT = "-"
DEFAULT_FOLDER = "heatmaps"
RECORDS = "records.jsonl"


@dataclass(frozen=True)
class Plan:
    """Where everything goes: one ``file``, stdout (both None), or below ``folder``; ``records`` is the file of records.

    ``several`` says that one picture has more than one target, and so each heatmap's name holds its class index.
    """

    folder: Path | None
    file: Path | None
    records: Path | None
    several: bool

    @property
    def to_stdout(self) -> bool:
        """Whether the one heatmap is written to stdout."""
        return self.folder is None and self.file is None

    def heatmap(self, item: Item, target: int | None = None) -> Path:
        """Return the file of this item's heatmap for class ``target``, such as ``maps/a/cat.281.heatmap.png``."""
        middle = f".{target}" if self.several and target is not None else ""
        if self.file is not None:
            return self.file.with_name(f"{self.file.stem}{middle}{self.file.suffix}") if middle else self.file
        if self.folder is None:
            raise ValueError("a heatmap that goes to stdout has no file")
        known = item.relative.suffix.lower() in PICTURE_SUFFIXES | TENSOR_SUFFIXES
        place = item.relative.with_suffix("") if known else item.relative
        return self.folder / place.with_name(f"{place.name}{middle}.heatmap.png")


def plan(sources: Sources, output: str | None, *, several: bool = False) -> Plan:
    """Read ``output`` (a file, a folder, ``-`` or None) in view of the inputs.

    Without it heatmaps go to the current folder, or to ``heatmaps/`` where a folder was given. Records are kept where
    many heatmaps go to a folder of their own. Raises UsageError where the output does not fit the inputs.
    """
    count = len(sources.items)
    if output == STDOUT:
        if count > 1 or several or sources.folders:
            what = f"{count} inputs" if count > 1 else "a folder" if sources.folders else "several targets"
            raise UsageError(f"-o - writes one heatmap to stdout, but there are {what}; give a folder instead")
        return Plan(None, None, None, several)
    if output is None:
        folder = Path(DEFAULT_FOLDER) if sources.folders else Path()
        return Plan(folder, None, folder / RECORDS if sources.folders else None, several)
    if not output:
        raise UsageError("-o is empty; give a .png file, a folder, or - for stdout")
    path = Path(output)
    named_folder = (
        os.path.isdir(path)  # noqa: PTH112 - pathlib raises where a folder above is closed to us
        or output.endswith(("/", os.sep))
        or not path.suffix
    )
    if named_folder or (sources.folders and path.suffix.lower() != ".png"):
        return Plan(path, None, path / RECORDS if sources.folders or count > 1 else None, several)
    if count > 1 or sources.folders:
        what = f"{count} inputs" if count > 1 else "a folder as input"
        raise UsageError(f"-o {output} names one file, but there are {what}; give a folder")
    if path.suffix.lower() != ".png":
        raise UsageError(f"-o {output}: heatmaps are written as PNG; give a name that ends in .png, or a folder")
    return Plan(None, path, None, several)


def check(plan: Plan, items: Iterable[Item]) -> None:
    """Raise UsageError where two inputs would write one file, one would be overwritten, or a folder is not writable.

    Nothing is made or written: a run that fails before its first heatmap leaves no trace.
    """
    if plan.to_stdout:
        return
    items = tuple(item for item in items if not item.problem)
    written: dict[str, Item] = {}
    for item in items:
        file = plan.heatmap(item)
        other = written.setdefault(os.path.normcase(file.absolute()), item)
        if other is not item:
            raise UsageError(
                f"{other.name} and {item.name} would both write {file}; rename one or explain them into two folders"
            )
    for item in items:
        if item.path is not None and os.path.normcase(item.path.absolute()) in written:
            raise UsageError(f"the heatmap would overwrite the picture {item.name}; give another -o")
    for folder in dict.fromkeys(plan.heatmap(item).parent for item in items):
        check_writable(folder)
    if plan.records is not None:
        check_writable(plan.records.parent)


def check_writable(folder: Path) -> None:
    """Raise UsageError unless ``folder`` can be written into, or made in the nearest folder above it that exists."""
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        reason = f"{existing} is not a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        reason = f"no permission to write into {existing}"
    else:
        return
    raise UsageError(f"cannot write into the output folder {folder}: {reason}; give another -o")
