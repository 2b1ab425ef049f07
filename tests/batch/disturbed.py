"""Folder runs in a process of their own, what disturbs them, and what must be true of the folder afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import PIL.Image

from tests.cli.conftest import classifier

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120.0
"""Seconds that anything may take at most, on however busy a machine."""
MARK = "HEATCLI_TEST_RUN"


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: the signal), both streams, and the seconds since it was disturbed."""

    code: int
    out: str
    err: str
    seconds: float = 0.0


@dataclass
class Running:
    """A run that is under way, in a session and so a process group of its own."""

    process: subprocess.Popen[str]
    mark: str

    def send(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the run alone, or to the whole group as a terminal does."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end."""
        begun = time.monotonic()
        out, err = self.process.communicate(timeout=PATIENCE)
        return Ended(self.process.returncode, out, err, time.monotonic() - begun)

    def processes(self) -> list[int]:
        """Return the processes of this run that are alive, by the mark in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if f"{MARK}={self.mark}".encode() in environment:
                    found.append(int(entry.name))
        return found

    def workers(self) -> list[int]:
        """Return the worker processes that are alive."""
        return [number for number in self.processes() if b"spawn_main" in _command(number)]

    def gone(self) -> float:
        """Wait until no process of this run is alive, and return the seconds that took."""
        begun = time.monotonic()
        while left := self.processes():
            if time.monotonic() - begun > 20:
                raise AssertionError(f"still alive: {[_command(number) for number in left]}")
            time.sleep(0.01)
        return time.monotonic() - begun


def _command(number: int) -> bytes:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


@dataclass
class Folder:
    """Pictures below ``root``, a tiny network, and the options that every run gets."""

    root: Path
    count: int = 12
    options: tuple[str, ...] = ()
    heatmaps: int = 1
    endings: tuple[str, ...] = (".heatmap.png",)
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write network and pictures."""
        self.root.mkdir(parents=True, exist_ok=True)
        onnx.save(classifier(), self.root / "net.onnx")
        for number in range(self.count):
            name = f"{'sub/' if number % 3 == 2 else ''}{number:05}.png"
            self.picture(name, number)
            self.names.append(name)

    @property
    def maps(self) -> Path:
        """The output folder."""
        return self.root / "maps"

    @property
    def records(self) -> Path:
        """The file of records."""
        return self.maps / "records.jsonl"

    def picture(self, name: str, seed: int) -> Path:
        """Write a picture."""
        path = self.root / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (18, 20, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(path)
        return path

    def start(self, *more: str, patch: str = "", limits: str = "", shell: Sequence[str] = ()) -> Running:
        """Begin a run; each of its processes does the Python of ``patch`` first, the one started that of ``limits``.

        With ``shell``, what is begun is that command, which gets the one of the run as its arguments.
        """
        mark = uuid.uuid4().hex
        environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        paths = [str(ROOT)]
        if patch:
            site = self.root / f"site-{mark[:8]}"
            site.mkdir()
            (site / "sitecustomize.py").write_text(patch, "utf-8")
            paths.insert(0, str(site))
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        command = [sys.executable, "-m", "heatcli"]
        if limits:
            command = [sys.executable, "-c", f"{limits}\nimport sys\nfrom heatcli.cli import main\nsys.exit(main())"]
        process = subprocess.Popen(
            [*shell, *command, "explain", "photos", "-m", "net.onnx", "-o", "maps", *self.options, *more],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        return Running(process, mark)

    def run(self, *more: str, patch: str = "", limits: str = "") -> Ended:
        """Do a whole run that nothing disturbs from outside, and see that nothing of it stays."""
        running = self.start(*more, patch=patch, limits=limits)
        ended = running.end()
        running.gone()
        return ended

    def wait_for_records(self, count: int, running: Running) -> None:
        """Wait until so many are there, or the run has ended."""
        begun = time.monotonic()
        while running.process.poll() is None and time.monotonic() - begun < PATIENCE:
            if self.records.exists() and self.records.read_bytes().count(b"\n") >= count:
                return
            time.sleep(0.001)

    def entries(self) -> list[dict]:
        """Return the records; every line must be a whole one."""
        content = self.records.read_bytes() if self.records.exists() else b""
        assert content == b"" or content.endswith(b"\n"), "the last record is torn"
        return [json.loads(row) for row in content.splitlines()]

    def explained(self) -> set[str]:
        """Return the inputs that are on record as explained."""
        return {entry["input"] for entry in self.entries() if entry["error"] is None}

    def left_over(self) -> list[Path]:
        """Return temporary files."""
        return [path for path in self.maps.rglob(".*") if path.is_file()]

    def whole(self) -> None:
        """See that every file with a name of its own is whole, and no temporary one is there."""
        assert self.left_over() == []
        for path in self.maps.rglob("*"):
            if path.suffix == ".png":
                with PIL.Image.open(path) as image:
                    image.load()
            elif path.suffix == ".npz":
                with np.load(path) as arrays:
                    assert all(np.isfinite(arrays[name]).all() for name in ("relevance", "heatmap"))

    def complete(self) -> None:
        """See that every picture is there and on record once a heatmap, and nothing else is."""
        self.whole()
        entries = self.entries()
        assert Counter(entry["input"] for entry in entries) == {f"photos/{name}": self.heatmaps for name in self.names}
        assert all(entry["error"] is None for entry in entries)
        expected = {"records.jsonl"}
        for entry in entries:
            stem = entry["output"].removesuffix(".heatmap.png").removeprefix("maps/")
            expected.update(stem + ending for ending in self.endings)
        assert {str(path.relative_to(self.maps)) for path in self.maps.rglob("*") if path.is_file()} == expected

    def content(self) -> dict[str, bytes]:
        """Return every file that was made, but for the records, whose seconds differ."""
        files = (path for path in self.maps.rglob("*") if path.is_file() and path != self.records)
        return {str(path.relative_to(self.maps)): path.read_bytes() for path in files}


@dataclass
class Tally:
    """What a number of kills came to."""

    kills: int = 0
    before_records: int = 0
    left_over: int = 0
    torn: int = 0
    ended_before: int = 0
    slowest_orphan: float = 0.0

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.kills} kills ({self.before_records} before the first record, {self.ended_before} after the end), "
            f"temporary files left to the next run by {self.left_over}, torn records by {self.torn}; "
            f"the last worker was gone {self.slowest_orphan:.2f} s after the kill"
        )


def kill_again_and_again(folder: Folder, kills: int, seed: int, *, each: bool) -> Tally:
    """Kill runs at random moments, and hold what the next ones make against a run that nothing disturbs.

    With ``each`` every killed run is followed by one that finishes, else only the last one is.
    """
    begun = time.monotonic()
    calm = folder.run("-q")
    longest = time.monotonic() - begun
    assert calm.code == 0, calm.err
    folder.complete()
    expected = folder.content()
    _emptied(folder)
    delays = random.Random(seed)
    tally = Tally()
    for number in range(kills):
        running = folder.start("-q")
        if number % 2:
            time.sleep(delays.uniform(0.0, longest))
        else:  # most of a short run is its start: half of the kills are to meet work
            folder.wait_for_records(delays.randrange(folder.count * folder.heatmaps), running)
            time.sleep(delays.uniform(0.0, 0.02))
        running.send(signal.SIGKILL)
        tally.kills += 1
        tally.ended_before += running.process.wait(PATIENCE) == 0
        tally.slowest_orphan = max(tally.slowest_orphan, running.gone())
        assert running.end().err == ""
        raw = folder.records.read_bytes() if folder.records.exists() else b""
        tally.before_records += not raw
        tally.torn += raw != b"" and not raw.endswith(b"\n")
        tally.left_over += folder.maps.exists() and bool(folder.left_over())
        if each or number == kills - 1:
            ended = folder.run("-q")
            assert (ended.code, ended.err) == (0, ""), ended.err
            folder.complete()
            assert folder.content() == expected
            if each:
                _emptied(folder)
    return tally


def _emptied(folder: Folder) -> None:
    for path in sorted(folder.maps.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def after_import(module: str, code: str) -> str:
    """Return a patch that does ``code`` among the names of ``module``, once that has been imported."""
    return f"""
import importlib.util
import sys


class After:
    def find_spec(self, name, path=None, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        true = spec.loader.exec_module

        def exec_module(module):
            true(module)
            exec({code!r}, module.__dict__)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, After())
"""


def when_read(code: str) -> str:
    """Return a patch that does ``code`` before a picture is read, ``source`` being its path; it has os and time."""
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    reading = (
        "import os, time\n_read = read_picture\n"
        f"def read_picture(source, *more):\n{lines}    return _read(source, *more)\n"
    )
    return after_import("heatcli.pictures.reading", reading)
