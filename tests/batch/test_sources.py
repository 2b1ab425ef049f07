"""What the inputs stand for: order, places below the output folder, own heatmaps left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from heatcli.batch.sources import expand
from heatcli.errors import UsageError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def relative(inputs: list[str]) -> list[str]:
    return [item.relative.as_posix() for item in expand(inputs).items]


def test_a_folder_is_searched_with_its_sub_folders_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "p10.jpg", "p2.JPG", "notes.txt", "b/p1.png", "b/x.npy", ".hidden.png", ".git/p.png", "a/q.webp")
    assert relative([str(tmp_path)]) == ["a/q.webp", "b/p1.png", "b/x.npy", "p2.JPG", "p10.jpg"]
    assert expand([str(tmp_path)]).folders == (str(tmp_path),)


def test_own_heatmaps_are_never_read_back(tmp_path: Path) -> None:
    touch(tmp_path, "cat.jpg", "cat.heatmap.png", "cat.281.heatmap.png", "cat.heatmap.npy", "heatmaps/cat.HEATMAP.PNG")
    found = expand([str(tmp_path)])
    assert [item.relative.name for item in found.items] == ["cat.jpg"]
    assert found.skipped == 4
    named = expand([str(tmp_path / "cat.jpg"), str(tmp_path / "cat.heatmap.png")])
    assert [item.relative.name for item in named.items] == ["cat.jpg"]
    with pytest.raises(UsageError, match="heatmap that heatcli wrote"):
        expand([str(tmp_path / "cat.heatmap.png")])


def test_a_glob_keeps_the_folders_below_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/c/2.jpg", "b/c/2.heatmap.png", "b/3.txt")
    found = expand([f"{tmp_path}/**/*.*g"])
    assert [item.relative.as_posix() for item in found.items] == ["a/1.jpg", "b/c/2.jpg"]
    assert found.folders == (f"{tmp_path}/",)
    flat = expand([f"{tmp_path}/a/*.jpg"])
    assert [item.relative.as_posix() for item in flat.items] == ["1.jpg"]
    assert flat.folders == ()


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "cat[1].jpg", "cat1.jpg")
    assert relative([f"{tmp_path}/cat[1].jpg"]) == ["cat[1].jpg"]


def test_a_missing_file_is_an_item_and_fails_later(tmp_path: Path) -> None:
    assert relative([str(tmp_path / "missing.jpg")]) == ["missing.jpg"]


def test_a_file_given_twice_is_explained_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    assert relative([f"{tmp_path}/a.jpg", f"{tmp_path}/*.jpg"]) == ["a.jpg", "b.jpg"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert relative([str(tmp_path)]) == ["a/1.jpg"]


def test_a_folder_that_cannot_be_searched_is_an_item_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/1.jpg", "closed/2.jpg")
    true = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return true(path)

    monkeypatch.setattr(os, "scandir", scandir)
    items = {item.relative.as_posix(): item.problem for item in expand([str(tmp_path)]).items}
    assert items == {"a/1.jpg": None, "closed": "this folder cannot be searched (Permission denied)"}
    (alone,) = expand([str(tmp_path / "closed")]).items
    assert (alone.name, alone.problem is None) == (str(tmp_path / "closed"), False)


def test_a_glob_leaves_out_what_is_no_picture(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "notes.txt", "x.npy", "README")
    found = expand([f"{tmp_path}/*"])
    assert [item.relative.name for item in found.items] == ["1.jpg", "x.npy"]
    assert found.others == 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [(["EMPTY"], "no pictures there"), (["EMPTY/*.jpg"], "no pictures there"), (["-", "-"], "more than once")],
)
def test_nothing_to_explain_is_a_usage_error(tmp_path: Path, inputs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        expand([text.replace("EMPTY", str(tmp_path)) for text in inputs])
