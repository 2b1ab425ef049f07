"""How long an explanation takes: heatcli's engines beside zennit, captum, torch's gradient and a plain forward pass.

    python -m tests.benchmarks.engines [--nets vgg16,googlenet,resnet50,mobilenetv2,vit_tiny] [--pictures 1,16]
                                       [--batch 16] [--rounds 9] [--threads 2] [--targets K] [--json FILE]

Before anything is timed, heatcli's maps must equal zennit's under the same rules. Then every round runs every
contestant once, in one process and with pauses, so that whatever else the machine does slows all of them; medians of
the rounds count, and × says how many plain forward passes by onnxruntime of the same pictures they are. heatcli
explains one picture after the other, the others take batches of up to --batch. "ready s" is what a contestant takes
until the first call can be as fast as the later ones; torch has its networks in memory by then. "peak MB" is that of a
process of its own which explains once. "off" is the largest difference from zennit's map in float64 or, if that is
nearer, in float32, as a part of the map's maximum, and for onnxruntime that from torch's scores. With --targets, K
classes of one picture are compared with one class of it. Use a quiet machine: torch's threads wait for each other, and
suffer most from whatever else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from tests.benchmarks.contestants import (
    BASELINE,
    CONTESTANTS,
    ENGINES,
    PEER,
    Case,
    Done,
    Refused,
    Run,
    opened,
    peak_alone,
    prepare,
    references,
)

NETWORKS = ("vgg16", "googlenet", "resnet50", "mobilenetv2", "vit_tiny")
SMALL = ("tiny", "tiny_transformer")
PAUSE = 0.05
"""Seconds between turns: threads of onnxruntime and OpenMP keep spinning for a while."""
TOLERANCE = 1e-3
"""How far a map may be from zennit's, as a part of its maximum."""
PACKAGES = ("heatcli", "numpy", "onnxruntime", "torch", "zennit", "captum")


@dataclass
class Entry:
    """One contestant in one case; seconds throughout. ``refused`` says why it was not timed.

    ``seconds`` has one entry a round; ``inner`` is the share of it that heatcli says it spent on forward and relevance.
    """

    name: str
    title: str
    load: float = 0.0
    first_call: float = 0.0
    seconds: list[float] = field(default_factory=list)
    inner: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    off: float | None = None
    refused: str | None = None

    @property
    def typical(self) -> float:
        """The median of the rounds."""
        return median(self.seconds)

    @property
    def ready(self) -> float:
        """What opening takes, and what the first call takes longer than later ones."""
        return self.load + max(0.0, self.first_call - self.typical)

    def record(self, baseline: float) -> dict:
        """Return everything for the JSON file; ``ratio`` is the median by that of the baseline."""
        if not self.seconds:
            return {"name": self.name, "refused": self.refused, "off": self.off, "peak_mb": self.peak_mb}
        inner = median(self.inner) if self.inner else None
        found = {"median": self.typical, "median_inner": inner, "ratio": self.typical / baseline, "ready": self.ready}
        return asdict(self) | found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""

    def names(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        found = [int(number) for number in text.split(",")]
        if min(found) < 1:
            raise ValueError(text)
        return found

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines", description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=names, default=list(NETWORKS), help=f"of {','.join((*NETWORKS, *SMALL))}")
    parser.add_argument("--pictures", type=numbers, default=[1, 16], help="how many are explained (default: 1,16)")
    parser.add_argument("--batch", type=int, default=16, help="most pictures in one batch (default: 16)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--targets", type=int, metavar="K", help="time K classes of one picture against one, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(given)
    if unknown := sorted(set(options.nets) - {*NETWORKS, *SMALL}):
        parser.error(f"unknown network {', '.join(unknown)}; known: {', '.join((*NETWORKS, *SMALL))}")
    if min(options.rounds, options.threads, options.batch, options.targets or 2) < 1:
        parser.error("--rounds, --threads, --batch and --targets must be 1 or more")
    if uneven := [count for count in options.pictures if count % min(count, options.batch)]:
        parser.error(f"{uneven[0]} pictures cannot be cut into batches of {options.batch}")
    return options


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print as it goes, and write the JSON file; 1 where a contestant's results were not equal."""
    options = arguments(given)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read when NumPy is imported, hence the late imports
    import heatcli  # noqa: F401 - before NumPy, as in the command: it settles how NumPy's threads wait

    warnings.simplefilter("ignore")  # of torch's exporter and captum's hooks
    try:
        for package in ("torch", PEER):
            version(package)
    except PackageNotFoundError as error:
        print(f"{error}; the comparison needs the extra peers", file=sys.stderr)
        return 2
    figures: dict = {
        "threads": options.threads,
        "rounds": options.rounds,
        "machine": platform.machine(),
        "versions": versions(),
        "cases": [],
        "targets": [],
    }
    entries: dict[tuple[str, int], list[Entry]] = {}
    for network in options.nets:
        with tempfile.TemporaryDirectory(prefix="heatcli-benchmark-") as name:
            folder = Path(name)
            batches = {min(count, options.batch) for count in options.pictures}
            prepare(network, folder, max(options.pictures), {1, *batches}, options.threads)
            for count in options.pictures:
                case = Case(network, folder, count, min(count, options.batch), options.threads)
                measured = measure(case, options.rounds)
                entries[network, count] = measured
                figures["cases"].append(record(case, measured))
                show([*block(case, measured, options.rounds), ""])
            if options.targets:
                case = Case(network, folder, 1, 1, options.threads)
                found = several_targets(case, options.targets, options.rounds)
                figures["targets"].append({"network": network, "classes": options.targets, "engines": found})
                show([*targets_block(case, found, options), ""])
        if options.json:
            write(options.json, figures)
    show(summary(entries))
    everyone = [*(entry for case in figures["cases"] for entry in case["contestants"])]
    everyone += [entry for row in figures["targets"] for entry in row["engines"]]
    return int(any(entry["name"] in (BASELINE, *ENGINES) and (entry["off"] or 0.0) > TOLERANCE for entry in everyone))


def versions() -> dict[str, str | None]:
    """Return the installed versions of all packages that take part."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def write(path: Path, figures: dict) -> None:
    """Write the figures as JSON, whole or not at all."""
    from heatcli.replacing import replacing

    with replacing(path) as stream:
        stream.write(json.dumps(figures, indent=1).encode())


# measuring ------------------------------------------------------------------------------------------------------------


def timed(run: Callable[[], object]) -> tuple[float, object]:
    """Return the seconds a call takes, and what it gives."""
    begun = time.perf_counter()
    found = run()
    return time.perf_counter() - begun, found


def measure(case: Case, rounds: int) -> list[Entry]:
    """Open, check and time every contestant."""
    entries = [Entry(name, title) for name, (title, _) in CONTESTANTS.items()]
    for entry in entries:
        entry.peak_mb = peak_alone(case, entry.name)
    runs: dict[str, Run] = {}
    _ = case.classifier  # in memory before the first of torch's contestants is opened
    for entry in entries:
        try:
            entry.load, run = timed(lambda name=entry.name: CONTESTANTS[name][1](case))
            entry.first_call, done = timed(run)
            entry.off = difference(case, entry.name, done)
            runs[entry.name] = run
        except Refused as reason:
            entry.refused = str(reason)
            continue
        if entry.name in (BASELINE, *ENGINES) and not entry.off <= TOLERANCE:
            entry.refused = f"its result is off by {entry.off:.2g}, hence not timed"
            del runs[entry.name]
    for turn in range(rounds + 1):
        for entry in entries:
            if entry.name not in runs:
                continue
            time.sleep(PAUSE)
            runs[entry.name]()  # wakes the threads and warms the caches, for everyone alike
            seconds, done = timed(runs[entry.name])
            if turn:  # the first turn fills caches
                entry.seconds.append(seconds)
                entry.inner += [] if done.seconds is None else [done.seconds]
    return entries


def difference(case: Case, name: str, done: Done) -> float | None:
    """Return how far a result is from its reference, as a part of the maximum; None where there is none to compare.

    An engine's map is held against zennit's in the precision that it is nearer to, zennit's own against float64.
    """
    import numpy as np

    if name == BASELINE:
        scores = done.values[range(case.pictures), case.facts["targets"]]
        expected = np.asarray(case.facts["scores"])[None]
    elif name in (PEER, *ENGINES):
        scores, expected = done.values, case.references if name in ENGINES else case.references[:1]
    else:
        return None
    assert scores.shape == expected.shape[1:]
    over = tuple(range(2, expected.ndim))  # picture by picture
    return float((np.abs(scores - expected).max(over) / np.abs(expected).max(over)).min(0).max())


def several_targets(case: Case, count: int, rounds: int) -> list[dict]:
    """Time one class of a picture and ``count`` classes, with every engine that there is."""
    import numpy as np

    bounds = tuple(case.facts["range"])
    wanted = {1: ("top",), count: (f"top-{count}",)}
    found: dict[str, dict] = {}
    expected: dict[int, np.ndarray] = {}
    runs: dict[str, Callable[[int], list]] = {}
    for engine in ENGINES:
        found[engine] = {"name": engine, "one": [], "several": [], "off": None, "refused": None}
        try:
            explainer = opened(case, engine)
        except Refused as reason:
            found[engine]["refused"] = str(reason)
            continue
        runs[engine] = lambda targets, explainer=explainer: explainer.explain_targets(
            case.pixels[0], targets=wanted[targets], pool="winner", range=bounds
        )
        explanations = runs[engine](count)
        off = 0.0
        for ours in explanations:
            if ours.score > 0:  # zennit shares negative scores out, too
                if ours.target not in expected:
                    expected[ours.target] = references(case.classifier, case.pixels, [ours.target])[:, 0]
                theirs = expected[ours.target]
                off = max(off, min(float(np.abs(ours.relevance - one).max() / np.abs(one).max()) for one in theirs))
        found[engine]["off"] = off
        if not off <= TOLERANCE:
            found[engine]["refused"] = f"its maps are off by {off:.2g}, hence not timed"
            del runs[engine]
    for turn in range(rounds + 1):
        for engine, run in runs.items():
            for key, targets in (("one", 1), ("several", count)):
                time.sleep(PAUSE)
                seconds, _ = timed(lambda run=run, targets=targets: run(targets))
                if turn:
                    found[engine][key].append(seconds)
    return list(found.values())


# tables ---------------------------------------------------------------------------------------------------------------


def record(case: Case, entries: list[Entry]) -> dict:
    """Return a case for the JSON file."""
    shape = list(case.pixels.shape[1:])
    baseline = entries[0].typical if entries[0].seconds else float("nan")
    return {
        "network": case.network,
        "pictures": case.pictures,
        "batch": case.batch,
        "shape": shape,
        "contestants": [entry.record(baseline) for entry in entries],
    }


def heading(case: Case, rounds: int) -> str:
    """Say what a table is about."""
    count = f"{case.pictures} picture{'s' if case.pictures > 1 else ''}"
    batch = f" in batches of {case.batch}" if case.batch > 1 else ""
    sides = "×".join(str(side) for side in case.pixels.shape[2:])
    return f"{case.network}, {count} of {sides}{batch}, {case.threads} threads, median of {rounds}"


def block(case: Case, entries: list[Entry], rounds: int) -> Iterator[str]:
    """Yield the table of one case, a contestant a line."""
    yield heading(case, rounds)
    yield f"{'':<30}{'ms':>11}{'×':>9}{'ready s':>10}{'peak MB':>10}{'off':>10}"
    baseline = entries[0].typical if entries[0].seconds else float("nan")
    for entry in entries:
        peak = "—" if entry.peak_mb is None else f"{entry.peak_mb:.0f}"
        off = "" if entry.off is None else f"{entry.off:.1e}"
        if not entry.seconds:
            yield f"{entry.title:<30}{'—':>11}{'—':>9}{'—':>10}{'—':>10}{off:>10}"
            continue
        yield (
            f"{entry.title:<30}{entry.typical * 1e3:>11.1f}{entry.typical / baseline:>9.2f}"
            f"{entry.ready:>10.2f}{peak:>10}{off:>10}"
        )
        if entry.inner:
            inner = median(entry.inner)
            yield f"{'  of it forward and relevance':<30}{inner * 1e3:>11.1f}{inner / baseline:>9.2f}"
    for entry in entries:
        if entry.refused:
            yield shortened(f"— {entry.title}: {entry.refused}")


def targets_block(case: Case, found: list[dict], options: argparse.Namespace) -> Iterator[str]:
    """Yield the table of one class against several."""
    several = f"{options.targets} classes, ms"
    yield f"{heading(case, options.rounds)}, by classes"
    yield f"{'':<30}{'1 class, ms':>14}{several:>18}{'×':>8}{'off':>10}"
    for entry in found:
        title = f"heatcli, {entry['name']}"
        off = "" if entry["off"] is None else f"{entry['off']:.1e}"
        if not entry["one"]:
            yield f"{title:<30}{'—':>14}{'—':>18}{'—':>8}{off:>10}"
            continue
        one, more = median(entry["one"]) * 1e3, median(entry["several"]) * 1e3
        yield f"{title:<30}{one:>14.1f}{more:>18.1f}{more / one:>8.2f}{off:>10}"
    for entry in found:
        if entry["refused"]:
            yield shortened(f"— heatcli, {entry['name']}: {entry['refused']}")


def summary(cases: dict[tuple[str, int], list[Entry]]) -> Iterator[str]:
    """Yield one table of all cases: plain forward passes, and milliseconds beneath."""
    yield f"{'':<12}{'pictures':>8}" + "".join(f"{name:>{12 if name == BASELINE else 9}}" for name in CONTESTANTS)
    for (network, count), entries in cases.items():
        baseline = entries[0].typical if entries[0].seconds else float("nan")
        ratios, milliseconds = f"{network:<12}{count:>8}", f"{'':<18}ms"
        for entry in entries:
            width = 12 if entry.name == BASELINE else 9
            ratios += f"{f'{entry.typical / baseline:.2f} ×' if entry.seconds else '—':>{width}}"
            milliseconds += f"{f'{entry.typical * 1e3:.1f}' if entry.seconds else '':>{width}}"
        yield ratios
        yield milliseconds


def show(lines: Iterable[str]) -> None:
    """Print lines without the blanks at their ends."""
    for line in lines:
        print(line.rstrip(), flush=True)


def shortened(text: str, width: int = 80) -> str:
    """Cut a reason to one line."""
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
