"""Whatever an input is called, its output lies below the output folder, can be written, and is its own."""

from __future__ import annotations

import ntpath
import os
import posixpath
import unicodedata
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heatcli.places.naming import LONGEST, climbs, of_path, safe

PIECES = st.one_of(
    st.sampled_from(
        [
            "..",
            ".",
            "",
            "/",
            "\\",
            "C:",
            "c:x",
            "\0",
            "\n",
            "\x1b[31m",
            "\x9b31m",
            "\u202egnp.exe",
            "\u2067",
            "\u200f",
            "\u2028",
            " ",
            "...",
            "a.",
            "a ",
            "~",
            "-",
            "\ud800",
            "\udcff",
        ]
    ),
    st.text(max_size=12),
    st.text("a.é猫/\\: ", max_size=8),
    st.integers(150, 400).map(lambda length: "é" * length + ".jpg"),
    st.integers(190, 300).map(lambda length: "a" * length),
)
MARKS = "\u061c\u200e\u200f\u2028\u2029"
"""Signs that turn the direction around them, or break the line."""
NAMES = st.lists(PIECES, max_size=6).flatmap(lambda pieces: st.sampled_from(["".join(pieces), "/".join(pieces)]))


@given(NAMES)
@example("../../etc/passwd.jpg")
@example("/etc/passwd.jpg")
@example("C:\\Windows\\x.jpg")
@example("\\\\server\\share\\x.jpg")
@example("a/\u2025/x.jpg")
def test_it_stays_below_the_folder_on_every_system(name: str):
    below = safe(name)
    parts = below.split("/")
    assert below
    assert posixpath.normpath(posixpath.join("/out", below)).startswith("/out/")
    assert ntpath.normpath(ntpath.join("D:\\out", below)).startswith("D:\\out\\")
    assert PureWindowsPath("D:\\out", below).is_relative_to("D:\\out")
    for part in parts:
        assert part not in ("", ".", "..")
        assert len(os.fsencode(part)) <= LONGEST
        assert not part.endswith((".", " "))
        assert not any(unicodedata.category(sign) == "Cc" for sign in part)
        turning = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
        assert not any(unicodedata.bidirectional(sign) in turning or sign in MARKS for sign in part)
        assert "\\" not in part
        assert part[1:2] != ":"


@given(NAMES)
def test_what_is_safe_stays_as_it_is(name: str):
    assert safe(safe(name)) == safe(name)


def plain(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


@given(NAMES, NAMES)
def test_different_names_stay_different(one: str, other: str):
    assert (safe(one) == safe(other)) == ((plain(one) or ["_"]) == (plain(other) or ["_"]))


@given(st.lists(st.from_regex(r"[\w,=@()+-][\w ,=@()+.-]{0,20}[\w]", fullmatch=True), min_size=1, max_size=4))
def test_usual_names_are_not_touched(parts: list[str]):
    assert safe("/".join(parts)) == "/".join(parts)


@given(st.text("aé猫", min_size=201, max_size=600), st.sampled_from([".jpg", ".JPEG", ".tar", ""]))
def test_long_names_keep_their_suffix(stem: str, suffix: str):
    short = safe(stem + suffix)
    assert short.endswith(suffix)
    assert short[:50] == stem[:50]


@pytest.mark.parametrize("name", ["2024-01-01T12:00:00.jpg", "cat (1).jpg", "naïve 猫.png", "b\udcffd.png", "a..b.jpg"])
def test_names_that_files_have_are_kept(name: str):
    assert safe(name) == name


def test_the_longest_name_leaves_room_for_class_and_suffix(tmp_path: Path):
    place = tmp_path / f".{safe('é' * 500)}.999999.heatmap.root.png.4194304.part"
    place.write_bytes(b"")
    assert place.exists()


@pytest.mark.parametrize(
    ("name", "out"),
    [("../x.jpg", True), ("a/../../x.jpg", True), ("a\\..\\x", True), ("..", True), ("a..b", False), (".../x", False)],
)
def test_what_climbs(name: str, out: bool):
    assert climbs(name) is out


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("photos/a.jpg", "photos/a.jpg"),
        ("./photos//a.jpg", "photos/a.jpg"),
        ("../photos/a.jpg", "photos/a.jpg"),
        ("a/../b.jpg", "b.jpg"),
        ("/data/a.jpg", "data/a.jpg"),
        (".", ""),
    ],
)
def test_a_path_as_it_is_written(path: str, below: str):
    assert of_path(path) == below
