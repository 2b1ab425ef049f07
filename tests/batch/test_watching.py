"""What counts as arrived, and what as still being written."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from heatcli.batch.watching import PATIENCE, Arrivals
from heatcli.errors import PictureError, UsageError
from heatcli.places.items import Item
from heatcli.places.outputs import Plan
from heatcli.places.sources import expand

PLAN = Plan("maps", None, "maps/records.jsonl", several=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def look(arrivals: Arrivals) -> list[str]:
    return [item.name for item in arrivals.look(items())]


def items() -> tuple[Item, ...]:
    return expand(["in"], watched=True).items


def test_a_file_is_taken_when_it_has_not_changed_between_two_looks_and_once(folder: Path) -> None:
    arrivals = Arrivals(PLAN)
    assert look(arrivals) == []
    (folder / "a.png").write_bytes(b"1")
    assert look(arrivals) == []
    (folder / "a.png").write_bytes(b"12")  # still growing
    assert look(arrivals) == []
    assert look(arrivals) == ["in/a.png"]
    assert look(arrivals) == []
    (folder / "a.png").write_bytes(b"123")  # another picture under its name
    assert (look(arrivals), look(arrivals), look(arrivals)) == ([], ["in/a.png"], [])


def test_what_was_finished_before_is_passed_over_until_it_changes(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"1")
    arrivals = Arrivals(PLAN)
    assert arrivals.pass_over(items()) == {"in/a.png"}
    assert (look(arrivals), look(arrivals)) == ([], [])
    (folder / "a.png").write_bytes(b"12")
    assert (look(arrivals), look(arrivals)) == ([], ["in/a.png"])


def test_a_young_picture_that_cannot_be_read_is_tried_again_and_an_old_one_has_failed(folder: Path) -> None:
    arrivals, error = Arrivals(PLAN), PictureError("truncated")
    (folder / "a.png").write_bytes(b"1")
    assert (look(arrivals), look(arrivals)) == ([], ["in/a.png"])
    (item,) = items()
    assert not arrivals.defer(item, UsageError("nothing to do with the picture"))
    assert arrivals.has_taken(item)
    assert arrivals.defer(item, error)
    assert not arrivals.has_taken(item)
    assert look(arrivals) == ["in/a.png"]
    long_ago = time.time() - PATIENCE - 1
    os.utime(folder / "a.png", (long_ago, long_ago))
    assert (look(arrivals), look(arrivals)) == ([], ["in/a.png"])
    assert not arrivals.defer(item, error)
    assert arrivals.has_taken(item)


def test_a_picture_that_vanishes_is_forgotten_and_one_that_would_overwrite_is_said(folder: Path) -> None:
    arrivals = Arrivals(PLAN)
    (folder / "cat.png").write_bytes(b"1")
    listed = items()
    (folder / "cat.png").unlink()
    assert (arrivals.look(listed), arrivals.look(listed)) == ([], [])
    (folder / "cat.png").write_bytes(b"1")
    (folder / "cat.jpg").write_bytes(b"1")
    assert look(arrivals) == []
    problems = [item.problem for item in arrivals.look(items())]
    assert problems[0] is None
    assert "take the place of that of in/cat" in (problems[1] or "")
