"""Archives, lists and URLs from end to end: explained, compared, evaluated."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done

Run = Callable[..., Done]
NET = ("-m", "net.onnx", "--preprocess", "unit")


@pytest.fixture
def archives(place: Path) -> Path:
    """``shard.tar`` with two pictures and ``photos.zip`` with one, a broken one and one that climbs."""
    with tarfile.open("shard.tar", "w") as archive:
        archive.add("photos/a.png", "x/a.png")
        archive.add("photos/b.jpg", "x/b.jpg")
        archive.add("labels.txt", "x/a.txt")
    with zipfile.ZipFile("photos.zip", "w") as packed:
        packed.write("photos/sub/a.png", "a.png")
        packed.writestr("broken.png", b"no picture")
        packed.writestr("../up.png", b"")
    return place


def records(text: str) -> dict[str, Any]:
    return {entry["input"]: entry for entry in map(json.loads, text.splitlines())}


@pytest.mark.usefixtures("archives")
class TestArchives:
    def test_members_are_explained_where_they_lie(self, heatcli: Run) -> None:
        done = heatcli("explain", "shard.tar", "photos.zip", *NET)
        assert done.code == 1
        assert sorted(done.out.splitlines()) == [
            *("heatmaps/photos/a.heatmap.png", "heatmaps/shard/x/a.heatmap.png", "heatmaps/shard/x/b.heatmap.png"),
        ]
        assert "photos.zip/broken.png: " in done.err
        assert "photos.zip/../up.png: its name leads out of the folder (..)" in done.err
        assert "3 inputs of 5 were finished before" in heatcli("explain", "shard.tar", "photos.zip", *NET).err

    def test_a_member_has_the_map_of_its_file(self, heatcli: Run) -> None:
        member = records(heatcli("explain", "shard.tar", *NET, "--json").out)["shard.tar/x/a.png"]
        file = records(heatcli("explain", "photos/a.png", *NET, "--json").out)["photos/a.png"]
        assert member["ledger"] == file["ledger"]
        assert Path(member["output"]).read_bytes() == Path(file["output"]).read_bytes()

    def test_compare(self, heatcli: Run) -> None:
        done = heatcli("compare", "photos.zip", "shard.tar", *NET)
        assert done.code == 1
        assert "Wrote comparison.png" in done.err
        assert done.err.count("it has no row") == 1
        assert heatcli("compare", "shard.tar", *NET).code == 0

    def test_evaluate(self, heatcli: Run) -> None:
        of_members = heatcli("evaluate", "shard.tar", *NET, "--methods", "gradient", "--json")
        of_files = heatcli("evaluate", "photos/a.png", "photos/b.jpg", *NET, "--methods", "gradient", "--json")
        found, known = json.loads(of_members.out), json.loads(of_files.out)
        assert found["conservation"][0]["ratio"] == known["conservation"][0]["ratio"]
        assert [entry["input"] for entry in found["pictures"]] == ["shard.tar/x/a.png", "shard.tar/x/b.jpg"]

    def test_fit_takes_files(self, heatcli: Run) -> None:
        done = heatcli("fit", "net.onnx", "--images", "shard.tar")
        assert done.code == 2
        assert "--images shard.tar/x/a.png: " in done.err
        assert "give files of this machine" in done.err


def test_a_list_keeps_paths(heatcli: Run, archives: Path) -> None:
    Path("list.txt").write_bytes(b"photos/a.png\0photos/sub/a.png\0shard.tar\0missing.jpg")
    done = heatcli("explain", "--list", "list.txt", *NET, "-o", "maps")
    assert done.code == 1
    assert sorted(done.out.splitlines()) == [
        *("maps/photos/a.heatmap.png", "maps/photos/sub/a.heatmap.png"),
        *("maps/shard/x/a.heatmap.png", "maps/shard/x/b.heatmap.png"),
    ]
    assert "missing.jpg: no such file" in done.err


@pytest.fixture
def memory() -> Iterator[Any]:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def test_from_a_storage_into_a_storage(heatcli: Run, place: Path, memory: Any) -> None:
    for name in ("a.png", "sub/a.png"):
        memory.pipe_file(f"/pics/{name}", (place / "photos" / name).read_bytes())
    again = ("explain", "memory://pics", *NET, "-o", "memory://maps/", "--workers", "threads")
    done = heatcli(*again)
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == ["memory://maps/a.heatmap.png", "memory://maps/sub/a.heatmap.png"]
    assert memory.cat_file("/maps/a.heatmap.png").startswith(b"\x89PNG")
    kept = records(memory.cat_file("/maps/records.jsonl").decode())
    assert kept.keys() == {"memory://pics/a.png", "memory://pics/sub/a.png"}
    assert "2 inputs of 2 were finished before" in heatcli(*again).err


def test_secrets_in_urls_stay_secret(heatcli: Run) -> None:
    done = heatcli("explain", "http://me:sesame@127.0.0.1:9/cat.jpg?X-Amz-Signature=sesame", *NET, "--json", "--debug")
    assert done.code == 1
    assert "http://127.0.0.1:9/cat.jpg: " in done.err
    assert "sesame" not in done.out + done.err
