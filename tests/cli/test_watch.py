"""``explain --watch`` and ``explain --plan``, as they are typed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NET = ("-m", "net.onnx", "--preprocess", "unit")
WATCH = ("explain", "photos", *NET, "--watch", "-o", "maps", "--workers", "threads")
Run = Callable[..., Any]


def at_looks(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Do one step after each look, and press Ctrl-C after the last."""
    rest = iter(steps)

    def sleep(seconds: float) -> None:
        try:
            next(rest)()
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(time, "sleep", sleep)


def nothing() -> None:
    pass


def inputs() -> list[str]:
    return [json.loads(row)["input"] for row in Path("maps/records.jsonl").read_text("utf-8").splitlines()]


def test_what_arrives_is_explained_when_it_is_whole(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path("photos/a.png").read_bytes()
    new = Path("photos/new.png")
    with monkeypatch.context() as patched:
        at_looks(
            patched,
            nothing,
            lambda: new.write_bytes(whole[: len(whole) // 2]),
            nothing,
            nothing,  # it has not grown, is tried, and cannot be read
            lambda: new.write_bytes(whole),
            nothing,
            nothing,
        )
        done = heatcli(*WATCH)
    assert done.code == 130
    assert inputs() == ["photos/a.png", "photos/b.jpg", "photos/sub/a.png", "photos/new.png"]
    assert Path("maps/new.heatmap.png").stat().st_size
    assert "Interrupted: 4 done; the same command goes on from there." in done.err
    assert "failed" not in done.err
    with monkeypatch.context() as patched:
        at_looks(patched, nothing, nothing)
        again = heatcli(*WATCH)
    assert again.out == ""
    assert "4 inputs of 4 were finished before" in again.err


def test_a_changed_picture_takes_the_place_of_the_old_one(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path("photos/b.jpg").read_bytes()
    with monkeypatch.context() as patched:
        at_looks(patched, nothing, lambda: Path("photos/a.png").write_bytes(other), nothing, nothing)
        heatcli(*WATCH)
    assert inputs() == ["photos/b.jpg", "photos/sub/a.png", "photos/a.png"]


def test_an_empty_folder_may_be_watched_and_only_a_folder(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    with monkeypatch.context() as patched:
        at_looks(patched, nothing)
        done = heatcli("explain", "empty", *NET, "--watch", "-o", "maps")
    assert done.code == 130
    assert not Path("maps").exists()
    for command, said in (
        (("explain", "photos/a.png", *NET, "--watch"), "--watch takes folders of this machine, not photos/a.png"),
        (("explain", "photos", *NET, "--watch", "--every", "0"), "seconds above 0 are needed"),
        (("explain", "photos", *NET, "--every", "3"), "--every goes with --watch"),
        (("explain", *NET), "nothing to explain"),
    ):
        refused = heatcli(*command)
        assert refused.code == 2
        assert said in refused.err


def test_a_plan_is_printed_and_nothing_written(heatcli: Run) -> None:
    before = sorted(Path().rglob("*"))
    done = heatcli("explain", "photos", *NET, "--plan", "--workers", "threads")
    assert (done.code, sorted(Path().rglob("*"))) == (0, before)
    assert "inputs   3" in done.out
    assert "measured on 3 pictures" in done.out
    plan = json.loads(heatcli("explain", "photos", *NET, "--plan", "--json", "--workers", "threads").out)
    assert (plan["inputs"], plan["remaining"], plan["measured"]) == (3, 3, 3)
    assert heatcli("explain", "photos", *NET).code == 0
    written = sum(path.stat().st_size for path in Path("heatmaps").rglob("*") if path.is_file())
    assert plan["bytes"] == pytest.approx(written, rel=0.1)
    assert "nothing left to do" in heatcli("explain", "photos", *NET, "--plan").out


def test_a_plan_says_where_nothing_could_be_measured(heatcli: Run) -> None:
    Path("bad").mkdir()
    Path("bad/a.png").write_bytes(b"")
    done = heatcli("explain", "bad", *NET, "--plan", "--workers", "threads")
    assert (done.code, "not known: none of 1 picture could be explained" in done.out) == (0, True)
