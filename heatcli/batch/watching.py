"""Finds what has arrived in a folder since the last look, and leaves alone what is still being written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from heatcli.errors import PictureError
from heatcli.places.items import Item
from heatcli.places.outputs import Plan

PATIENCE = 60.0
"""Seconds for which a picture that cannot be read may still be in the writing."""

State = tuple[int, int]
"""When a file was last changed, in nanoseconds, and its size."""


@dataclass
class Arrivals:
    """What was seen at the last look, and what was handed out; ``plan`` says where heatmaps go."""

    plan: Plan
    _seen: dict[str, State] = field(default_factory=dict)
    _taken: dict[str, State] = field(default_factory=dict)
    _heatmaps: dict[str, str] = field(default_factory=dict)

    def look(self, items: Iterable[Item]) -> list[Item]:
        """Return the items that are new or changed since they were handed out, and as they were at the last look.

        An item whose heatmap would take the place of another's comes with a ``problem``.
        """
        settled, seen = [], {}
        for item in items:
            state = _state(item)
            if state is None or self._taken.get(item.name) == state:
                continue
            seen[item.name] = state
            if self._seen.get(item.name) == state:
                self._taken[item.name] = state
                settled.append(self._checked(item))
        self._seen = seen
        return settled

    def pass_over(self, items: Iterable[Item]) -> set[str]:
        """Count ``items``, as they are, as handed out, and return their names."""
        for item in items:
            if (state := _state(item)) is not None:
                self._taken[item.name] = state
                self._checked(item)
        return set(self._taken)

    def has_taken(self, item: Item) -> bool:
        """Whether it was handed out, and is not to be so again as it is."""
        return item.name in self._taken

    def defer(self, item: Item, error: Exception) -> bool:
        """Whether an item that failed may still be in the writing; then it is handed out again at the next look.

        It was handed out for the last time when it had not changed for ``PATIENCE`` seconds.
        """
        state = self._taken.get(item.name)
        if (
            not isinstance(error, PictureError)
            or item.problem is not None
            or state is None
            or time.time() - state[0] / 1e9 >= PATIENCE
        ):
            return False
        del self._taken[item.name]
        return True

    def _checked(self, item: Item) -> Item:
        other = self._heatmaps.setdefault(os.path.normcase(self.plan.heatmap(item)), item.name)
        if other == item.name:
            return item
        return replace(item, problem=f"its heatmap would take the place of that of {other}; rename one")


def _state(item: Item) -> State | None:
    if item.problem is not None:
        return (0, 0)
    try:
        status = Path(item.place or "").stat()
    except OSError:  # it has gone again
        return None
    return status.st_mtime_ns, status.st_size
