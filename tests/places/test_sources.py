"""What the inputs stand for: order, places below the output folder, own heatmaps left out."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from heatcli.errors import UsageError
from heatcli.places.selection import natural_order
from heatcli.places.sources import expand


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


def test_patterns_and_sub_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "B.JPG", "c.img", "sub/d.jpg", "sub/c.img", "x.npy", "own.heatmap.png")
    found = expand([str(tmp_path)], recursive=False)
    assert [item.below for item in found.items] == ["a.jpg", "B.JPG", "x.npy"]
    for patterns, below in (
        (["*.jpg"], ["a.jpg", "B.JPG", "sub/d.jpg"]),
        (["*.img,x.*"], ["c.img", "sub/c.img", "x.npy"]),
        (["sub/*.jpg", "c.*"], ["c.img", "sub/c.img", "sub/d.jpg"]),
    ):
        assert [item.below for item in expand([str(tmp_path)], patterns=patterns).items] == below
    assert len(expand([f"{tmp_path}/*"], patterns=["*.img"]).items) == 2
    with pytest.raises(UsageError, match=r"--pattern \*\.gif fits none"):
        expand([str(tmp_path)], patterns=["*.gif"])


def test_files_are_not_asked_for_when_a_folder_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"{n // 10}/{n}.jpg" for n in range(50)))
    asked: list[str] = []
    true = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        asked.append(str(path))
        return true(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert len(expand([str(tmp_path)]).items) == 50
    assert len(asked) < 10


def test_names_are_those_that_were_typed_and_places_hold_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "photos/a.jpg", "b.jpg", "elsewhere/x.txt")
    monkeypatch.chdir(tmp_path)
    items = expand(["photos", "./b.jpg", "p*/*.jpg"]).items
    assert [item.name for item in items] == ["photos/a.jpg", "./b.jpg"]
    assert [item.picture() for item in items] == [Path("photos/a.jpg"), Path("b.jpg")]
    monkeypatch.chdir("elsewhere")
    assert [Path(str(pickle.loads(pickle.dumps(item)).picture())).is_file() for item in items] == [True, True]


class TestList:
    def written(self, folder: Path, content: bytes) -> str:
        (folder / "list.txt").write_bytes(content)
        return str(folder / "list.txt")

    def test_lines_keep_their_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        touch(tmp_path, "a/1.jpg", "b/1.jpg", "b/sub/2.png", "c[1].jpg")
        lines = ["a/1.jpg", "", "  ", "b", "../up.jpg", "c[1].jpg", "missing.jpg", f"{tmp_path}/a/1.jpg", "a/1.jpg"]
        found = expand([], listed=self.written(tmp_path, "\r\n".join(lines).encode()))
        assert [item.below for item in found.items] == [
            *("a/1.jpg", "b/1.jpg", "b/sub/2.png", "up.jpg", "c[1].jpg", "missing.jpg"),
            f"{str(tmp_path).lstrip('/')}/a/1.jpg",
        ]
        assert [item.name for item in found.items][3:6] == ["../up.jpg", "c[1].jpg", "missing.jpg"]
        assert found.folders

    def test_entries_between_nul(self, tmp_path: Path) -> None:
        found = expand([], listed=self.written(tmp_path, b"a\nb.jpg\0./c\xff.jpg\0"))
        assert [item.name for item in found.items] == ["a\nb.jpg", os.fsdecode(b"./c\xff.jpg")]
        assert found.items[0].below.startswith("a_b-")

    def test_what_cannot_be_is_a_failed_item(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "bad.zip").write_bytes(b"?")
        lines = [f"{tmp_path}/empty", f"{tmp_path}/bad.zip", "missing.tar", "nonsense://x/1.jpg", f"{tmp_path}/x.jpg"]
        found = expand([], listed=self.written(tmp_path, "\n".join(lines).encode()))
        said = [str(item.problem) for item in found.items]
        assert said[0] == "no pictures are in this folder"
        assert "broken zip" in said[1]
        assert said[2] == "no such file"
        assert "no kind of storage" in said[3]
        assert found.items[4].problem is None

    def test_from_stdin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfa.jpg\nb.jpg")))
        assert [item.name for item in expand(["c.jpg"], listed="-").items] == ["c.jpg", "a.jpg", "b.jpg"]
        with pytest.raises(UsageError, match="can be one of them"):
            expand(["-"], listed="-")

    def test_lists_that_are_none(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is empty"):
            expand([], listed=self.written(tmp_path, b"\n\n"))
        with pytest.raises(UsageError, match=r"--list none\.txt: cannot be read \(no such file\)"):
            expand([], listed="none.txt")


def test_natural_order_goes_folder_by_folder() -> None:
    names = ["a 1/x", "a/2", "a/10", "A/3", "a/010b", "b", "a/x2y10", "a/x2y9", "1" * 5000, "２"]
    assert sorted(names, key=natural_order) == [
        *("1" * 5000, "a/2", "A/3", "a/10", "a/010b", "a/x2y9", "a/x2y10", "a 1/x", "b", "２"),
    ]


def test_an_item_is_small(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("".join(f"photos/n{n // 1000:04}/picture_{n:08}.jpg\n" for n in range(20_000)))
    tracemalloc.start()
    found = expand([], listed=str(tmp_path / "list.txt"))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held / len(found.items) < 200
    assert len(pickle.dumps(found.items[:1000])) < 80_000
