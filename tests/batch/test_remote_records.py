"""Records behind a URL: what is there after every kind of end, and that it goes on from there."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from heatcli.batch import remote_records
from heatcli.batch.batch import Records
from heatcli.batch.record_file import RecordFile, parsed
from heatcli.batch.remote_records import RemoteRecords, record_file
from heatcli.places import storage

pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture
def folder() -> str:
    return f"memory://{uuid.uuid4().hex}/maps"


def entry(name: str) -> dict[str, Any]:
    return {"schema": 1, "input": name}


def names(place: str) -> list[str]:
    return [json.loads(row)["input"] for row in storage.read(place).splitlines()]


def below(folder: str) -> list[str]:
    return sorted(place.removeprefix(f"{folder}/") for place in storage.listed(folder))


def add(file: Records, *wanted: str) -> None:
    for name in wanted:
        file.add(entry(name))


def test_at_the_end_the_whole_is_one_file(folder: str) -> None:
    with record_file(f"{folder}/records.jsonl") as file:
        add(file, "a", "b")
        assert below(folder) == []
    assert names(f"{folder}/records.jsonl") == ["a", "b"]
    with record_file(f"{folder}/records.jsonl") as file:
        file.keep(lambda record: record["input"] != "a")
        assert names(f"{folder}/records.jsonl") == ["b"]
        add(file, "c")
    assert names(f"{folder}/records.jsonl") == ["b", "c"]
    assert below(folder) == ["records.jsonl"]


def test_parts_are_what_a_killed_run_leaves_and_the_next_one_goes_on(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_records, "EVERY", 0.0)
    place = f"{folder}/records.jsonl"
    killed = RemoteRecords(place)  # and never closed
    add(killed, "a", "b", "c")
    assert below(folder) == [f"records.parts/{number:08}.jsonl" for number in range(3)]
    second = RemoteRecords(place)
    assert [(parsed(row) or {})["input"] for row in second.path.read_bytes().splitlines(keepends=True)] == list("abc")
    add(second, "d")  # killed too
    for copy in (killed, second):
        copy._file.__exit__(None, None, None)
        copy._folder.cleanup()
    with record_file(place) as file:
        add(file, "e")
    assert names(place) == list("abcde")
    assert below(folder) == ["records.jsonl"]


def test_a_run_that_fails_sends_what_it_has(folder: str) -> None:
    with pytest.raises(KeyboardInterrupt), record_file(f"{folder}/records.jsonl") as file:
        add(file, "a")
        raise KeyboardInterrupt
    assert names(f"{folder}/records.jsonl") == ["a"]


def test_a_run_that_adds_nothing_leaves_no_file(folder: str) -> None:
    with record_file(f"{folder}/records.jsonl"):
        pass
    assert below(folder) == []


def test_on_this_machine_it_is_the_file_itself(tmp_path: Any) -> None:
    with record_file(str(tmp_path / "records.jsonl")) as file:
        assert isinstance(file, RecordFile)
