"""Writes rows as they come, to CSV (RFC 4180, UTF-8) and to Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from heatcli.errors import UsageError
from heatcli.replacing import replacing
from heatcli.reporting.rows import COLUMNS, Cell

GROUP = 10_000
"""Rows of a row group: what Parquet holds in memory at a time."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text begins with that a spreadsheet computes, or that hides such a beginning from others."""
BLANKS = " \ufeff"
MISSING = "Parquet is written by pyarrow, which is not installed: python -m pip install pyarrow"


class Table(Protocol):
    """What takes one row after the other."""

    def add(self, cells: list[Cell]) -> None:
        """Take one row, its cells in the order of ``COLUMNS``."""


@contextmanager
def csv_table(path: Path, *, spreadsheet: bool = False) -> Iterator[Table]:
    r"""Yield what writes rows to ``path``, which appears whole when the block ends.

    The first line names the columns. A missing value is an empty field, a number is written with all its digits, a
    byte of a file name that is no UTF-8 as ``\udcff``. For a ``spreadsheet``, which takes texts that begin with ``=``
    and some other signs for formulas, these get an apostrophe before them.
    """
    with replacing(path, within=path.parent) as stream:
        lines = io.TextIOWrapper(stream, "utf-8", errors="backslashreplace", newline="")
        try:
            yield _Csv(lines, spreadsheet=spreadsheet)
        finally:
            lines.detach()


@contextmanager
def parquet_table(path: Path) -> Iterator[Table]:
    """Yield what writes rows to ``path`` as Parquet, in row groups. Raises UsageError without pyarrow."""
    require_parquet()
    with replacing(path, within=path.parent) as stream:
        table = _Parquet(stream)
        try:
            yield table
        finally:  # while there is a stream to write to: pyarrow closes what nobody did
            table.close()


def require_parquet() -> None:
    """Raise UsageError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(MISSING) from error


class _Csv:
    def __init__(self, lines: io.TextIOWrapper, *, spreadsheet: bool) -> None:
        self._writer, self._spreadsheet = csv.writer(lines), spreadsheet
        self._writer.writerow(column.name for column in COLUMNS)

    def add(self, cells: list[Cell]) -> None:
        self._writer.writerow(map(_no_formula, cells) if self._spreadsheet else cells)


class _Parquet:
    def __init__(self, stream: BinaryIO) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        types = {"text": pa.string(), "whole": pa.int64(), "real": pa.float64()}
        self._schema: Any = pa.schema([(column.name, types[column.kind]) for column in COLUMNS])
        self._writer: Any = ParquetWriter(stream, self._schema)
        self._rows: list[list[Cell]] = []

    def add(self, cells: list[Cell]) -> None:
        self._rows.append([_utf8(cell) if isinstance(cell, str) else cell for cell in cells])
        if len(self._rows) >= GROUP:
            self._write()

    def close(self) -> None:
        self._write()
        self._writer.close()

    def _write(self) -> None:
        import pyarrow as pa

        if self._rows:
            columns = [
                pa.array(cells, kind.type)
                for cells, kind in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
            self._rows.clear()


def _no_formula(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(BLANKS).startswith(FORMULAS) else cell


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
