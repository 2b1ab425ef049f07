"""Five hundred cases of the fuzzer, always the same, and the oracle's own tests: it has to see what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import heatcli
from tests.fuzz import networks, oracle
from tests.fuzz.cases import Case, Chance, Name, make
from tests.fuzz.forking import Ended, Folder

ROOT = Path(__file__).resolve().parents[2]
DONE = Ended(0, None, False, 0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="children are limited by what Linux has")
def test_five_hundred_cases_end_as_they_should(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", "500", "--seed", "2026", "--keep", str(tmp_path / "fuzz")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "500 cases" in done.stdout


@pytest.mark.parametrize("kind", ["models", "pictures", "texts", "commands"])
def test_a_case_is_the_same_each_time(tmp_path, kind):
    made = []
    for place in (tmp_path / "one", tmp_path / "two"):
        place.mkdir()
        found = [make(Name(kind, 5, number), folder(place / str(number)).work).written() for number in range(6)]
        made.append((found, [oracle.listing(place / str(number) / "work") for number in range(6)]))
    assert made[0] == made[1]
    assert len(set(made[0][0])) > 1


@pytest.mark.parametrize("name", sorted(set(networks.OWN) - {"tree", "condition", "loop"}))
def test_networks_are_sound_before_anything_is_done_to_them(tmp_path, name):
    """Three are of operations that are not explained."""
    (tmp_path / "m.onnx").write_bytes(networks.network(name).SerializeToString())
    inputs = {"factor": np.ones((1, 4, 1, 1), "float32")} if name == "several_inputs" else None
    explainer = heatcli.load(tmp_path / "m.onnx", inputs=inputs)
    x = np.ones(explainer.network.input.shape, explainer.network.input.dtype)
    assert abs(explainer.explain(x, range=(0, 2)).ledger.error) < 1e-5


def test_chance_depends_on_all_of_the_name():
    drawn = {Chance(Name(*name)).random() for name in [("models", 1, 2), ("models", 2, 1), ("texts", 1, 2)]}
    assert len(drawn) == 3


def folder(root: Path) -> Folder:
    made = Folder(root)
    made.make()
    return made


def ended(
    tmp_path, *, arguments=("inspect", "m.onnx"), stderr="", stdout=b"", after=lambda place: None, end=DONE, **case
):
    """Return what the oracle says of a run that left these."""
    place = folder(tmp_path / "case")
    (place.work / "m.onnx").write_bytes(b"model")
    place.meta("case.json").write_text(Case(list(arguments), **case).written(), "utf-8")
    place.meta("before.json").write_text(oracle.listing(place.work), "utf-8")
    place.meta("stderr").write_text(stderr, "utf-8")
    place.meta("stdout").write_bytes(stdout)
    after(place)
    return oracle.judge(place, end)


def test_nothing_is_wrong_with_a_run_that_went_well(tmp_path):
    assert ended(tmp_path, stderr="Assumed: nothing\n", stdout=b"a table\n") == []


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("Traceback (most recent call last):\n  x\nValueError: y\n", "traceback: ValueError: y"),
        (
            "heatcli: unexpected ValueError: y\nThis is a fault in heatcli; …\n",
            "fault: heatcli: unexpected ValueError: y",
        ),
        ("  a.png: unexpected KeyError: 'z'\n", "fault:   a.png: unexpected KeyError: 'z'"),
        ("layer \x1b[31mred\n", "stderr holds '\\x1b'"),
        ("file \u202egnp.a\n", "stderr holds '\\u202e'"),
        ("/x/y.py:3: RuntimeWarning: overflow\n", "raw warning: /x/y.py:3: RuntimeWarning: overflow"),
        ("heatcli: no\n" + "  node\n" * 20, "an error of 21 lines"),
        ("a" * 30_000, "30,000 characters on stderr"),
    ],
)
def test_what_is_wrong_on_stderr_is_seen(tmp_path, said, verdict):
    found = ended(tmp_path, stderr=said, end=Ended(1, None, False, 0.1))
    assert [text for text in found if text.startswith(verdict)], found


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (Ended(None, 11, False, 0.1), "killed by SIGSEGV"),
        (Ended(None, 9, True, 90.0), "took too long"),
        (Ended(7, None, False, 0.1), "exit code 7"),
        (Ended(3, None, False, 0.1), "exit code 3 without a word"),
    ],
)
def test_wrong_ends_are_seen(tmp_path, end, verdict):
    assert ended(tmp_path, end=end)[0].startswith(verdict)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (lambda place: (place.work / "m.onnx").write_bytes(b"other"), "changed: 'm.onnx'"),
        (lambda place: (place.work / "m.onnx").unlink(), "removed: 'm.onnx'"),
        (lambda place: (place.work / "new.png").write_bytes(b"x"), "made: 'new.png'"),
        (lambda place: (place.work / "out").mkdir() or (place.work / "out" / ".a.png.00.part").touch(), "left over:"),
        (lambda place: (place.tmp / "heatcli-x").mkdir(), "left in the folder of temporary files"),
        (lambda place: (place.root / "up.png").touch(), "written outside"),
        (lambda place: (place.home / ".x").touch(), "written at home"),
        (lambda place: place.meta("strange").write_text("open /etc/x\n"), "strange: open /etc/x"),
    ],
)
def test_files_in_wrong_places_are_seen(tmp_path, after, verdict):
    assert ended(tmp_path, after=after, may_write=["out"], makes=[])[0].startswith(verdict)


def record(**changed):
    ledger = {"score": 1.0, "start": 1.0, "pixels": 1.0, "error": 0.0} | changed
    found = {"ledger": ledger, "relevance": {"min": 0.0, "max": 1.0}, "method": "deep-taylor", "output": "out/a.png"}
    return {"error": None, "warnings": ["the account does not close"], **found}


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ([record(error=0.5)], "the account does not close: error 0.5"),
        ([record(score=float("nan"))], "stdout is no JSON"),
        ([record() | {"error": {"type": "x"}}], "exit code 0 with an error on record"),
        ([record()], "not there: 'out/a.png'"),
    ],
)
def test_results_that_are_not_true_are_seen(tmp_path, printed, verdict):
    lines = "\n".join(map(json.dumps, printed)).encode()
    found = ended(tmp_path, arguments=["explain", "a.png", "--json"], stdout=lines)
    assert [text for text in found if text.startswith(verdict)], found
