"""From exceptions to exit codes, and what a terminal is shown."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import heatcli.explainer
from heatcli.cli import telling
from heatcli.cli.bars import progress
from heatcli.explanation import ClassScore
from heatcli.methods import METHODS
from heatcli.pictures.preprocessing import PRESETS
from heatcli.relevance.ledger import Ledger
from tests.cli.conftest import Done

Run = Callable[..., Done]
NET = ("-m", "net.onnx", "--preprocess", "unit")


def after(count: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the explainer fail with ``error`` from its ``count``-th picture on."""
    true, seen = heatcli.explainer.Explainer.explain_targets, []

    def failing(self: Any, picture: Any, **settings: Any) -> Any:
        seen.append(picture)
        if len(seen) >= count:
            raise error
        return true(self, picture, **settings)

    monkeypatch.setattr(heatcli.explainer.Explainer, "explain_targets", failing)


def test_an_interrupt_leaves_what_is_done_and_goes_on_later(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        after(3, KeyboardInterrupt(), patched)
        done = heatcli("explain", "photos", *NET, "--jobs", "1", "--workers", "threads")
    assert done.code == 130
    assert "Interrupted: 2 of 3 inputs done" in done.err
    assert "Traceback" not in done.err
    lines = Path("heatmaps/records.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["output"] for line in lines] == done.out.splitlines()
    rest = heatcli("explain", "photos", *NET)
    assert (rest.code, len(rest.out.splitlines())) == (0, 1)


def test_a_fault_is_one_message_and_a_traceback_with_debug(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    after(1, RuntimeError("wheel came off"), monkeypatch)
    done = heatcli("explain", "photos/a.png", *NET)
    assert (done.code, done.out) == (1, "")
    assert "RuntimeError: wheel came off" in done.err
    assert "--debug" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in heatcli("explain", "photos/a.png", *NET, "--debug").err
    batch = heatcli("explain", "photos", *NET, "--workers", "threads")
    assert batch.code == 1
    assert batch.err.count("RuntimeError") == 3


def test_a_reader_that_goes_away_is_no_error(place: Path) -> None:
    program = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "from heatcli.cli import main; sys.exit(main())"
    )
    root = str(Path(heatcli.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program, root, "inspect", "net.onnx"], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, b"")


COMMANDS = [
    ("explain", "photos/a.png", *NET),
    ("explain", "photos", *NET, "--json"),
    ("explain", "photos/a.png", *NET, "-o", "-"),
    ("inspect", "net.onnx"),
    ("inspect", "net.onnx", "--json"),
    ("--help",),
    (),
]


def shell(arguments: tuple[str, ...], redirected: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, its streams redirected as a shell writes it."""
    root = str(Path(heatcli.__file__).parents[1])
    line = f"exec {sys.executable} -m heatcli {shlex.join(arguments)} {redirected}"
    environment = {**os.environ, "PYTHONPATH": root, **variables}
    return subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60, env=environment)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_no_fault_of_heatcli(place: Path, arguments: tuple[str, ...]) -> None:
    done = shell(arguments, "> /dev/full")
    assert done.returncode == 1
    assert done.stderr.endswith(b"heatcli: cannot write the output (No space left on device)\n")
    assert b"fault" not in done.stderr
    assert b"Exception" not in done.stderr


def test_closed_streams(place: Path) -> None:
    done = shell(COMMANDS[0], ">&-")
    assert (done.returncode, done.stderr[:28]) == (1, b"heatcli: stdout is closed; s")
    done = shell(COMMANDS[0], "2>&-")
    assert (done.returncode, done.stdout) == (0, b"a.heatmap.png\n")
    if Path("/dev/full").exists():
        assert shell(COMMANDS[0], "2> /dev/full").returncode == 1


def test_a_closed_stdin_is_an_empty_one(place: Path) -> None:
    done = shell(("explain", "-", *NET), "<&-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"heatcli: stdin is empty; pipe a picture into heatcli\n"
    done = shell(("explain", "--list", "-", *NET), "<&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"heatcli: nothing to explain: --list - is empty\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals there")
def test_a_run_that_is_told_to_end_says_how_far_it_is(place: Path) -> None:
    """``timeout`` sends SIGTERM twice: to the command, and to its group, which has the workers in it."""
    root = str(Path(heatcli.__file__).parents[1])
    run = subprocess.Popen(
        [sys.executable, "-m", "heatcli", "explain", "photos", *NET, "--watch", "--every", "0.1"],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with run:
        assert run.stdout is not None
        written = [run.stdout.readline() for _ in range(3)]
        os.kill(run.pid, signal.SIGTERM)
        os.killpg(run.pid, signal.SIGTERM)
        rest, said = run.communicate(timeout=60)
    assert (run.returncode, rest) == (130, b"")
    assert said.endswith(b"Interrupted: 3 done; the same command goes on from there.\n")
    assert b"Warning" not in said
    assert all(Path(os.fsdecode(line.rstrip())).stat().st_size for line in written)
    assert len(Path("heatmaps/records.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_does_not_know_every_sign(place: Path, encoding: str) -> None:
    name = "photos/é猫.png"
    Path("photos/a.png").rename(name)
    done = shell(("explain", name, *NET), "", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, "é猫.heatmap.png\n".encode())
    assert b"\\u732b.png" in done.stderr
    done = shell(("explain", name, *NET, "--json"), "", PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout)["input"] == name
    assert shell(("inspect", "net.onnx"), "", PYTHONIOENCODING=encoding).returncode == 0


def test_no_command_shows_the_help_once(heatcli: Run) -> None:
    done = heatcli()
    assert (done.code, done.err) == (2, "")
    assert done.out == heatcli("--help").out


def test_the_help_names_every_method_and_preset(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = heatcli("explain", "--help").out
    words = re.split(r"[\s,.;]+", text)
    assert set(METHODS) <= set(words)
    assert set(PRESETS) <= set(words)
    assert "Examples" in text
    assert "Example" in heatcli("inspect", "--help").out


def test_help_fits_80_columns(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in ((), ("explain",), ("inspect",)):
        done = heatcli(*command, "--help")
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("ledger", "line"),
    [
        (Ledger(17.61, 17.61, 15.87, 1.74, 0.0, 0.0), "f(x) 17.61 = pixels 15.87 + biases 1.74 + constants 0 + lost 0"),
        (
            Ledger(17.61, 1.0, 0.9, 0.1, 0.0, 0.0),
            "f(x) 17.61; relevance 1.000 = pixels 0.900 + biases 0.100 + constants 0 + lost 0",
        ),
        (
            Ledger(-2.5, 0.0, 0.0, 0.0, 0.0, 0.0),
            "f(x) -2.500 is not positive: no evidence for this class, the map is empty",
        ),
        (
            Ledger(18.0, 18.0, 23.63, -1.0, 0.0, -4.63),
            "f(x) 18.00 = pixels 23.63 − biases 1.00 + constants 0 − gained 4.63",
        ),
        (
            Ledger(9.156, 9.156, 2.2e-5, 9.156, 0.0, -1e-8),
            "f(x) 9.156 = pixels 0.00002 + biases 9.156 + constants 0 + lost 0.000",
        ),
        (Ledger(2.5, 1.0, 0.3), "f(x) 2.500; the map sums to 0.3000 (m promises no account)"),
        (
            Ledger(2.0, 2.0, 1.0, 0.5, 0.0, 0.0),
            "f(x) 2.000 = pixels 1.000 + biases 0.500 + constants 0 + lost 0 (does not close: 0.5000 is missing)",
        ),
    ],
)
def test_the_account_in_a_line(ledger: Ledger, line: str) -> None:
    assert telling.ledger_line(ledger, "m") == line


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_class_table_fits_the_terminal(width: int) -> None:
    console = Console(width=max(width, 60))
    top = [ClassScore(7, "a very long label, with its synonyms, such as ImageNet has them " * 2, -1234.5, 0.99)]
    top.append(ClassScore(1234, "x", 1e9, 1e-9))
    lines = [line.plain for line in telling.classes(top, {7}, console)]
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= console.width
    assert "<0.1 %" in lines[2]


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, Console(stderr=True)) as advance:
        advance()
    assert capsys.readouterr() == ("", "")


def test_a_bar_with_count_and_time_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, Console(stderr=True, force_terminal=True, width=80, no_color=True)) as advance:
        advance()
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "Explaining" in drawn.err
    assert "1/3" in drawn.err
    assert "left" in drawn.err
