"""``heatcli report``: what it writes, what it prints on which stream, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reporting import made


def test_after_explain_a_page_and_a_table_in_the_same_folder(heatcli, place: Path):
    assert heatcli("explain", "photos", "-m", "net.onnx", "--labels", "labels.txt", "-o", "maps").code == 0
    done = heatcli("report", "maps")
    assert (done.code, done.out) == (0, "maps/report.html\nmaps/summary.csv\n")
    assert "3 heatmaps in a page of" in done.err
    shown = made.rows(place / "maps/report.html")
    assert [entry["heatmapLink"] for entry in shown] == ["./a.heatmap.png", "./b.heatmap.png", "./sub/a.heatmap.png"]
    assert all(isinstance(image, list) for image in made.images(place / "maps/report.html"))
    assert shown[0]["border"] is not None


def test_from_another_folder_the_file_of_records_itself_and_another_page(heatcli, place: Path, monkeypatch):
    made.run(place, 2)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    done = heatcli("report", "../maps/records.jsonl", "-o", "page.html", "-q")
    assert (done.code, done.out, done.err) == (0, "page.html\npage.csv\n", "")
    assert all(isinstance(image, list) for image in made.images(Path("page.html")))
    assert heatcli("report", "../maps", "-o", ".").out == "report.html\nsummary.csv\n"


def test_json_says_what_was_written(heatcli, place: Path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    made.run(place, 3)
    (place / "photos/p0.png").unlink()
    done = heatcli("report", "maps", "--json", "--parquet", "--most", "2", "-v")
    told = json.loads(done.out)
    assert told == {
        "page": "maps/report.html",
        "tables": ["maps/summary.csv", "maps/summary.parquet"],
        "records": 3,
        "held": 2,
        "failed": 0,
        "missing": 1,
        "left_out": 0,
    }
    assert "holds the first 2 of 3 records" in done.err
    assert "1 picture was not found" in done.err
    assert "photos/p0.png: no such file" in done.err


def test_thumbnails_have_the_size_asked_for(heatcli, place: Path):
    made.run(place, 1)
    made.picture(place / "photos/p0.png", (900, 600))
    sizes = []
    for side in ("32", "512"):
        assert heatcli("report", "maps", "--thumbnails", side).code == 0
        sizes.append(len(made.images(place / "maps/report.html")[0][2]))
    assert sizes[0] < sizes[1]


def test_what_is_no_record_is_said(heatcli, place: Path):
    made.write(place / "maps/records.jsonl", [made.failure("a.png"), {"schema": 9}])
    done = heatcli("report", "maps")
    assert done.code == 0
    assert "0 heatmaps and 1 failure" in done.err
    assert "1 line of the records" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "none: no such folder"),
        (["photos"], "photos: holds no records.jsonl"),
        (["empty.jsonl"], "empty.jsonl: holds no records"),
        (["labels.txt"], "labels.txt: no line of it is a record"),
        (["foreign.jsonl"], "records of schema 2, and this version of heatcli reads schema 1"),
        (["maps", "-o", "page.png"], "-o page.png: a page is written as HTML"),
        (["maps", "-o", "-"], "a page is written to a file"),
        (["maps", "-o", "labels.txt/page.html"], "cannot write into the output folder labels.txt"),
        (["maps", "--thumbnails", "4"], "--thumbnails 4: sides from 32 to 1024"),
        (["maps", "--thumbnails", "big"], "--thumbnails big: a whole number"),
        (["maps", "--most", "0"], "--most 0: a whole number"),
        (["maps", "--most", "999999"], "at most 50,000"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_line_and_nothing_is_written(heatcli, place: Path, arguments: list[str], said: str):
    made.run(place, 1)
    (place / "empty.jsonl").touch()
    made.write(place / "foreign.jsonl", [made.record() | {"schema": 2}])
    before = set(place.rglob("*"))
    done = heatcli("report", *arguments)
    assert done.code == 2
    assert said in done.err
    assert done.err.startswith("heatcli: ")
    assert done.err.count("\n") == 1
    assert set(place.rglob("*")) == before


def test_pictures_above_the_limit_are_shown_as_missing(heatcli, place: Path):
    made.run(place, 2)  # of 48×32 pixels
    done = heatcli("report", "maps", "--max-pixels", "1500", "-v")
    assert done.code == 0
    assert "accept it with --max-pixels 1.6k" in done.err
    assert "4 pictures were not found or not readable" in done.err
    assert "not readable" not in heatcli("report", "maps", "--max-pixels", "1600", "-v").err
