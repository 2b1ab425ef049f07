"""Asking for help or the version answers at once: neither imports what reads models or pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import heatcli

HEAVY = {"onnx", "onnxruntime", "numpy", "PIL"}
PROGRAM = """
import sys
from pathlib import Path
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


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_onnxruntime_tells_nobody_that_it_runs():
    """Its maker's builds start a thread on import that asks for a server, unless they are told not to."""
    count = "import os, heatcli.runtime; print(len(os.listdir('/proc/self/task')))"
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | alone
    done = subprocess.run(
        [sys.executable, "-c", count], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert done.stdout.strip() == "1"
