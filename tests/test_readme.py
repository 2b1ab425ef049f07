"""The README promises what is there: its methods, rules, options and commands, and the test command that CI runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from heatcli.methods import METHODS
from heatcli.relevance.rules import NAMES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(header: str) -> list[list[str]]:
    """Return the rows, each a list of cells, of the table whose first column is called ``header``."""
    found = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found, f"no table starts with {header}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def test_methods_and_their_promises():
    listed = {cells[0].strip("`"): cells[-1] == "yes" for cells in table("`--method`")}
    assert listed == {name: method.conserves for name, method in METHODS.items()}


def test_rules():
    listed = {cells[0].strip("`") for cells in table("rule")}
    assert listed == set(NAMES) - {"proportional", "winner", "pass"}


@pytest.mark.parametrize("command", ["explain", "inspect"])
def test_commands_and_options(command: str):
    shown = subprocess.run(
        [sys.executable, "-m", "heatcli", command, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert f"heatcli {command} " in README
    if command == "explain":
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--help"}
        assert {option for option in named if option not in shown} == set()


def test_ci_runs_the_test_command_of_the_readme():
    (line,) = re.findall(r"^python -m pip install -e .*$", README, re.MULTILINE)
    assert line.endswith("&& python -m pytest")
    assert "grep -m1 '^ *python -m pip install -e ' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
