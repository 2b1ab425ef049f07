"""What befalls a folder run: places that take nothing, records that are none, pictures that come and go."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import pytest

from heatcli import replacing as replacing_
from heatcli.batch import record_file
from heatcli.batch.work import Work
from heatcli.places import storage
from tests.cli.conftest import Done

Run = Callable[..., Done]
COMMAND = ("explain", "photos", "-m", "net.onnx", "--preprocess", "unit", "-o", "maps", "-q")
HERE = (*COMMAND, "--workers", "threads", "--jobs", "1")
NAMES = ["photos/a.png", "photos/b.jpg", "photos/sub/a.png"]
FULL = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO]
RECORDS = Path("maps/records.jsonl")


def entries() -> list[dict[str, Any]]:
    return [json.loads(row) for row in RECORDS.read_text("utf-8").splitlines()]


def complete(inputs: list[str] = NAMES) -> None:
    """See that there is one record and one whole heatmap for each input, and nothing else."""
    assert sorted(entry["input"] for entry in entries()) == sorted(inputs)
    assert all(entry["error"] is None for entry in entries())
    files = {Path(entry["output"]) for entry in entries()}
    assert {path for path in Path("maps").rglob("*") if path.is_file()} == {*files, RECORDS}
    for file in files:
        with PIL.Image.open(file) as image:
            image.load()


def during(monkeypatch: pytest.MonkeyPatch, place: int, act: Callable[[], object]) -> None:
    """Do ``act`` before the item at ``place`` is made."""
    true, seen = Work.make, []

    def make(self: Work, item: Any) -> Any:
        seen.append(item)
        if len(seen) == place + 1:
            act()
        return true(self, item)

    monkeypatch.setattr(Work, "make", make)


# nothing can be written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", FULL, ids=errno.errorcode.get)
def test_where_no_heatmap_can_be_written_it_stops(heatcli: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Full:
        def __init__(self, stream: BinaryIO) -> None:
            self.stream = stream

        def write(self, content: bytes) -> int:
            self.stream.write(content[: len(content) // 2])
            raise OSError(number, os.strerror(number))

    @contextmanager
    def replacing(path: Path, **options: Any) -> Iterator[Any]:
        with replacing_.replacing(path, **options) as stream:
            yield Full(stream) if path.name.startswith("b.") else stream

    with monkeypatch.context() as patched:
        patched.setattr(storage, "replacing", replacing)
        stopped = heatcli(*HERE)
    assert stopped.code == 1
    assert stopped.err == (
        "Stopped: 1 of 3 inputs done; when that is mended, the same command goes on from there.\n"
        f"heatcli: cannot write maps/b.heatmap.png: {os.strerror(number)}\n"
    )
    assert [entry["input"] for entry in entries()] == NAMES[:1]
    assert not [path for path in Path("maps").rglob("*") if path.name.startswith((".", "b."))]
    assert heatcli(*HERE).code == 0
    complete()


@pytest.mark.parametrize("number", FULL, ids=errno.errorcode.get)
def test_where_no_record_can_be_written_it_stops(heatcli: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    true, calls = os.write, []

    def write(stream: int, content: Any) -> int:
        calls.append(content)
        if len(calls) == 2:
            return true(stream, content[:40])  # the disk takes a part
        if len(calls) == 3:
            raise OSError(number, os.strerror(number))
        return true(stream, content)

    with monkeypatch.context() as patched:
        patched.setattr(record_file.os, "write", write)
        stopped = heatcli(*HERE)
    assert stopped.code == 1
    assert stopped.err == (
        "Stopped: 1 of 3 inputs done; when that is mended, the same command goes on from there.\n"
        f"heatcli: cannot write maps/records.jsonl: {os.strerror(number)}\n"
    )
    assert [entry["input"] for entry in entries()] == NAMES[:1]
    assert heatcli(*HERE).code == 0
    complete()


def test_an_interrupt_in_the_middle_of_a_record_leaves_no_half(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    true, calls = os.write, []

    def write(stream: int, content: Any) -> int:
        calls.append(content)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return true(stream, content[:40] if len(calls) == 2 else content)

    with monkeypatch.context() as patched:
        patched.setattr(record_file.os, "write", write)
        assert heatcli(*HERE).code == 130
    assert [entry["input"] for entry in entries()] == NAMES[:1]
    assert heatcli(*HERE).code == 0
    complete()


def test_a_sub_folder_that_is_closed_is_a_matter_of_its_pictures(heatcli: Run) -> None:
    Path("photos/0").mkdir()
    Path("photos/a.png").rename("photos/0/a.png")  # what comes first
    Path("maps").mkdir()
    Path("maps/0").write_bytes(b"a file")
    done = heatcli(*COMMAND)
    assert done.code == 1
    assert "cannot write maps/0/a.heatmap.png" in done.err
    assert [entry["error"] is None for entry in entries()] == [False, True, True]
    Path("maps/0").unlink()
    assert heatcli(*COMMAND).code == 0
    complete(["photos/0/a.png", *NAMES[1:]])


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_without_permission_is_refused(heatcli: Run) -> None:
    Path("maps").mkdir(mode=0o555)
    done = heatcli(*COMMAND)
    assert (done.code, "no permission to write into" in done.err) == (2, True)


@pytest.mark.parametrize("way", ["removed", "moved", "replaced by a file"])
def test_an_output_folder_that_goes_away_ends_the_run(heatcli: Run, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    def act() -> None:
        Path("maps").rename("elsewhere")
        if way == "replaced by a file":
            Path("maps").write_bytes(b"a file")

    with monkeypatch.context() as patched:
        during(patched, 1, act)
        done = heatcli(*HERE)
    assert done.code == 1
    assert "of 3 inputs done; when that is mended, the same command goes on from there" in done.err
    assert "maps/records.jsonl was removed or replaced while this run was writing to it" in done.err
    if way == "replaced by a file":
        assert heatcli(*HERE).code == 2
        Path("maps").unlink()
    assert heatcli(*HERE).code == 0
    complete()


# records that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "number"), [(b"name,age\nx,1\n", 1), (b'{"schema": 2}\n', 1), (b"\x00\xff\n" * 9, 1), (b"[1]\n", 1)]
)
def test_a_file_that_holds_something_else_is_left_as_it_is(heatcli: Run, content: bytes, number: int) -> None:
    assert heatcli(*HERE).code == 0
    kept = RECORDS.read_bytes()
    RECORDS.write_bytes(kept + content)
    for more in ((), ("--overwrite",)):
        done = heatcli(*HERE, *more)
        assert done.code == 2
        assert f"maps/records.jsonl: line {3 + number} is no record of this version of heatcli" in done.err
        assert RECORDS.read_bytes() == kept + content
    RECORDS.write_bytes(kept + b"\n")  # somebody has looked at it with an editor
    assert heatcli(*HERE).code == 0
    complete()


def test_what_a_power_cut_leaves_at_the_end_is_dropped(heatcli: Run) -> None:
    assert heatcli(*HERE).code == 0
    kept = RECORDS.read_bytes().splitlines(keepends=True)
    RECORDS.write_bytes(b"".join(kept[:2]) + kept[2][:30] + bytes(3000))
    assert heatcli(*HERE).code == 0
    complete()
    assert RECORDS.read_bytes().startswith(b"".join(kept[:2]))


def test_a_folder_in_the_place_of_the_records_is_said(heatcli: Run) -> None:
    RECORDS.mkdir(parents=True)
    done = heatcli(*HERE)
    assert (done.code, done.err) == (1, "heatcli: cannot write maps/records.jsonl: Is a directory\n")


def test_records_behind_a_link_stay_behind_it(heatcli: Run) -> None:
    Path("maps").mkdir()
    RECORDS.symlink_to("real.jsonl")
    assert heatcli(*HERE).code == 0
    with Path("maps/real.jsonl").open("ab") as stream:
        stream.write(b'{"torn')
    Path("maps/a.heatmap.png").unlink()
    assert heatcli(*HERE).code == 0
    assert RECORDS.is_symlink()
    assert Path("maps/real.jsonl").is_file()
    assert sorted(entry["input"] for entry in entries()) == NAMES


LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes as POSIX has them")


@LINKS
@pytest.mark.parametrize("there", [True, False])
def test_records_that_lead_out_of_the_folder_are_refused(heatcli: Run, there: bool) -> None:
    Path("maps").mkdir()
    RECORDS.symlink_to("../mine")
    if there:
        Path("mine").write_text("\n")
    done = heatcli(*HERE)
    assert (done.code, done.out) == (1, "")
    assert done.err == "heatcli: cannot write maps/records.jsonl: it is a link that leads out of the output folder\n"
    assert Path("mine").exists() == there
    assert not there or Path("mine").read_text() == "\n"


@LINKS
def test_records_that_are_a_pipe_are_refused_at_once(heatcli: Run) -> None:
    Path("maps").mkdir()
    os.mkfifo(RECORDS)
    said = "is a pipe or a device, not a regular file"
    done = heatcli(*HERE)
    assert (done.code, done.err) == (1, f"heatcli: cannot write maps/records.jsonl: {said}\n")
    done = heatcli(*HERE, "--plan")
    assert (done.code, said in done.err) == (2, True)
    done = heatcli("report", "maps")
    assert (done.code, done.err) == (2, f"heatcli: maps/records.jsonl: cannot be read ({said})\n")


@LINKS
def test_links_that_were_planted_in_the_output_folder_lead_nowhere(heatcli: Run) -> None:
    """A heatmap takes the place of a link or pipe of its name; a folder that leads out costs what would go there."""
    Path("maps").mkdir()
    Path("elsewhere").mkdir()
    Path("mine").write_text("mine")
    Path("maps/a.heatmap.png").symlink_to("../mine")
    os.mkfifo("maps/b.heatmap.png")
    Path("maps/sub").symlink_to("../elsewhere")
    done = heatcli(*HERE)
    assert done.code == 1
    assert "cannot write maps/sub/a.heatmap.png: a link in its place leads out of the output folder\n" in done.err
    assert done.out == "maps/a.heatmap.png\nmaps/b.heatmap.png\n"
    assert Path("mine").read_text() == "mine"
    assert not any(Path("elsewhere").iterdir())
    for name in ("a", "b"):
        assert not Path(f"maps/{name}.heatmap.png").is_symlink()
        assert Path(f"maps/{name}.heatmap.png").read_bytes().startswith(b"\x89PNG")
    for name in ("report.html", "summary.csv"):
        Path(f"maps/{name}").symlink_to("../mine")
    assert heatcli("report", "maps").code == 0
    assert Path("mine").read_text() == "mine"


@LINKS
def test_a_link_that_was_typed_is_followed(heatcli: Run) -> None:
    Path("real").mkdir()
    Path("maps").symlink_to("real")
    assert heatcli(*HERE).code == 0
    assert Path("real/sub/a.heatmap.png").is_file()
    Path("x.png").symlink_to("real/x.png")
    assert heatcli("explain", "photos/a.png", "-m", "net.onnx", "-o", "x.png", "--save", "npy").code == 0
    assert Path("x.png").is_symlink()
    assert Path("real/x.png").is_file()
    Path("round.png").symlink_to("round.png")
    done = heatcli("explain", "photos/a.png", "-m", "net.onnx", "-o", "round.png")
    assert "Traceback" not in done.err
    assert "fault" not in done.err


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is closed to root")
def test_records_that_are_read_only_are_said(heatcli: Run) -> None:
    assert heatcli(*HERE).code == 0
    RECORDS.chmod(0o444)
    done = heatcli(*HERE, "--overwrite")
    assert (done.code, done.err) == (1, "heatcli: cannot write maps/records.jsonl: Permission denied\n")


# pictures and heatmaps that come and go ------------------------------------------------------------------------------


def test_a_picture_that_vanishes_costs_itself(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Path("photos/b.jpg")
    content = picture.read_bytes()
    with monkeypatch.context() as patched:
        during(patched, 1, picture.unlink)
        done = heatcli(*HERE)
    assert done.code == 1
    assert "photos/b.jpg: no such file" in done.err
    assert [entry["error"] is None for entry in entries()] == [True, False, True]
    picture.write_bytes(content)
    assert heatcli(*HERE).code == 0
    complete()


def test_a_heatmap_that_was_deleted_and_a_picture_that_changed_are_made_anew(heatcli: Run) -> None:
    assert heatcli(*HERE).code == 0
    before = {path: path.read_bytes() for path in Path("maps").rglob("*.png")}
    Path("maps/link").symlink_to("nowhere")  # is no reason to do the rest again
    Path("maps/a.heatmap.png").unlink()
    PIL.Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save("photos/sub/a.png")
    done = heatcli(*HERE)
    assert (done.code, done.out.split()) == (0, ["maps/a.heatmap.png", "maps/sub/a.heatmap.png"])
    Path("maps/link").unlink()
    complete()
    after = {path: path.read_bytes() for path in before}
    assert [str(path) for path in before if before[path] != after[path]] == ["maps/sub/a.heatmap.png"]


def test_a_picture_that_changes_while_it_is_explained_is_done_again(
    heatcli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Work.explain

    def explain(self: Work, item: Any) -> Any:
        explanations = true(self, item)
        if item.name.endswith("b.jpg"):
            PIL.Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save("photos/b.jpg")
        return explanations

    with monkeypatch.context() as patched:
        patched.setattr(Work, "explain", explain)
        done = heatcli(*HERE)
    assert done.code == 1
    assert "photos/b.jpg: changed while it was being explained; the same command does it again" in done.err
    done = heatcli(*HERE)
    assert (done.code, done.out.split()) == (0, ["maps/b.heatmap.png"])
    complete()


def test_other_settings_are_named_and_overwrite_does_all_again(heatcli: Run) -> None:
    assert heatcli(*HERE).code == 0
    kept = RECORDS.read_bytes()
    done = heatcli(*HERE, "--method", "gradient")
    assert done.code == 2
    assert "3 heatmaps were made with other settings: method deep-taylor, now gradient" in done.err
    assert "--overwrite to do all again" in done.err
    assert RECORDS.read_bytes() == kept
    assert heatcli(*HERE, "--method", "gradient", "--overwrite").code == 0
    complete()
    assert {entry["method"] for entry in entries()} == {"gradient"}
