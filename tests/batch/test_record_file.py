"""The file of records: whole lines, one run at a time, and as it was where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heatcli.batch.record_file import RecordFile, read
from heatcli.errors import OutputError, UsageError


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "input": name, **more}


def names(path: Path) -> list[str]:
    return [record["input"] for record in read(path)]


def test_it_grows_line_by_line_and_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "out" / "records.jsonl"
    with RecordFile(path) as file:
        file.add(entry("a\nb"), entry("ü"))
        assert names(path) == ["a\nb", "ü"]
        file.add(entry("c"))
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"schema": 1, "inp')
    assert names(path) == ["a\nb", "ü", "c"]
    with RecordFile(path) as file:
        file.keep(lambda record: record["input"] != "ü")
        file.add(entry("d"))
    assert names(path) == ["a\nb", "c", "d"]
    assert len(path.read_bytes().splitlines()) == 3
    assert [file.name for file in path.parent.iterdir()] == ["records.jsonl"]


def test_a_line_that_only_lacks_its_end_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"schema": 1, "input": "a"}\n{"schema": 1, "input": "b"}')
    assert names(path) == ["a"]
    with RecordFile(path) as file:
        file.keep(lambda record: True)
        file.add(entry("b"))
    assert path.read_bytes() == b'{"schema": 1, "input": "a"}\n{"schema": 1, "input": "b"}\n'


def test_what_is_kept_stays_byte_for_byte_and_an_intact_file_is_not_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"schema":1,   "input":"a"}\n')
    before = path.stat().st_ino
    with RecordFile(path) as file:
        file.keep(lambda record: True)
    assert path.stat().st_ino == before
    assert path.read_bytes() == b'{"schema":1,   "input":"a"}\n'


def test_a_run_that_adds_nothing_leaves_no_file(tmp_path: Path) -> None:
    with RecordFile(tmp_path / "records.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of that kind")
def test_a_second_run_into_one_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with RecordFile(path) as file:
        file.add(entry("a"), entry("b"))
        with pytest.raises(UsageError, match="another heatcli is writing there"):
            RecordFile(path)
        file.keep(lambda record: record["input"] == "a")  # a new file takes the place of the old one
        with pytest.raises(UsageError, match="another heatcli is writing there"):
            RecordFile(path)
    with RecordFile(path) as file:
        file.add(entry("c"))
    assert names(path) == ["a", "c"]


SMALL = """
import resource, signal, sys
from pathlib import Path
from heatcli.batch.record_file import RecordFile, read
from heatcli.errors import OutputError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
path = Path(sys.argv[1])
with RecordFile(path) as file:
    file.add({"schema": 1, "input": "first"})
    before = path.read_bytes()
    try:
        file.add({"schema": 1, "input": "x" * 200})
    except OutputError as error:
        print(error)
    assert path.read_bytes() == before
    file.add({"schema": 1, "input": "next"})
print([entry["input"] for entry in read(path)])
"""


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
def test_where_the_disk_takes_only_a_part_the_file_is_as_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SMALL, str(tmp_path / "records.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "records.jsonl: File too large" in done.stdout
    assert done.stdout.splitlines()[-1] == "['first', 'next']"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        RecordFile(tmp_path / "file" / "records.jsonl")
