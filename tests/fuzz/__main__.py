"""Run the fuzzer: ``python -m tests.fuzz --cases 20000 --seed 1``, or a case again: ``--case models:1:4711``."""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # no threads before the forks

SHARES = {"models": 0.45, "pictures": 0.2, "texts": 0.2, "commands": 0.15}


def main() -> int:
    """Run what was asked for and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="how many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each kind")
    parser.add_argument("--kind", choices=list(SHARES), help="of one kind only")
    parser.add_argument("--jobs", type=int, default=1, help="cases at the same time")
    parser.add_argument(
        "--case", action="append", help="run this one again, such as models:1:4711, and keep its folder"
    )
    parser.add_argument("--keep", type=Path, help="work in this folder; failures stay there. Default: a new one")
    given = parser.parse_args()
    from tests.fuzz import forking
    from tests.fuzz.cases import Name

    root = given.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    keep = root / "failures"
    keep.mkdir(parents=True, exist_ok=True)
    forking.preload()
    if given.case:
        return again([Name.of(text) for text in given.case], root)
    forking.warm(root)
    gc.collect()
    gc.freeze()
    names = [
        Name(kind, given.seed, number)
        for kind, share in SHARES.items()
        if given.kind in (None, kind)
        for number in range(given.first, given.first + round(given.cases * (share if given.kind is None else 1)))
    ]
    names.sort(key=lambda name: (name.number / SHARES[name.kind], name.kind))
    begun = time.monotonic()
    reader, writer = os.pipe()
    children = []
    for job in range(given.jobs):
        child = os.fork()
        if not child:
            os.close(reader)
            serve(names[job :: given.jobs], root / f"job{job}", keep, writer)
            os._exit(0)
        children.append(child)
    os.close(writer)
    failures, seconds, codes = collect(reader, len(names), begun)
    for child in children:
        os.waitpid(child, 0)
    return conclude(names, failures, seconds, codes, time.monotonic() - begun, keep)


def serve(names, place: Path, keep: Path, writer: int) -> None:
    """Run every case; a line of JSON for each goes to ``writer``."""
    from tests.fuzz import oracle
    from tests.fuzz.forking import Folder, run

    for name in names:
        folder = Folder(place / "case")
        ended = run(name, folder)
        try:
            wrong = oracle.judge(folder, ended)
        except Exception as error:  # the oracle reads what a case left, whatever that is
            wrong = [f"the oracle failed: {type(error).__name__}: {error}"]
        if wrong:
            folder.root.rename(fresh(keep / str(name).replace(":", "-")))
        line = json.dumps([str(name), wrong, ended.seconds, str(ended.code if ended.signal is None else -ended.signal)])
        os.write(
            writer,
            line.encode()[:4000] + b"\n"
            if len(line) < 4000
            else json.dumps([str(name), [wrong[0][:900]], ended.seconds, "?"]).encode() + b"\n",
        )


def fresh(path: Path) -> Path:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    return path


def collect(reader: int, total: int, begun: float):
    """Read the lines of all jobs, and print now and then how far it is."""
    failures: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    codes: dict[str, int] = defaultdict(int)
    last = time.monotonic()
    with os.fdopen(reader, encoding="utf-8") as stream:
        for line in stream:
            name, wrong, took, code = json.loads(line)
            seconds[name] = took
            codes[f"{name.split(':')[0]} {code}"] += 1
            if wrong:
                failures[name] = wrong
            if time.monotonic() - last > 20:
                last = time.monotonic()
                rate = (last - begun) / len(seconds)
                print(f"{len(seconds):,} of {total:,}, {1000 * rate:.0f} ms each, {len(failures)} failures", flush=True)
    return failures, seconds, codes


def conclude(names, failures, seconds, codes, took: float, keep: Path) -> int:
    """Print what was found, alike failures together."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, wrong in failures.items():
        for text in dict.fromkeys(map(kin, wrong)):
            groups[text].append(name)
    for text, members in sorted(groups.items(), key=lambda entry: -len(entry[1])):
        print(f"{len(members):5}  {text}\n       {' '.join(members[:6])}")
    print("exit codes:", ", ".join(f"{key}: {count}" for key, count in sorted(codes.items())))
    slow = sorted(seconds, key=seconds.__getitem__)[-3:]
    print("slowest:", ", ".join(f"{name} {seconds[name]:.1f} s" for name in reversed(slow)))
    missing = len(names) - len(seconds)
    each = 1000 * took / max(1, len(seconds))
    print(f"{len(seconds):,} cases in {took:.0f} s, {each:.0f} ms each: {len(failures)} failed", end="")
    print(f", {missing} were never run" if missing else "", f"; they lie in {keep}" if failures else "", flush=True)
    return 1 if failures or missing else 0


def kin(text: str) -> str:
    """Return ``text`` without what differs between failures that are alike."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", text)
    text = re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "N", text)
    return text[:160]


def again(names, root: Path) -> int:
    """Run cases one by one and say everything about them."""
    from tests.fuzz import oracle
    from tests.fuzz.cases import Case
    from tests.fuzz.forking import Folder, run

    failed = 0
    for name in names:
        folder = Folder(root / str(name).replace(":", "-"))
        ended = run(name, folder)
        wrong = oracle.judge(folder, ended)
        failed += bool(wrong)
        print(f"{name}: exit code {ended.code}, signal {ended.signal}, {ended.seconds:.2f} s, in {folder.root}")
        place = folder.meta("case.json")
        if place.exists():
            case = Case.read(place.read_text("utf-8"))
            print("\n".join(f"  {text}" for text in case.told))
            print(f"  cd {folder.work} && heatcli {shlex.join(case.arguments)}")
        for stream in ("stdout", "stderr"):
            place = folder.meta(stream)
            text = place.read_text("utf-8", "backslashreplace")[:3000] if place.exists() else ""
            print("".join(f"  {stream}: {line!r}\n"[:300] for line in text.splitlines()[:30]), end="")
        for text in wrong:
            print(f"  WRONG: {text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
