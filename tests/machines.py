"""A Dask scheduler and workers on this machine as processes of their own, to be killed and started anew.

The same file is what workers load before they begin: it keeps count, waits or dies where the name of a picture says so.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "HEATCLI_MACHINES"
LONG = 30.0
"""Seconds in which everything happens that happens at all."""


def until(happened: Callable[[], Any], what: str) -> Any:
    """Wait for something to happen, and return what it is."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: did not happen in {LONG:g} s")


def listens(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Machines:
    """One scheduler and its workers, which stand in a folder of their own; ``folder`` holds what they tell."""

    def __init__(self, folder: Path, **environment: str) -> None:
        """Start the scheduler."""
        self.folder = folder
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            **environment,
            FOLDER: str(folder),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "DASK_TEMPORARY_DIRECTORY": str(folder / "scratch"),
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self.schedule()

    def schedule(self) -> None:
        """Start the scheduler, at the same address again."""
        given = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        given += ["--idle-timeout", "600"]  # where the tests were killed and nobody ends it
        self.scheduler = self._start("scheduler", *given)
        until(lambda: listens(self.port), "the scheduler listens")

    def work(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, and wait until it is known; it dies for good when it dies."""
        before = len(self.known())
        given = ["--no-dashboard", "--preload", str(Path(__file__)), "--death-timeout", "60", *options]
        if "--nanny" not in options:
            given.append("--no-nanny")
        if "--nthreads" not in options:
            given += ["--nthreads", "1"]
        started = self._start("worker", self.address, *given, **environment)
        self.workers.append(started)
        until(lambda: len(self.known()) > before, "a worker joins")
        return started

    def ready(self, count: int) -> None:
        """Have so many workers, no more and no fewer, and nothing told yet."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) > count:
            self.kill(self.workers[-1])
        until(lambda: len(self.known()) == len(self.workers), "the dead are forgotten")
        while len(self.workers) < count:
            self.work()
        for told in self.folder.glob("*.told"):
            told.unlink()
        self.go(False)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as the system does when memory runs out."""
        process.kill()
        process.wait()
        self.workers = [worker for worker in self.workers if worker is not process]

    def known(self) -> dict[str, Any]:
        """Return the workers that the scheduler knows of."""
        return self.ask(lambda client: dict(client.scheduler_info(n_workers=-1)["workers"]))

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return the answer of another client of the cluster."""
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=10) as client:
            return question(client)

    def told(self, what: str) -> list[str]:
        """Return what workers told of themselves, a line each."""
        file = self.folder / f"{what}.told"
        return file.read_text().splitlines() if file.exists() else []

    def go(self, on: bool = True) -> None:
        """Let pictures go on whose name says that they wait."""
        (self.folder / "go").touch() if on else (self.folder / "go").unlink(missing_ok=True)

    def end(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            process.wait()

    def _start(self, what: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what, *arguments],
                cwd=self.elsewhere,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@contextmanager
def machines(folder: Path, count: int, **environment: str) -> Iterator[Machines]:
    """Have a scheduler and ``count`` workers for a while."""
    started = Machines(folder, **environment)
    try:
        for _ in range(count):
            started.work()
        yield started
    finally:
        started.end()


def tell(what: str, line: str) -> None:
    """Add a line to what workers tell."""
    with (Path(os.environ[FOLDER]) / f"{what}.told").open("a") as stream:
        stream.write(f"{os.getpid()} {line}\n")


def dask_setup(worker: Any) -> None:
    """Have this worker tell what it does: Dask calls this before the worker begins."""
    from importlib import metadata

    if wrong := os.environ.get("HEATCLI_MACHINES_WRONG"):
        version = metadata.version
        metadata.version = lambda name: "0.0.1" if name == wrong else version(name)

    from heatcli.batch.work import Work
    from heatcli.explainer import Explainer

    make, take = Work.make, Explainer.__setstate__

    def made(self: Any, item: Any) -> Any:
        tell("begun", item.name)
        if "deadly" in item.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "waits" in item.name:
            until((Path(os.environ[FOLDER]) / "go").exists, item.name)
        return make(self, item)

    def taken(self: Any, state: Any) -> None:
        tell("received", "")
        take(self, state)

    Work.make, Explainer.__setstate__ = made, taken
