"""Says what is wrong with how a case ended, if anything is: exit code, streams, files, accounts."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import signal
import stat
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import PIL.Image

from tests.fuzz.cases import Case
from tests.fuzz.forking import UNMADE, Ended, Folder

BIDI = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MOST_LINES = 12
"""Lines of one error."""
MOST_SAID = 20_000
"""Characters on stderr; what strangers wrote into files must not fill the screen."""
CLOSED = 1e-3
"""|error| of an account that closes."""
HUGE = 1e30
"""A score of this size: products of it leave the range of float32, and that the account does not close is said."""
RAW = re.compile(r"\.py:\d+: \w*Warning")


def listing(folder: Path) -> str:
    """Return every file below ``folder`` and what tells it from another."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(base, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if status.st_size < 1 << 24 else ""
                found[os.path.relpath(path, folder)] = f"{status.st_size} {digest}"
            elif stat.S_ISLNK(status.st_mode):
                found[os.path.relpath(path, folder)] = f"-> {os.readlink(path)}"
            elif not stat.S_ISDIR(status.st_mode):
                found[os.path.relpath(path, folder)] = "special"
    return json.dumps(found)


def judge(folder: Folder, ended: Ended) -> list[str]:
    """Return everything that is wrong, nothing where all is well."""
    if ended.code == UNMADE:
        return [f"the fuzzer could not make it: {_tail(folder.meta('unmade'))}"]
    case = Case.read(folder.meta("case.json").read_text("utf-8"))
    said = folder.meta("stderr").read_text("utf-8", "surrogateescape")
    return [*_ending(folder, ended, said), *_streams(case, folder, ended, said), *_files(case, folder, ended),
            *_results(case, folder, ended)]  # fmt: skip


def _ending(folder: Folder, ended: Ended, said: str) -> Iterator[str]:
    if ended.signal is not None:
        name = signal.Signals(ended.signal).name
        yield f"{'took too long' if ended.late else f'killed by {name}'} at {_where(folder)}"
    elif ended.code not in (0, 1, 2, 3):
        yield f"exit code {ended.code}: {_last(said)}"
    if "Traceback (most recent call last)" in said:
        yield f"traceback: {_last(said)}"
    if "fault in heatcli" in said:
        lines = said.splitlines()
        place = next(i for i, line in enumerate(lines) if "fault in heatcli" in line)
        yield f"fault: {lines[max(0, place - 1)]}"
    elif re.search(r"unexpected [A-Z]\w+: ", said):
        yield f"fault: {next(line for line in said.splitlines() if 'unexpected ' in line)}"
    if ended.code and not said.strip() and folder.meta("stdout").stat().st_size == 0:
        yield f"exit code {ended.code} without a word"


def _streams(case: Case, folder: Folder, ended: Ended, said: str) -> Iterator[str]:
    if bad := _control(said):
        yield f"stderr holds {bad}"
    if warning := RAW.search(said):
        yield f"raw warning: {said[warning.start() - 60 :].splitlines()[0][:200]}"
    given = sum(map(len, case.arguments))
    if len(said) > MOST_SAID + 4 * given:
        yield f"{len(said):,} characters on stderr"
    lines = said.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("heatcli: ")), None)
    if first is not None and len(lines) - first > MOST_LINES:
        yield f"an error of {len(lines) - first} lines"
    if "-" in case.arguments and _after(case.arguments, "-o", "--output") == "-":
        return
    printed = folder.meta("stdout").read_bytes()
    text = printed.decode("utf-8", "surrogateescape")
    if "--json" in case.arguments and not {"--help", "--help-methods"} & set(case.arguments) and printed:
        try:
            list(_json(text))
        except ValueError as error:
            yield f"stdout is no JSON: {error}"
    elif case.arguments[:1] != ["explain"] and (bad := _control(text)) and ended.code in (0, 1):
        yield f"stdout holds {bad}"


def _files(case: Case, folder: Folder, ended: Ended) -> Iterator[str]:
    strange = folder.meta("strange")
    if strange.exists() and (text := strange.read_text("utf-8", "backslashreplace")):
        yield f"strange: {text.splitlines()[0][:200]}"
    before = json.loads(folder.meta("before.json").read_text("utf-8"))
    after = json.loads(listing(folder.work))
    killed = ended.signal is not None
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name) or _may_write(case, name):
            continue
        if name in before:
            yield f"{'changed' if name in after else 'removed'}: {name!r}"
        elif case.makes is not None and not name.endswith(tuple(case.makes)):
            yield f"made: {name!r}"
    leftovers = [name for name in after if name.endswith(".part") and name not in before]
    if leftovers and not killed:
        yield f"left over: {leftovers[0]!r}"
    others = [name for name in os.listdir(folder.root) if name not in ("work", "tmp", "home", "meta")]
    if others:
        yield f"written outside: {others[0]!r}"
    if not killed and (left := os.listdir(folder.tmp)):
        yield f"left in the folder of temporary files: {left[0]!r}"
    if home := [name for name in os.listdir(folder.home) if name != "cache"]:
        yield f"written at home: {home[0]!r}"


def _may_write(case: Case, name: str) -> bool:
    return any(name == place or place in ("", ".") or name.startswith(place.rstrip("/") + "/")
               for place in map(os.path.normpath, case.may_write))  # fmt: skip


def _results(case: Case, folder: Folder, ended: Ended) -> Iterator[str]:
    """Where it is said that all is done, accounts close and pictures open."""
    arguments = case.arguments
    if ended.code not in (0, 1) or arguments[:1] != ["explain"] or {"--help", "-h", "--plan"} & set(arguments):
        return
    if "--help-methods" in arguments:
        return
    text = folder.meta("stdout").read_bytes().decode("utf-8", "surrogateescape")
    if "--json" in arguments:
        try:
            records = [entry for entry in _json(text) if isinstance(entry, dict)]
        except ValueError:
            return  # said above
        places = []
    elif _after(arguments, "-o", "--output") == "-":
        content = folder.meta("stdout").read_bytes()
        if ended.code == 0:
            yield from _opens(content, "stdout")
        return
    else:
        records, places = [], [line for line in text.splitlines() if line]
    for record in records:
        if record.get("error") is not None:
            if ended.code == 0:
                yield "exit code 0 with an error on record"
            continue
        ledger, relevance = record["ledger"], record["relevance"]
        error = ledger["error"]
        unsure = abs(ledger["score"] or 0) >= HUGE and any("does not close" in said for said in record["warnings"])
        if error is not None and not abs(error) <= CLOSED and not unsure:
            yield f"the account does not close: error {error:.3g}, method {record['method']}"
        numbers = [ledger["score"], ledger["start"], ledger["pixels"], relevance["min"], relevance["max"]]
        if any(number is None or not math.isfinite(number) for number in numbers):
            yield f"not finite, method {record['method']}"
        places.append(record["output"])
    for place in places:
        path = folder.work / os.fsencode(place).decode("utf-8", "surrogateescape")
        if not path.is_file():
            yield f"not there: {place!r}"
        elif path.suffix == ".png":
            yield from _opens(path.read_bytes(), place)


def _opens(content: bytes, name: str) -> Iterator[str]:
    try:
        with PIL.Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
    except Exception as error:
        yield f"{name!r} does not open: {error}"


def _json(text: str) -> Iterator[object]:
    """Yield every value of ``text``, which are lines or one value over several."""

    def strict(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        yield json.loads(text, parse_constant=strict)
        return
    except json.JSONDecodeError:
        pass
    for line in text.split("\n"):
        if line:
            yield json.loads(line, parse_constant=strict)


def _control(text: str) -> str | None:
    """Return the first sign of ``text`` that no terminal should get."""
    for sign in set(text):
        if sign in BIDI or (unicodedata.category(sign) in ("Cc",) and sign not in "\n\t"):
            place = text.index(sign)
            return f"{sign!r} in {text[max(0, place - 40) : place + 20]!r}"
    return None


def _after(arguments: list[str], *options: str) -> str | None:
    return next((b for a, b in pairwise(arguments) if a in options), None)


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing said")[:300]


def _tail(path: Path) -> str:
    return _last(path.read_text("utf-8")) if path.exists() else "nothing said"


def _where(folder: Folder) -> str:
    """Return where it was when it was killed, by the innermost line of heatcli."""
    crash = folder.meta("crash")
    text = crash.read_text("utf-8", "replace") if crash.exists() else ""
    main = text.rpartition("hread 0x")[2]  # that of the command comes last
    lines = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', main)
    inner = f"{Path(lines[0][0]).name}:{lines[0][1]} {lines[0][2]}" if lines else "?"
    own = next((f"{Path(path).name}:{line} {name}" for path, line, name in lines if "/heatcli/" in path), "?")
    return f"{own} ({inner})"
