"""Reads a file of records line by line: as many as there are, never more than one in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from heatcli.batch.record_file import LONGEST
from heatcli.batch.records import SCHEMA, Record
from heatcli.opening import opened


@dataclass
class LeftOut:
    """What a file of records held beside them: lines ``torn`` by a crash, and how many of each ``foreign`` schema."""

    torn: int = 0
    foreign: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> int:
        """How many lines were left out."""
        return self.torn + self.foreign.total()


def stream(path: Path, left_out: LeftOut | None = None) -> Iterator[Record]:
    """Yield the records of a file in order; what is none is counted in ``left_out``.

    A line that a crash tore is left out, and so is one of another schema, or longer than any record. Raises OSError
    where the file cannot be read.
    """
    counted = LeftOut() if left_out is None else left_out
    with opened(path) as lines:
        while line := lines.readline(LONGEST):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):  # RecursionError: brackets in brackets, thousands deep
                counted.torn += 1
                continue
            if not isinstance(entry, dict):
                counted.torn += 1
            elif entry.get("schema") == SCHEMA:
                yield entry
            else:
                counted.foreign[str(entry.get("schema"))[:20]] += 1
