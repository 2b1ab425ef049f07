"""Records are read one by one; what is none is counted and left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from heatcli.batch.record_stream import LeftOut, stream


def test_torn_and_foreign_lines_are_left_out_and_counted(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    lines = [
        b'{"schema": 1, "input": "a"}',
        b'{"schema": 2, "input": "b"}',
        b"",
        b'"text"',
        b"[" * 100_000,
        b'{"schema": 1, "input": "\xff"}',
        b'{"schema": 1, "input": "c"}',
        b'{"schema": 1, "inp',
    ]
    path.write_bytes(b"\n".join(lines))
    left_out = LeftOut()
    assert [entry["input"] for entry in stream(path, left_out)] == ["a", "c"]
    assert left_out.torn == 4
    assert dict(left_out.foreign) == {"2": 1}
    assert left_out.lines == 5


def test_records_come_before_the_file_is_read_to_its_end(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"schema": 1, "input": "first"}\n' + b"x" * 50_000_000)
    entries = stream(path)
    assert next(entries)["input"] == "first"
    entries.close()


def test_what_cannot_be_read_raises(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        list(stream(tmp_path / "none.jsonl"))
