"""Where each heatmap goes, and what is refused before any work."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from heatcli.errors import UsageError
from heatcli.places.items import Item, Origin
from heatcli.places.outputs import Plan, check, plan
from heatcli.places.repeats import repeated
from heatcli.places.sources import Sources, expand


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/cat.jpg", "photos/sub/dog.png", "one.jpg", "one.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return tmp_path


def places(inputs: list[str], output: str | None, target: int | None = None, *, several: bool = False) -> list[str]:
    sources = expand(inputs)
    planned = plan(sources, output, several=several)
    return [Path(planned.heatmap(item, target)).as_posix() for item in sources.items]


@pytest.mark.usefixtures("folder")
class TestPlaces:
    def test_a_picture_goes_to_the_current_folder(self) -> None:
        assert places(["photos/cat.jpg"], None) == ["cat.heatmap.png"]

    def test_a_folder_is_mirrored_into_heatmaps(self) -> None:
        assert places(["photos"], None) == ["heatmaps/cat.heatmap.png", "heatmaps/sub/dog.heatmap.png"]
        planned = plan(expand(["photos"]), None)
        assert planned.records == str(Path("heatmaps/records.jsonl"))

    def test_a_name_without_suffix_is_a_folder_and_png_is_a_file(self) -> None:
        assert places(["one.jpg"], "maps") == ["maps/one.heatmap.png"]
        assert places(["one.jpg"], "maps.v2/") == ["maps.v2/one.heatmap.png"]
        assert places(["one.jpg"], "map.png") == ["map.png"]

    def test_several_targets_have_the_class_in_the_name(self) -> None:
        assert places(["one.jpg"], None, 281, several=True) == ["one.281.heatmap.png"]
        assert places(["one.jpg"], "map.png", 281, several=True) == ["map.281.png"]

    def test_only_known_suffixes_are_taken_off(self) -> None:
        assert places(["missing.2024"], None) == ["missing.2024.heatmap.png"]
        assert places(["-"], None) == ["stdin.heatmap.png"]

    @pytest.mark.parametrize(
        ("inputs", "output", "message"),
        [
            (["photos"], "-", "2 inputs"),
            (["one.jpg", "one.png"], "map.png", "2 inputs"),
            (["photos"], "map.png", "2 inputs"),
            (["one.jpg"], "map.jpg", "PNG"),
        ],
    )
    def test_outputs_that_do_not_fit(self, inputs: list[str], output: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            plan(expand(inputs), output)


def checked(inputs: list[str], output: str | None) -> None:
    sources = expand(inputs)
    check(plan(sources, output), sources.items)


def test_two_inputs_for_one_output_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"one\.jpg and one\.png would both write"):
        checked(["one.jpg", "one.png"], None)


def test_an_input_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(UsageError, match="overwrite the picture"):
        checked(["one.png"], "one.png")


@pytest.mark.parametrize("output", ["one.jpg/maps", "one.jpg/a/b/", "one.jpg/map.png"])
def test_a_folder_below_a_file_is_refused_and_nothing_is_made(folder: Path, output: str) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError, match="is not a folder"):
        checked(["photos/cat.jpg"], output)
    assert sorted(folder.rglob("*")) == before


def test_checking_makes_no_folder(folder: Path) -> None:
    checked(["photos"], "new/maps")
    assert not (folder / "new").exists()


def test_many_inputs_are_checked_in_little_memory() -> None:
    origin = Origin("photos/", "/photos/")
    items = [Item(origin, f"n{n // 1000:04}/picture_{n:08}.jpg") for n in range(20_000)]
    planned = plan(Sources(tuple(items), ("photos",), 0), "maps")
    tracemalloc.start()
    check(planned, items)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / len(items) < 100
    items.append(Item(origin, "n0001/picture_00001000.png"))
    with pytest.raises(UsageError, match=r"00001000\.jpg and photos/n0001/picture_00001000\.png would both write maps"):
        check(planned, items)


def test_names_with_the_same_hash_are_told_apart() -> None:
    class Same(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 7

    assert repeated(lambda: map(Same, ["a", "b", "c", "b"])) == ["b"]
    assert repeated(lambda: map(Same, ["a", "b"])) == []


def test_members_of_archives_and_urls_have_folders_of_their_own() -> None:
    planned = Plan("maps", None, None, several=True)
    member = Item(Origin("a/s.tar/", "/a/s.tar", "s/", holds="tar"), "x/cat.JPEG")
    assert Path(planned.heatmap(member, 3)).as_posix() == "maps/s/x/cat.3.heatmap.png"
    assert Plan("s3://b/maps", None, None, several=False).heatmap(member) == "s3://b/maps/s/x/cat.heatmap.png"


@pytest.mark.parametrize(
    ("output", "folder", "file"),
    [
        ("s3://bucket", "s3://bucket", None),
        ("s3://my.bucket/", "s3://my.bucket", None),
        ("s3://my.bucket/v1.2/", "s3://my.bucket/v1.2", None),
        ("s3://my.bucket/maps", "s3://my.bucket/maps", None),
        ("s3://my.bucket/maps/cat.PNG", None, "s3://my.bucket/maps/cat.PNG"),
    ],
)
def test_urls_as_outputs(folder: str | None, file: str | None, output: str) -> None:
    planned = plan(expand(["one.jpg"]), output)
    assert (planned.folder, planned.file) == (folder, file)
