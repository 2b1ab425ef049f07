"""Where each heatmap goes, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from heatcli.batch.outputs import check, plan
from heatcli.batch.sources import expand
from heatcli.errors import UsageError


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
