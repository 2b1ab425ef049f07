"""The README promises what is there: its methods, rules, options and commands, and the test command that CI runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import heatcli
from heatcli.limits import Limits, amount
from heatcli.methods import METHODS
from heatcli.relevance.rules import NAMES
from tests import operations_in_readme

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(header: str) -> list[list[str]]:
    """Return the rows, each a list of cells, of the table whose first column is called ``header``."""
    found = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found, f"no table starts with {header}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def test_methods_and_their_promises():
    listed = {cells[0].strip("`"): cells[-1].split(",")[0] == "yes" for cells in table("`--method`")}
    assert listed == {name: method.conserves for name, method in METHODS.items()}


def test_rules():
    listed = {cells[0].strip("`") for cells in table("rule")}
    assert listed == set(NAMES) - {"proportional", "winner", "pass"}


def test_limits():
    defaults = [(cells[0].strip("`"), cells[1]) for cells in table("limit")]
    assert defaults == [(name, amount(value)) for name, value in Limits().items()]


def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "heatcli", command, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("command", ["explain", "inspect", "report", "compare", "evaluate", "fit"])
def test_commands(command: str):
    assert f"heatcli {command} " in README
    assert "--model" in help_of(command) or command in ("inspect", "report", "fit")


def test_options_are_there():
    shown = "".join(map(help_of, ("explain", "report", "compare", "evaluate", "fit")))
    others = {"--help", "--install-completion", "--offline", "--check", "--expect", "--mnist"}  # heatcli itself, models
    others |= {"--pipe", "--recend", "--sshlogin", "--unbuffered"}  # parallel, jq
    others |= {"--host", "--port", "--nworkers", "--nthreads"}  # dask
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - others
    assert {option for option in named if option not in shown} == set()


@pytest.mark.parametrize("command", ["report", "compare", "evaluate", "fit"])
def test_options_of_other_commands_are_in_the_readme(command: str):
    """Those that they share with explain stand in the table of explain, those about strangers in their section."""
    own = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", help_of(command))) - set(
        re.findall(r"(?<![\w-])--[a-z][a-z-]+", help_of("explain"))
    )
    listed = {option for cells in table(f"option of `{command}`") for option in re.findall(r"--[a-z-]+", cells[0])}
    (strangers,) = re.findall(r"^## Files from strangers\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert own <= listed | set(re.findall(r"--[a-z-]+", strangers))
    assert {option for option in listed if option not in help_of(command)} == set()


def test_ci_runs_the_test_command_of_the_readme():
    (line,) = re.findall(r"^python -m pip install -e .*$", README, re.MULTILINE)
    assert line.endswith("&& python -m pytest")
    assert "grep -m1 '^ *python -m pip install -e ' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    """Return every line of the README's shell blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README's lines name: what ships, a model without a word on it, labels and pictures."""
    for name in ("models", "sample_images"):
        (tmp_path / name).symlink_to(ROOT / name)
    model = ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx"
    (tmp_path / "your-classifier.onnx").symlink_to(model)
    labels = json.loads(model.with_suffix(".heatcli.json").read_text(encoding="utf-8"))["labels"]
    (tmp_path / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    (tmp_path / "photos").mkdir()
    with PIL.Image.open(ROOT / "sample_images" / "cat.png") as picture:
        for name in ("cat.jpg", "photos/cat.jpg"):
            picture.convert("RGB").save(tmp_path / name)
    commands = tmp_path / "bin"
    commands.mkdir()
    script = commands / "heatcli"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m heatcli "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="the README's lines are written for a POSIX shell")
def test_every_shell_line(newcomer: Path):
    """Installing and testing, which open a line, are left to ``.ci/run``; everything else is run as it is written."""
    before = set(newcomer.rglob("*"))
    for line in shell_lines():
        install, _, after = line.partition(" && ") if line.startswith("python -m pip install ") else ("", "", line)
        if after == "python -m pytest":
            continue
        assert not install or install == "python -m pip install ."
        done = subprocess.run(after, shell=True, cwd=newcomer, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{after}\n{done.stderr}"
    written = {str(path.relative_to(newcomer)) for path in set(newcomer.rglob("*")) - before}
    assert {"two_frogs.heatmap.png", "cat.heatmap.png", "maps/records.jsonl", "maps/report.html", "cat.png"} <= written


def test_the_compiled_explainer_in_plain_onnxruntime(newcomer: Path):
    """The example needs nothing of heatcli, and finds the frogs where heatcli does."""
    (code,) = [block for block in re.findall(r"^```python\n(.*?)^```", README, re.M | re.S) if "onnxruntime" in block]
    assert "heatcli" not in code
    (line,) = [line for line in shell_lines() if line.startswith("heatcli compile ")]
    for command in (line.split(), [sys.executable, "-c", code]):
        done = subprocess.run(command, cwd=newcomer, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    with PIL.Image.open(newcomer / "heatmap.png") as drawn:
        shades = np.asarray(drawn, np.float64)
    explained = heatcli.load(newcomer / "models/emoji_scenes/emoji_scenes.onnx").explain(
        newcomer / "sample_images" / "two_frogs.png"
    )
    assert shades.shape == explained.heatmap.shape
    assert np.corrcoef(shades.reshape(-1), explained.heatmap.reshape(-1))[0, 1] > 0.9


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_table_of_operations_is_current():
    assert operations_in_readme.parts()[1] == operations_in_readme.table()
