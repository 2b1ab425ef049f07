"""Asking for help or the version answers at once: neither imports what reads models or pictures."""

import subprocess
import sys

import pytest

import heatcli

HEAVY = {"onnx", "onnxruntime", "numpy", "PIL"}
PROGRAM = """
import sys
from heatcli.cli import main
sys.argv = ["heatcli", *sys.argv[1:]]
try:
    code = main()
except SystemExit as stop:
    code = stop.code
sys.stderr.write("\\nmodules: " + " ".join(name for name in sys.modules if "." not in name))
sys.exit(code)
"""


COMMANDS = ("explain", "inspect", "compare", "evaluate", "report")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)],
    ids=" ".join,
)
def test_imports_nothing_heavy(arguments: list[str]):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    loaded = done.stderr.rpartition("modules: ")[2].split()
    assert "heatcli" in loaded
    assert not HEAVY.intersection(loaded)


def test_version_is_printed():
    done = subprocess.run(
        [sys.executable, "-m", "heatcli", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith(f"heatcli {heatcli.__version__}")
