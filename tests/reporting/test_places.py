"""Files of a run are found from anywhere, and links on a page stay links to files."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from heatcli.reporting.places import Places, link
from tests.reporting import made

INPUT, OUTPUT = "photos/p0.png", "maps/p0.heatmap.png"


@pytest.mark.parametrize("place", [".", "maps", "/"])
def test_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str):
    made.run(tmp_path, 1)
    monkeypatch.chdir(tmp_path / place)
    places = Places(tmp_path / "maps", [OUTPUT])
    assert places.output(OUTPUT) == tmp_path / OUTPUT
    assert places.input(INPUT) == tmp_path / INPUT


def test_found_when_the_folder_has_another_name_and_place(tmp_path: Path):
    made.run(tmp_path / "there", 1)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "there" / "maps").rename(tmp_path / "elsewhere" / "old maps")
    places = Places(tmp_path / "elsewhere" / "old maps", [OUTPUT])
    assert places.output(OUTPUT) == tmp_path / "elsewhere" / "old maps" / "p0.heatmap.png"
    assert places.input(INPUT) is None


def test_one_that_is_gone_is_not_replaced_by_a_namesake(tmp_path: Path):
    made.picture(tmp_path / "maps/a.heatmap.png")
    made.picture(tmp_path / "maps/sub/b.heatmap.png")
    names = ["maps/sub/a.heatmap.png", "maps/a.heatmap.png", "maps/sub/b.heatmap.png"]
    places = Places(tmp_path / "maps", names)
    assert places.output(names[0]) is None
    assert places.output(names[2]) == tmp_path / "maps/sub/b.heatmap.png"


@pytest.mark.parametrize("name", ["", "a\0b.png", "x" * 5000, "s3://bucket/a.png", "https://example.org/a.png", None])
def test_names_of_no_file(tmp_path: Path, name: str | None):
    places = Places(tmp_path, ["a\0b", "x" * 5000, "/"])
    assert places.input(name) is None
    assert places.output(name) is None


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("maps/a b.png", "./a%20b.png"),
        ("maps/sub/ä#?.png", "./sub/%C3%A4%23%3F.png"),
        ("maps/javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("photos/a.png", "../photos/a.png"),
        ("a.png", "../a.png"),
    ],
)
def test_links_are_relative_and_encoded(tmp_path: Path, file: str, expected: str):
    address = link(tmp_path / file, tmp_path / "maps" / "report.html")
    assert address == expected
    assert os.path.normpath(tmp_path / "maps" / unquote(address)) == str(tmp_path / file)


def test_no_link_to_what_lies_elsewhere(tmp_path: Path):
    assert link(tmp_path / "photos/a.png", tmp_path / "x/maps/report.html") is None


def test_a_name_that_is_no_text_keeps_its_bytes(tmp_path: Path):
    assert link(tmp_path / os.fsdecode(b"caf\xe9.png"), tmp_path / "report.html") == "./caf%E9.png"
