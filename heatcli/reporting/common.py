"""What all records of a run have in common, and what differs between them: settings, preprocessing, versions, model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from heatcli.batch.records import Record
from heatcli.reporting.fields import at
from heatcli.visible import visible

Facts = tuple[Mapping[str, str], ...]
"""What one record says, name by name, for each of ``GROUPS``; the values are text to be shown."""

GROUPS = {
    "Model": ("model",),
    "Settings": ("settings",),
    "Asked for": ("settings", "options"),
    "Preprocessing": ("preprocessing",),
    "Versions": ("versions",),
}
"""The groups that are shown, and where they stand in a record."""
NOT_SET = "–"
SHOWN = 6
"""So many values are shown of what differs."""
COUNTED = 1000
"""So many values of one name are told apart."""
NAMES = 300
"""So many names a group has at most."""
LONGEST = 4000
"""Signs of one value that are shown."""


class Common:
    """Takes the facts of one record after the other and keeps what values there were."""

    def __init__(self) -> None:
        """Begin with no record."""
        self._known: dict[str, Mapping[str, str]] = {}
        self._values: tuple[dict[str, dict[str, None]], ...] = tuple({} for _ in GROUPS)
        self._records = 0

    def facts(self, record: Record) -> Facts:
        """Return what ``record`` says; records that say the same share it in memory."""
        return tuple(self._shared(at(record, *path)) for path in GROUPS.values())

    def add(self, facts: Facts) -> None:
        """Count ``facts`` in."""
        self._records += 1
        for group, values in zip(facts, self._values, strict=True):
            for name in group:
                if name not in values and len(values) < NAMES:
                    # what earlier records did not name at all was not set in them
                    values[name] = {NOT_SET: None} if self._records > 1 else {}
            for name, found in values.items():
                if len(found) < COUNTED:
                    found[group.get(name, NOT_SET)] = None

    def differing(self) -> list[tuple[int, str]]:
        """Return what has more than one value, as places in ``GROUPS`` and names."""
        return [
            (place, name)
            for place, values in enumerate(self._values)
            for name, found in values.items()
            if len(found) > 1
        ]

    def shown(self) -> list[dict[str, Any]]:
        """Return the groups for the page: for each name its values, the first of them where there are many."""
        return [
            {
                "group": group,
                "rows": [
                    {
                        "name": visible(name),
                        "values": list(found)[:SHOWN],
                        "count": len(found),
                        "all": len(found) < COUNTED,
                    }
                    for name, found in values.items()
                ],
            }
            for group, values in zip(GROUPS, self._values, strict=True)
            if values
        ]

    def _shared(self, group: Any) -> Mapping[str, str]:
        flat = dict(_flat(group)) if isinstance(group, Mapping) else {}
        key = json.dumps(flat)
        if len(self._known) > COUNTED:
            return self._known.get(key, flat)
        return self._known.setdefault(key, flat)


def _flat(group: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values; the options that were asked for are a group of their own."""
    for name, value in group.items():
        if name != "options" or not isinstance(value, Mapping):
            yield str(name), _said(value)


def _said(value: Any) -> str:
    """Return a value as it is shown."""
    if value is None or value in ([], {}, ""):
        return NOT_SET
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        text = " · ".join(value)
    return visible(text if len(text) <= LONGEST else text[:LONGEST] + "…")
