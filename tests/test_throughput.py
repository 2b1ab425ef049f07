"""The benchmark of workers runs through on a small network, and its table says what it should of given times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

from tests.benchmarks import throughput
from tests.benchmarks.throughput import Measured
from tests.cli.conftest import classifier


def test_the_table_compares_with_one_worker_and_with_threads():
    found = {
        ("threads", 1): Measured(1, 101, whole=52.0, start=2.0, parent=300.0),
        ("threads", 2): Measured(2, 102, whole=27.0, start=2.0, parent=400.0),
        ("cluster", 1): Measured(1, 101, whole=65.0, start=5.0, parent=150.0, worker=280.0),
        ("cluster", 2): Measured(2, 102, whole=35.0, start=5.0, parent=150.0, worker=280.0),
    }
    head, *lines = throughput.rows(found)
    assert max(map(len, [head, *lines])) <= 80
    assert [line.split() for line in lines] == [
        ["threads", "1", "1.94", "0.500", "2.0", "1.00", "1.00", "300", "nan"],
        ["threads", "2", "3.78", "0.250", "2.0", "2.00", "1.00", "400", "nan"],
        ["cluster", "1", "1.55", "0.600", "5.0", "1.00", "1.20", "150", "280"],
        ["cluster", "2", "2.91", "0.300", "5.0", "2.00", "1.20", "150", "280"],
    ]


@pytest.mark.skipif(len(getattr(throughput.os, "sched_getaffinity", lambda _: [0])(0)) < 2, reason="one core only")
def test_it_runs_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    onnx.save(classifier(), tmp_path / "net.onnx")
    (tmp_path / "photos").mkdir()
    PIL.Image.fromarray(np.full((20, 24, 3), 90, np.uint8)).save(tmp_path / "photos/a.png")
    given = ["--model", str(tmp_path / "net.onnx"), "--preset", "unit", "--photos", str(tmp_path / "photos")]
    throughput.main([*given, "--pictures", "4", "--rounds", "1", "--kinds", "threads"])
    title, _, *lines, last = capsys.readouterr().out.splitlines()
    assert title.startswith("net.onnx, 4 pictures")
    assert [line.split()[:2] for line in lines] == [["threads", "1"], ["threads", "2"]]
    assert last.startswith("threads: ")


def test_what_cannot_be_measured_is_said(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        throughput.main(["--pictures", "2"])
    assert "more pictures than workers" in capsys.readouterr().err
