"""Pictures a second with 1 and 2 workers: threads, processes, and a Dask cluster on this machine; and their memory.

    python -m tests.benchmarks.throughput [--model FILE --preset NAME --photos FOLDER --pictures 67 --rounds 3]

All of it is the whole command, in turns; of every round the fastest counts, since other work on the machine only ever
adds. What does not depend on the number of pictures (imports, the network, its way to the workers) is measured with one
picture a worker, and taken away for the seconds a picture. Every worker has one thread on one core of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("threads", "processes", "cluster")
MB = 1e6


@dataclass
class Measured:
    """The fastest run of one kind: seconds with all pictures and with one a worker, and peak memory in MB."""

    workers: int
    pictures: int
    whole: float = float("inf")
    start: float = float("inf")
    parent: float = 0.0
    worker: float = 0.0
    rounds: list[float] = field(default_factory=list)

    @property
    def each(self) -> float:
        """Seconds a picture, without what is the same for any number of them."""
        return (self.whole - self.start) / (self.pictures - self.workers)


def environment() -> dict[str, str]:
    """Return what every process gets: one thread each, and this project."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": str(ROOT)}


def started(arguments: list[str], cores: set[int] | None = None) -> subprocess.Popen[bytes]:
    """Start a module of Python, on some cores only where that is possible."""
    bound = partial(os.sched_setaffinity, 0, cores) if cores and hasattr(os, "sched_setaffinity") else None
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if "heatcli" in arguments else subprocess.DEVNULL,
        preexec_fn=bound,
    )


def peak(pid: int) -> float:
    """Return the most memory that a process has held, in MB, 0 where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    return int(line.split()[1]) * 1024 / MB


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found]


def run(arguments: list[str], cores: set[int]) -> tuple[float, float, float]:
    """Return the seconds that the command takes, and the peaks of itself and of its largest child, in MB."""
    begun = time.perf_counter()
    process = started(["heatcli", "explain", *arguments], cores)
    own = largest = 0.0
    while process.poll() is None:
        own = max(own, peak(process.pid))
        largest = max([largest, *map(peak, children(process.pid))])
        time.sleep(0.05)
    seconds = time.perf_counter() - begun
    said = process.communicate()[1]
    if process.returncode:
        raise SystemExit(said.decode())
    return seconds, own, largest


@contextmanager
def cluster(scratch: Path, cores: list[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield the address of a cluster with a worker on each of the ``cores``, and the workers' processes."""
    file = scratch / "scheduler.json"
    file.unlink(missing_ok=True)
    local = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    processes = [started(["dask", "scheduler", *local, "--scheduler-file", str(file)])]
    try:
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        once = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(scratch)]
        workers = [started(["dask", "worker", address, *once], {core}) for core in cores]
        processes += workers
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(len(cores), timeout=60)
        yield address, [worker.pid for worker in workers]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def measure(kind: str, place: Measured, common: list[str], scratch: Path, cores: list[int]) -> None:
    """Run the command with few pictures and with all of them, and keep what was fastest."""
    for folder in ("few", "all"):
        output = scratch / "maps"
        shutil.rmtree(output, ignore_errors=True)
        pictures = scratch / (f"few{place.workers}" if folder == "few" else folder)
        arguments = [str(pictures), "-o", str(output), *common]
        if kind == "cluster":
            with cluster(scratch, cores) as (address, workers):
                seconds, own, _ = run([*arguments, "--cluster", address], set(cores))
                largest = max(map(peak, workers))
        else:
            seconds, own, largest = run([*arguments, "--workers", kind, "--jobs", str(place.workers)], set(cores))
        if folder == "few":
            place.start = min(place.start, seconds)
        else:
            place.rounds.append(seconds)
            place.whole = min(place.whole, seconds)
            place.parent, place.worker = max(place.parent, own), max(place.worker, largest)


def lay_out(scratch: Path, photos: list[Path], pictures: int, workers: int) -> None:
    """Copy so many pictures into the folder ``all``, and one a worker into ``few1``, ``few2`` and so on."""
    counts = {"all": pictures, **{f"few{count}": count for count in range(1, workers + 1)}}
    for name, count in counts.items():
        (scratch / name).mkdir()
        for number in range(count):
            source = photos[number % len(photos)]
            shutil.copy(source, scratch / name / f"{number:05}{source.suffix}")


def rows(found: dict[tuple[str, int], Measured]) -> Iterator[str]:
    """Yield a line for every kind and number of workers, beside threads of the same number and one of its kind."""
    heads = (("", -12), ("workers", 8), ("pict./s", 9), ("s/pict.", 9), ("start s", 9))
    heads += (("to 1", 7), ("to thr.", 9), ("MB", 7), ("MB each", 9))
    yield "".join(f"{head:>{width}}" if width > 0 else f"{head:<{-width}}" for head, width in heads)
    for (kind, count), one in found.items():
        alone, beside = found[kind, 1], found["threads", count]
        speedup = f"{alone.each / one.each:.2f}"
        yield (
            f"{kind:<12}{count:>8}{one.pictures / one.whole:>9.2f}{one.each:>9.3f}{one.start:>9.1f}{speedup:>7}"
            f"{one.each / beside.each:>9.2f}{one.parent:>7.0f}{one.worker or float('nan'):>9.0f}"
        )


def main(arguments: list[str] | None = None) -> None:
    """Measure in turns and print a table."""
    data = Path(os.environ.get("HEATCLI_DATA") or ROOT.parent / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=data / "models" / "bvlc_googlenet_opset8.onnx")
    parser.add_argument("--preset", default="caffe", help="preprocessing of the pictures (default: caffe)")
    parser.add_argument("--photos", type=Path, default=data / "photos", help="photographs, repeated where needed")
    parser.add_argument("--pictures", type=int, default=67)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="measure 1 and this many (default: 2)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if options.pictures <= options.workers or options.rounds < 1 or not 1 < options.workers <= len(cores):
        parser.error(f"2 to {len(cores)} workers, more pictures than workers, and one round at least are needed")
    kinds = ["threads", *(kind for kind in options.kinds if kind != "threads")]
    photos = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    counts = (1, options.workers)
    found = {(kind, count): Measured(count, options.pictures) for kind in kinds for count in counts}
    common = ["-m", str(options.model.resolve()), "--preprocess", options.preset, "-q"]
    with tempfile.TemporaryDirectory(prefix="heatcli-benchmark-") as folder:
        lay_out(Path(folder), photos, options.pictures, options.workers)
        for _ in range(options.rounds):
            for (kind, count), place in found.items():
                measure(kind, place, common, Path(folder), cores[:count])
    print(f"{options.model.name}, {options.pictures} pictures, best of {options.rounds}, {len(cores)} cores")
    for line in rows(found):
        print(line)
    one, more = found[kinds[-1], 1], found[kinds[-1], options.workers]
    print(f"{kinds[-1]}: {one.each / more.each / options.workers:.0%} of {options.workers} times one worker")


if __name__ == "__main__":
    main()
