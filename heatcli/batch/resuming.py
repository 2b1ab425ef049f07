"""Finds what an earlier run has finished, by its records and by the files that are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from heatcli.batch.items import Item
from heatcli.batch.records import Record


def split(
    items: Sequence[Item], records: Iterable[Record], *, sha256: str, options: Mapping[str, Any]
) -> tuple[tuple[Item, ...], tuple[Record, ...]]:
    """Return the items that are still to do, and the records of an earlier run that stay true.

    An item is finished when it has records without error of the same model (``sha256``) and the same ``options``, and
    every heatmap they name is there and not older than the input. Records of items that are to do are dropped.
    """
    records = tuple(records)
    by_input: defaultdict[str, list[Record]] = defaultdict(list)
    for entry in records:
        by_input[str(entry.get("input"))].append(entry)
    remaining = tuple(
        item for item in items if not _finished(item, by_input[item.name], sha256=sha256, options=options)
    )
    names = {item.name for item in remaining}
    return remaining, tuple(entry for entry in records if entry.get("input") not in names)


def _finished(item: Item, entries: Sequence[Record], *, sha256: str, options: Mapping[str, Any]) -> bool:
    if item.path is None or not entries:
        return False
    return all(
        entry.get("error") is None
        and (entry.get("model") or {}).get("sha256") == sha256
        and (entry.get("settings") or {}).get("options") == options
        and _up_to_date(item.path, entry.get("output"))
        for entry in entries
    )


def _up_to_date(source: Path, output: Any) -> bool:
    """Whether the heatmap is there and at least as new as the picture."""
    try:
        return isinstance(output, str) and Path(output).stat().st_mtime_ns >= source.stat().st_mtime_ns
    except OSError:
        return False
