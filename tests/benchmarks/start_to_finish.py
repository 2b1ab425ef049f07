"""How long the command takes from its start to its end, beside the least that any program must do.

    python -m tests.benchmarks.start_to_finish [--model FILE --picture FILE --preset NAME] [--rounds 9]

Two ratios: `heatcli explain` on one picture against a bare script that imports the same packages, decodes the picture
and runs one plain onnxruntime inference; `heatcli --help` against `import typer, rich`. All four are processes of their
own, run in turns, so that whatever else the machine does slows all; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.relevance_pass import chosen

BARE = """
import sys

import numpy as np
import onnx
import onnxruntime
import PIL.Image
import rich.console
import typer

model, picture = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
entry = session.get_inputs()[0]
if picture.endswith(".npy"):
    pixels = np.load(picture)
else:
    image = PIL.Image.open(picture).convert("RGB").resize(entry.shape[3:1:-1])
    pixels = np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None])
print(session.run(None, {entry.name: pixels})[0].argmax())
"""


def seconds(command: list[str]) -> float:
    """Return how long a process took; raises RuntimeError where it failed."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(done.stderr)
    return spent


def main() -> None:
    """Measure and print a small table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--preset", default="caffe", help="preprocessing of the picture (default: caffe)")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heatcli-benchmark-") as folder:
        model, picture = (str(path) for path in chosen(options, Path(folder)))
        heatcli = [sys.executable, "-m", "heatcli"]
        explain = [*heatcli, "explain", picture, "-m", model, "--preprocess", options.preset, "-o", f"{folder}/map.png"]
        commands = {
            "bare script, one inference": [sys.executable, "-c", BARE, model, picture],
            "heatcli explain": explain,
            "import typer, rich": [sys.executable, "-c", "import typer, rich"],
            "heatcli --help": [*heatcli, "--help"],
        }
        spent: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(options.rounds + 1):
            for name, command in commands.items():
                taken = seconds(command)
                if turn:  # the first round fills the disk's cache
                    spent[name].append(taken)
    names = list(commands)
    for base, name in (names[:2], names[2:]):
        bare, whole = median(spent[base]), median(spent[name])
        print(f"{base:<30}{bare * 1e3:>8.0f} ms")
        print(f"{name:<30}{whole * 1e3:>8.0f} ms{whole / bare:>8.2f} ×")


if __name__ == "__main__":
    main()
