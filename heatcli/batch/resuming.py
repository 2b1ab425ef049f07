"""Finds what an earlier run has finished: by its records, by the files that are there, and by its settings."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heatcli.batch.records import Record
from heatcli.places.items import Item


@dataclass
class Earlier:
    """What an earlier run left: the names of inputs that are ``finished``, and of all that it has ``records`` of.

    ``other`` is a record that was made with other settings or another model, ``taken`` one of another input whose
    heatmap lies where that of an item would go; ``scale`` is the one colour scale of all.
    """

    finished: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    other: Record | None = None
    taken: Record | None = None
    others: int = 0
    scale: float | None = None

    def remaining(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Return the items that are still to do."""
        return tuple(item for item in items if item.name not in self.finished)


class Places:
    """Where the heatmaps of ``items`` go, as ``place`` tells of each, worked out when first asked; 60 bytes an item."""

    def __init__(self, items: Iterable[Item], place: Callable[[Item], str]) -> None:
        """Keep what is needed to work it out."""
        self._items, self._place = items, place
        self._known: set[int] | None = None

    def hold(self, entry: Record) -> bool:
        """Whether the heatmap of a record lies where that of an item goes, be it of the same class or not."""
        output, target = entry.get("output"), entry.get("target")
        if not isinstance(output, str):
            return False
        if self._known is None:
            self._known = {hash(os.path.normcase(self._place(item))) for item in self._items}
        stem, dot, ending = output.rpartition(".heatmap.")
        alone = stem.removesuffix(f".{target.get('index')}") if isinstance(target, dict) else stem
        names = {f"{one}{dot}png" for one in (stem, alone)} if ending in ("png", "npy") else {output}
        return any(hash(os.path.normcase(name)) in self._known for name in names)


def survey(
    items: Iterable[Item],
    records: Iterable[Record],
    *,
    hash: str,
    planned: Places,
    output: Callable[[str], int | None],
    source: Callable[[Item], int | None],
) -> Earlier:
    """Hold the ``records`` of an earlier run against ``items``.

    An item is finished when it has all the records of its heatmaps, made with the settings that ``hash`` tells, and
    every heatmap they name is there and not older than the input; ``planned`` knows where the heatmaps of the items go,
    ``output`` and ``source`` return when a file was
    last changed, None where it is not there or has no such time. Records are gone through once and not kept.
    """
    named = {item.name: item for item in items}
    done: dict[str, int] = {}
    earlier = Earlier()
    for entry in records:
        name = str(entry.get("input"))
        item = named.get(name)
        if item is None:
            if earlier.taken is None and planned.hold(entry):
                earlier.taken = entry
            continue
        earlier.recorded.add(name)
        settings: Mapping[str, Any] = entry.get("settings") or {}
        if entry.get("error") is not None:
            done[name] = 0
            continue
        if settings.get("hash") != hash:
            earlier.other = earlier.other or entry
            earlier.others += 1
            continue
        if isinstance(scale := settings.get("scale"), float) and 0 < scale < math.inf:  # files can be edited by hand
            earlier.scale = scale
        if item.is_stdin or not _up_to_date(item, entry.get("output"), output, source):
            continue
        done[name] = done.get(name, 0) + 1
        if done[name] == settings.get("heatmaps", 1):
            earlier.finished.add(name)
        elif name in earlier.finished:  # a record too many
            earlier.finished.discard(name)
    return earlier


def _up_to_date(
    item: Item, place: Any, output: Callable[[str], int | None], source: Callable[[Item], int | None]
) -> bool:
    """Whether the heatmap is there and at least as new as the picture."""
    if not isinstance(place, str) or (drawn := output(place)) is None:
        return False
    given = source(item)
    return given is None or drawn >= given


def changed(earlier: Record, *, options: Mapping[str, Any], sha256: str, preprocessing: Any) -> list[str]:
    """Return what differs between an earlier record and the present run, a piece of text each."""
    if (earlier.get("model") or {}).get("sha256") != sha256:
        return ["another model"]
    before: Mapping[str, Any] = (earlier.get("settings") or {}).get("options") or {}
    found = [
        f"{name.replace('_', '-')} {_text(before.get(name))}, now {_text(options.get(name))}"
        for name in sorted({*before, *options})
        if before.get(name) != options.get(name)
    ]
    if not found and earlier.get("preprocessing") != preprocessing:
        found = ["another preprocessing"]
    return found or ["another version of heatcli"]


def _text(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, Mapping) and value.keys() == {"file", "sha256"}:
        return f"{value['file']} (sha256 {str(value['sha256'])[:12]}…)"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
