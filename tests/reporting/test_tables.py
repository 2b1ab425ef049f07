"""The tables: CSV that any reader of RFC 4180 takes, Parquet with types, both whole or not at all."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from heatcli.reporting import tables
from heatcli.reporting.rows import COLUMNS, row
from heatcli.reporting.tables import csv_table, parquet_table
from tests.reporting import made

NAMES = [column.name for column in COLUMNS]
HOSTILE = [
    'quote " and, comma.png',
    "line\nbreak\r\nthere.png",
    "=1+1.png",
    os.fsdecode(b"caf\xe9.png"),
    "\u202egpj.exe",
    "",
]


def test_names_come_back_as_they_were(tmp_path: Path):
    with csv_table(tmp_path / "summary.csv") as table:
        for name in HOSTILE:
            table.add(row(made.record(name)))
    content = (tmp_path / "summary.csv").read_bytes()
    assert content.startswith(",".join(NAMES).encode() + b"\r\n")
    assert content.endswith(b"\r\n")
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [line["input"] for line in read] == [name.replace("\udce9", "\\udce9") for name in HOSTILE]
    assert all(float(line["error_share"]) == 1e-8 and line["error_type"] == "" for line in read)


def test_for_a_spreadsheet_no_text_is_a_formula(tmp_path: Path):
    names = [
        "=1+1.png",
        "@a",
        "-1.png",
        "+1",
        " =1",
        "\t=1",
        "\r\n=1",
        "＝1",
        "\ufeff=1",
        "photos/=1.png",
        "'=1",
        "a-b",
        "",
    ]
    with csv_table(tmp_path / "summary.csv", spreadsheet=True) as table:
        for name in names:
            entry = made.record(name)
            entry["target"]["label"] = "=label"
            entry["ledger"]["pixels"] = -1.5
            table.add(row(entry))
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [line["input"] for line in read] == [f"'{name}" for name in names[:9]] + names[9:]
    assert {(line["target_label"], line["pixels"]) for line in read} == {("'=label", "-1.5")}  # numbers are numbers


def test_a_table_that_was_broken_off_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "summary.csv"
    path.write_text("old", "utf-8")
    with pytest.raises(RuntimeError), csv_table(path) as table:
        table.add(row(made.record()))
        raise RuntimeError
    assert path.read_text("utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.csv"]


def test_parquet_that_was_broken_off_leaves_nothing(tmp_path: Path):
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    with pytest.raises(RuntimeError), parquet_table(tmp_path / "summary.parquet") as table:
        table.add(row(made.record()))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_types_row_groups_and_the_same_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    monkeypatch.setattr(tables, "GROUP", 4)
    entries = [made.failure("failed.png"), *(made.record(name) for name in HOSTILE)]
    with parquet_table(tmp_path / "summary.parquet") as table:
        for entry in entries:
            table.add(row(entry))
    file = parquet.ParquetFile(tmp_path / "summary.parquet")
    assert file.num_row_groups == 2
    assert {str(file.schema_arrow.field(name).type) for name in ("score", "border_share")} == {"double"}
    assert str(file.schema_arrow.field("target_index").type) == "int64"
    read = file.read().to_pylist()
    assert [list(line) for line in read] == [NAMES] * len(entries)
    expected = [list(row(entry)) for entry in entries]
    assert [line["score"] for line in read] == [cells[NAMES.index("score")] for cells in expected]
    assert [line["input"] for line in read][1:] == [name.replace("\udce9", "\\udce9") for name in HOSTILE]
