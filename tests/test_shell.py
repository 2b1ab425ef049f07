"""The README's section "In the shell": each of its blocks is run as it stands, on names that trip careless scripts."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

fcntl = pytest.importorskip("fcntl", reason="the blocks are written for a POSIX shell")

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: dict[str, str] = dict(re.findall(r"<!-- shell: (\w+) -->\n```\w+\n(.*?)^```$", README, re.M | re.S))
MODEL = ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx"
CLASSES = {  # what the pictures that ship show, and where they lie here
    "photos/the cat.png": "cat",
    'photos/räkete\'s "$HOME".png': "rocket",
    "photos/zoo/two\nfrogs.png": "frog",
    "photos/zoo/o w l.png": "owl",
}
SHIPPED = {"cat": "cat", "rocket": "rocket", "frog": "two_frogs", "owl": "owl"}


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed here: {', '.join(missing)}")


def picture(label: str, place: Path) -> None:
    """Put a shipped picture, made small, at ``place``; its suffix is its format."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with PIL.Image.open(ROOT / "sample_images" / f"{SHIPPED[label]}.png") as shipped:
        shipped.convert("RGB").resize((128, 128)).save(place)


def command(place: Path) -> None:
    """Make a command ``heatcli`` at ``place``, which notes each of its calls in a file ``calls`` beside it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(
        '#!/bin/sh\necho >> "$(dirname "$0")/calls"\n'
        f'PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m heatcli "$@"\n',
        encoding="utf-8",
    )
    place.chmod(0o755)


def scratch(folder: Path) -> Path:
    """Fill ``folder`` with what the blocks name: a model that says how it is used, and pictures."""
    command(folder / "bin" / "heatcli")
    (folder / "your-classifier.onnx").write_bytes(MODEL.read_bytes())
    (folder / "your-classifier.heatcli.json").write_bytes(MODEL.with_suffix(".heatcli.json").read_bytes())
    for name, label in CLASSES.items():
        picture(label, folder / name)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return scratch(tmp_path)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's first block was run, on a broken picture and a very old one too."""
    folder = scratch(tmp_path_factory.mktemp("explained"))
    (folder / "photos" / "broken\tone.png").write_bytes(b"no picture")
    picture("cat", folder / "photos" / "old.png")
    os.utime(folder / "photos" / "old.png", (0, 0))
    done = bash(BLOCKS["list"], folder, code=1)
    assert sorted(done.stdout.splitlines()) == sorted(
        record["output"] for record in records(folder) if record["output"]
    )
    return folder


def variables(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment as a login in the C locale has it: nothing of this process but where programs are."""
    return {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C", **more}


def bash(script: str, folder: Path, *, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in ``folder`` and return its streams; stderr is piped, and so has neither colours nor bars."""
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=folder,
        env=variables(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    out, err = (stream.decode("utf-8") for stream in (done.stdout, done.stderr))
    assert done.returncode == code, f"{script}\n{out}\n{err}"
    for sign in ("\x1b", "\r", "Traceback", "Warning"):
        assert sign not in err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def records(folder: Path, maps: str = "maps") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / maps / "records.jsonl").read_text("utf-8").splitlines()]


def labels(folder: Path, maps: str = "maps") -> dict[str, str]:
    """Return the class that each picture was explained for."""
    return {record["input"]: record["target"]["label"] for record in records(folder, maps) if not record["error"]}


def pixels(content: Path | bytes) -> Any:
    with PIL.Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as drawn:
        return np.asarray(drawn)


def calls(folder: Path) -> int:
    return len((folder / "bin" / "calls").read_text("utf-8").splitlines())


def test_every_block_of_the_section_is_run_here():
    section = README.partition("\n## In the shell\n")[2].partition("\n## ")[0]
    assert section.count("```\n") == len(BLOCKS) > 0
    own = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in BLOCKS if f'BLOCKS["{name}"]' not in own] == []


# many names ---------------------------------------------------------------------------------------------------------


def test_a_list_from_find(explained: Path):
    assert labels(explained) == CLASSES
    assert [record["input"] for record in records(explained) if record["error"]] == ["photos/broken\tone.png"]
    assert calls(explained) == 1
    for record in records(explained):
        assert record["error"] or pixels(explained / record["output"]).shape[:2] == (128, 128)


def test_xargs(place: Path):
    done = bash(BLOCKS["xargs"], place)
    assert labels(place, "zoo") == {name: label for name, label in CLASSES.items() if "/zoo/" in name}
    assert calls(place) == 1
    assert {Path(path) for path in done.stdout.splitlines()} == {
        path.relative_to(place) for path in (place / "zoo").glob("*.png")
    }


@needs("parallel")
def test_parallel_methods(place: Path):
    bash(BLOCKS["parallel"], place)
    for method in ("deep-taylor", "sensitivity"):
        assert labels(place, f"maps-{method}") == CLASSES
        assert {record["method"] for record in records(place, f"maps-{method}")} == {method}


@needs("parallel")
def test_parallel_chunks(place: Path):
    block = BLOCKS["chunks"]
    assert block.count("-N 500") == 1
    bash(block.replace("-N 500", "-N 2"), place)
    found = [labels(place, f"maps-{number}") for number in (1, 2)]
    assert [len(part) for part in found] == [2, 2]
    assert found[0] | found[1] == CLASSES


# records ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def altered(explained: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """Records in ``maps/records.jsonl`` that differ in what the block asks for."""
    found = records(explained)
    changes = [(0.95, 0.0, 0.1), (0.9, 2e-7, 0.41), (0.99, 0.5, 0.4), (0.3, 0.03, 0.9)]
    entries = [entry for entry in found if entry["error"] is None]
    for entry, (probability, share, border) in zip(entries, changes, strict=True):
        entry["target"] |= {"label": "cat", "probability": probability}
        entry["ledger"]["lost"] = share * entry["ledger"]["start"]
        entry["ledger"]["pixels"] -= entry["ledger"]["lost"]
        entry["relevance"]["border_share"] = border
    (tmp_path / "maps").mkdir()
    save(tmp_path, found)
    return found


def save(folder: Path, entries: list[dict[str, Any]]) -> None:
    content = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "maps" / "records.jsonl").write_text(content, encoding="utf-8")


def tsv(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


@needs("jq")
def test_questions_to_records(altered: list[dict[str, Any]], tmp_path: Path):
    sure, failed, lost, closed, border = BLOCKS["jq"].splitlines()
    whole = [entry for entry in altered if entry["error"] is None]
    assert bash(sure, tmp_path).stdout.splitlines() == [
        entry["output"] for entry in whole if entry["target"]["probability"] > 0.9
    ]
    (message,) = (entry["error"]["message"] for entry in altered if entry["error"])
    assert bash(failed, tmp_path).stdout == f"photos/broken\\tone.png\t{tsv(message)}\n"
    rows = [line.split("\t") for line in bash(lost, tmp_path).stdout.splitlines()]
    order = [whole[number] for number in (2, 3, 1, 0)]
    assert [row[1:] for row in rows] == [["cat", tsv(entry["input"])] for entry in order]
    np.testing.assert_allclose([float(row[0]) for row in rows], [0.5, 0.03, 2e-7, 0], rtol=1e-12)
    assert bash(border, tmp_path).stdout == "".join(
        f"{share}\t{tsv(entry['input'])}\n" for entry, share in ((whole[1], 0.41), (whole[3], 0.9))
    )
    assert bash(closed, tmp_path).stdout == "true\n"
    whole[2]["ledger"]["biases"] += 1e-3 * whole[2]["ledger"]["start"]
    save(tmp_path, altered)
    assert bash(closed, tmp_path, code=1).stdout == "false\n"


@needs("jq")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mv -t and xargs -r are GNU's")
def test_moving_the_heatmaps_of_a_class(explained: Path, tmp_path: Path):
    for name in ("maps", "bin"):
        shutil.copytree(explained / name, tmp_path / name)
    picture("cat", tmp_path / "photos/a'nother \"cat\n.png")
    found = records(explained)
    (cat,) = (entry for entry in found if entry["target"] and entry["target"]["label"] == "cat")
    other = "maps/photos/a'nother \"cat\n.heatmap.png"  # heatcli writes no such name; the block would take it
    shutil.copy(tmp_path / cat["output"], tmp_path / other)
    save(tmp_path, [*found, {**cat, "output": other}])
    bash(BLOCKS["move"], tmp_path)
    assert {path.name for path in (tmp_path / "cats").iterdir()} == {Path(cat["output"]).name, Path(other).name}
    assert len(list((tmp_path / "maps").rglob("*.heatmap.png"))) == len(CLASSES) - 1
    save(tmp_path, [entry for entry in found if entry["error"]])
    bash(BLOCKS["move"], tmp_path)  # nothing to move


@needs("jq")
def test_records_while_they_are_made(place: Path):
    picture("cat", place / "cat.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(place / "photos" / "no\tise.png")
    *unsure, first, second, third, fourth, fifth = bash(BLOCKS["stream"], place).stdout.splitlines()
    found = {entry["input"]: entry["target"] for entry in records(place)}
    assert found["photos/no\tise.png"]["probability"] < 0.9
    assert [line.split("\t")[1] for line in unsure] == [
        tsv(name) for name, target in found.items() if target["probability"] < 0.9
    ]
    best = [line.split("\t") for line in (first, second, third, fourth, fifth)]
    assert best[0][1] == "cat"
    chances = [float(row[0]) for row in best]
    assert chances == sorted(chances, reverse=True)


# streams ------------------------------------------------------------------------------------------------------------


def test_stdin_and_stdout(place: Path):
    picture("cat", place / "my cat.jpg")
    opener = place / "bin" / "xdg-open"
    opener.write_text('#!/bin/sh\nprintf %s "$1" > opened\n', encoding="utf-8")
    opener.chmod(0o755)
    done = bash(BLOCKS["stdout"], place)
    assert (done.stdout, done.stderr) == ("", "")
    opened = (place / "opened").read_text("utf-8")
    assert opened == "my cat.heatmap.png"
    np.testing.assert_array_equal(pixels(base64.b64decode((place / "cat.base64").read_bytes())), pixels(place / opened))


def test_a_reader_that_has_gone_and_a_pipe_that_is_no_picture(place: Path):
    tail = "--quiet --model your-classifier.onnx --output maps/"
    both = f"heatcli explain photos/ {tail} --json | true; code=${{PIPESTATUS[0]}}"
    other = f"yes | head -c 100000 | heatcli explain - {tail}"
    done = bash(f'set +e; {both}; {other}; echo "$code $?"', place)
    assert done.stdout == "1 1\n"
    assert "not a picture that can be read" in done.stderr
    assert done.stderr.count("\n") == 1


# scripts ------------------------------------------------------------------------------------------------------------


@needs("timeout")
def test_a_script(place: Path):
    (place / "photos" / "broken.png").write_bytes(b"no picture")
    done = bash(BLOCKS["script"], place)
    assert labels(place) == CLASSES
    assert len((place / "new.txt").read_text("utf-8").splitlines()) == len(CLASSES)
    assert done.stderr.splitlines()[-1] == "some pictures failed; the next run tries them again"
    assert done.stdout == ""
    (place / "your-classifier.onnx").write_bytes(b"no model")
    bash(BLOCKS["script"], place, code=3)


def test_what_arrives(place: Path):
    (place / "photos").rename(place / "incoming")
    run = subprocess.Popen(
        ["bash", "-c", BLOCKS["watch"]],
        cwd=place,
        env=variables(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    with run:
        assert run.stdout is not None
        assert run.stderr is not None
        try:
            first = {run.stdout.readline() for _ in CLASSES}
            picture("owl", place / "incoming" / "new\none.png")
            arrived = run.stdout.readline()
        finally:
            os.killpg(run.pid, signal.SIGINT)
        assert "Interrupted: 5 done" in run.stderr.read()
    suffix = ".heatmap.png is there\n"
    assert all(line.startswith("arrived/") and line.endswith(suffix) for line in first)
    assert re.fullmatch(rf"arrived/new_one-\w+{re.escape(suffix)}", arrived)
    assert labels(place, "arrived")["incoming/new\none.png"] == "owl"


# make and cron ------------------------------------------------------------------------------------------------------


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


@needs("make")
def test_make_one_heatmap(place: Path):
    (place / "Makefile").write_text(BLOCKS["make"], encoding="utf-8")
    picture("cat", place / "cat.jpg")
    heatmap = place / "cat.heatmap.png"
    bash("make cat.heatmap.png", place)
    assert pixels(heatmap).shape[:2] == (128, 128)
    assert "up to date" in bash("make cat.heatmap.png", place).stdout
    assert calls(place) == 1
    os.utime(heatmap, (1, 1))
    for newer in ("cat.jpg", "your-classifier.onnx"):
        os.utime(place / "cat.jpg", (0, 0))
        os.utime(place / "your-classifier.onnx", (0, 0))
        os.utime(place / newer, (2, 2))
        assert bash("make -q cat.heatmap.png || echo $?", place).stdout == "1\n"


@needs("make", "jq")
def test_make_a_folder(place: Path):
    (place / "Makefile").write_text(BLOCKS["make"], encoding="utf-8")
    (place / "photos" / "broken.png").write_bytes(b"no picture")

    def table() -> dict[str, str]:
        bash("make classes.tsv", place)
        rows = [line.split("\t") for line in (place / "classes.tsv").read_text("utf-8").splitlines()]
        return {name: label for label, name in rows}

    assert table() == {tsv(name): label for name, label in CLASSES.items()} | {"photos/broken.png": "failed"}
    (place / "photos" / "broken.png").unlink()
    heatmap = place / "maps" / "the cat.heatmap.png"
    before = stamp(heatmap), stamp(place / "classes.tsv")
    table()
    assert (stamp(heatmap), stamp(place / "classes.tsv")) == before, "nothing was new"
    os.utime(place / "maps" / ".model", (1, 1))  # older than the model
    assert table() == {tsv(name): label for name, label in CLASSES.items()}
    assert stamp(heatmap) > before[0]
    assert stamp(place / "classes.tsv") > before[1]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the folder of the cron line."""
    scratch(tmp_path / "pictures")
    command(tmp_path / "pictures" / ".venv" / "bin" / "heatcli")
    return tmp_path


def test_cron(home: Path):
    """The line is split as cron does it, and its command run in cron's own surroundings."""
    (line,) = BLOCKS["cron"].splitlines()
    *fields, script = line.split(maxsplit=5)
    for field, (low, high) in zip(fields, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), strict=True):
        assert field == "*" or all(low <= int(number) <= high for number in field.split(","))
    assert "%" not in script, "cron makes a line break of it"
    pictures = home / "pictures"

    def run() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=home,
            env={"HOME": str(home), "LOGNAME": "somebody", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def logged() -> tuple[int, list[str]]:
        written = [(pictures / name).read_text("utf-8") for name in ("new.txt", "heatcli.log")]
        return len(written[0].splitlines()), written[1].splitlines()

    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert labels(pictures) == CLASSES
    assert logged() == (4, [])
    with (pictures / "maps" / "records.jsonl").open("ab") as other:  # another run is under way
        fcntl.flock(other, fcntl.LOCK_EX)
        assert run().returncode == 2
    count, (message,) = logged()
    assert (count, "another heatcli is writing there" in message) == (4, True)
    picture("owl", pictures / "photos" / "new.png")
    assert run().returncode == 0
    assert logged() == (5, [message])
