"""``--isolate``: a process of its own, what it may take, and what is said when it takes more."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heatcli.batch.workers import Processes
from heatcli.limits import Limits

NET = ("-m", "net.onnx", "--preprocess", "unit")
ONE = ("explain", "photos/a.png", *NET)
Run = Callable[..., Any]


def test_one_picture_in_a_process_of_its_own_is_the_same(heatcli: Run) -> None:
    plain = heatcli(*ONE, "-o", "a.png", "--verbose")
    fenced = heatcli(*ONE, "-o", "b.png", "--verbose", "--isolate")
    assert (plain.code, fenced.code) == (0, 0)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()

    def said(text: str) -> str:
        return text.replace("b.png", "a.png").partition("Seconds:")[0]

    assert said(fenced.err) == said(plain.err)


def test_a_model_that_is_refused_is_refused_the_same_way(heatcli: Run) -> None:
    Path("bad.onnx").write_bytes(b"nothing")
    command = ("explain", "photos/a.png", "-m", "bad.onnx")
    plain, fenced = heatcli(*command), heatcli(*command, "--isolate")
    assert (fenced.code, fenced.err) == (plain.code, plain.err) == (3, plain.err)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps this limit")
def test_too_little_memory_is_said(heatcli: Run) -> None:
    done = heatcli(*ONE, "--isolate", "--limit", "memory=150M")
    assert done.code in (1, 3)
    assert "heatcli: " in done.err
    assert "memory" in done.err
    assert "Traceback" not in done.err
    assert not list(Path().glob("*heatmap.png"))


SLOW = """
import time
import heatcli.pictures.reading as reading

read = reading.read_picture

def slow(source, *given, **more):
    if "slow" in str(source):
        time.sleep(600)
    return read(source, *given, **more)

reading.read_picture = slow
"""


def test_a_picture_that_takes_too_long_has_failed_and_the_rest_goes_on(
    heatcli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(SLOW, "utf-8")
    places = (str(tmp_path / "patched"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    Path("photos/b.jpg").rename("photos/a_slow.jpg")
    done = heatcli("explain", "photos", *NET, "-o", "maps", "--limit", "seconds=5", "--jobs", "1")
    assert done.code == 1
    assert "photos/a_slow.jpg: took longer than 5 seconds and was stopped; --limit seconds=N allows more" in done.err
    assert done.out == "maps/a.heatmap.png\nmaps/sub/a.heatmap.png\n"


def test_what_does_not_go_together_is_said(heatcli: Run) -> None:
    for options, said in (
        (("--isolate", "--workers", "threads"), "--isolate is for processes of this machine"),
        (("--limit", "seconds=5"), "--limit seconds is for processes; give --isolate too"),
        (("--limit", "memory=nonsense", "--isolate"), "--limit memory=nonsense"),
        (("--cluster", "tcp://x:1", "--workers", "threads"), "--cluster brings its own workers"),
    ):
        done = heatcli(*ONE, *options)
        assert (done.code, said in done.err) == (2, True), done.err


def test_folders_are_isolated_by_themselves(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fences: list[dict[str, Any]] = []
    true = Processes.__init__

    def seen(self: Processes, count: int, **fence: Any) -> None:
        fences.append(fence)
        true(self, count, **fence)

    monkeypatch.setattr(Processes, "__init__", seen)
    assert heatcli("explain", "photos", *NET, "-o", "a").code == 0
    assert heatcli("explain", "photos", *NET, "-o", "b", "--limit", "memory=20G", "--limit", "seconds=9").code == 0
    assert heatcli("explain", "photos", *NET, "-o", "c", "--no-isolate").code == 0
    assert heatcli(*ONE).code == 0
    assert fences == [{"memory": Limits().memory, "seconds": 600}, {"memory": 20 * 10**9, "seconds": 9}]
