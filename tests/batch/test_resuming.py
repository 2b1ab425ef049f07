"""What counts as finished: all records, all files, the same settings."""

from __future__ import annotations

from typing import Any

import pytest

from heatcli.batch import resuming
from heatcli.batch.records import Record
from heatcli.places.items import Item, single

SAME, OTHER = "0123", "4567"
FILES = {"map.png": 20, "other.png": 20, "old.png": 5}


def item(name: str) -> Item:
    return single(f"{name}.jpg", f"/photos/{name}.jpg", f"{name}.jpg")


def entry(name: str, output: str | None = "map.png", *, hash: str = SAME, error: Any = None, **settings: Any) -> Record:
    settings = {"hash": hash, "heatmaps": 1, **settings}
    return {"input": f"{name}.jpg", "output": output, "settings": settings, "error": error}


def survey(names: list[str], entries: list[Record], changed: int = 10) -> resuming.Earlier:
    items = [item(name) for name in names]
    return resuming.survey(
        items,
        entries,
        hash=SAME,
        planned=resuming.Places(items, lambda one: f"maps/{one.name}.heatmap.png"),
        output=FILES.get,
        source=lambda _: changed,
    )


def test_finished_is_what_has_its_records_and_files() -> None:
    found = survey(
        ["done", "unwritten", "failed", "outdated", "new"],
        [
            entry("done"),
            entry("unwritten", "absent.png"),
            entry("failed", None, error={"type": "PictureError"}),
            entry("outdated", "old.png"),
            entry("elsewhere"),
        ],
    )
    assert found.finished == {"done.jpg"}
    left = found.remaining([item(name) for name in ("done", "failed", "new")])
    assert [one.name for one in left] == ["failed.jpg", "new.jpg"]
    assert found.other is None


def test_every_heatmap_of_a_picture_must_be_there() -> None:
    assert survey(["two"], [entry("two", heatmaps=2)]).finished == set()
    assert survey(["two"], [entry("two", heatmaps=2), entry("two", "other.png", heatmaps=2)]).finished == {"two.jpg"}
    assert survey(["two"], [entry("two", heatmaps=2), entry("two", "absent.png", heatmaps=2)]).finished == set()


def test_a_record_too_many_is_done_again() -> None:
    assert survey(["twice"], [entry("twice"), entry("twice")]).finished == set()


def test_what_failed_and_was_done_later_is_finished() -> None:
    assert survey(["late"], [entry("late", None, error={"type": "PictureError"}), entry("late")]).finished == {
        "late.jpg"
    }


def test_other_settings_are_found_and_one_scale_is_taken_on() -> None:
    found = survey(["a", "b"], [entry("a", scale=0.5), entry("b", hash=OTHER)])
    assert found.finished == {"a.jpg"}
    assert (found.other or {})["input"] == "b.jpg"
    assert (found.others, found.scale) == (1, 0.5)


@pytest.mark.parametrize("scale", [10**400, float("inf"), float("nan"), -1.0, 0.0, True, "0.5", None])
def test_a_scale_that_is_none_is_passed_over(scale: Any) -> None:
    assert survey(["a"], [entry("a", scale=scale)]).scale is None


def test_what_changed_is_named() -> None:
    before = {"model": {"sha256": "m"}, "preprocessing": 1, "settings": {"options": {"method": "x", "labels": None}}}
    same = {"options": {"method": "x", "labels": None}, "sha256": "m", "preprocessing": 1}
    assert resuming.changed(before, **same | {"options": {"method": "y", "labels": ["cat", "dog"]}}) == [
        "labels not given, now cat, dog",
        "method x, now y",
    ]
    assert resuming.changed(before, **same | {"sha256": "n"}) == ["another model"]
    assert resuming.changed(before, **same | {"preprocessing": 2}) == ["another preprocessing"]


def test_a_heatmap_of_another_input_is_not_overwritten_unsaid() -> None:
    target = {"index": 7}
    for output, taken in (
        ("maps/a.jpg.heatmap.png", True),
        ("maps/a.jpg.7.heatmap.png", True),
        ("maps/a.jpg.heatmap.npy", True),
        ("maps/a.jpg.8.heatmap.png", False),
        ("maps/b.jpg.heatmap.png", False),
    ):
        found = survey(["a"], [entry("elsewhere/a", output) | {"target": target}])
        assert (found.taken is not None) == taken, output
