"""Memory is bounded: one explanation stays small, and a folder needs no more at its end than at its beginning."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests.benchmarks.peak_memory import peak_of_one_explanation


def test_one_googlenet_explanation(data: Path):
    photograph = sorted((data / "photos").glob("*.jp*g"))[0]
    assert peak_of_one_explanation(data / "models" / "bvlc_googlenet_opset8.onnx", photograph, "caffe") < 600


FOLDER = """
import gc, json, sys
from pathlib import Path
from heatcli.cli import main
from heatcli.cli.running import Run

held = []
take = Run._take

def watched(self, *given, **more):
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held.append(pages * 4096 / 1e6)
    return take(self, *given, **more)

Run._take = watched
code = main(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps(held))
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_folder_needs_no_more_at_its_end(tmp_path: Path, engine: str):
    """Resident memory after each of 120 pictures: the last quarter holds what the second held, within 8 MB."""
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for place in range(120):
        pixels = random.integers(0, 256, (96 + place % 7, 130, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "photos" / f"{place:03}.png")
    model = Path(__file__).resolve().parent.parent / "models" / "emoji_scenes" / "emoji_scenes.onnx"
    arguments = ["explain", "photos", "-m", str(model), "-o", "maps", "-q", "--engine", engine]
    done = subprocess.run(
        [sys.executable, "-c", FOLDER, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stderr.splitlines()[-1])
    assert len(held) == 120
    assert len(list((tmp_path / "maps").glob("*.heatmap.png"))) == 120
    assert np.median(held[90:]) < np.median(held[30:60]) + 8, held[::10]
