"""How many pictures a second a folder takes, beside what the engine alone can do on this machine.

    python -m tests.benchmarks.folder [--model FILE --preset NAME --photos FOLDER --pictures 100]

The engine alone: arrays that are ready, as many workers as cores with one thread each. The folder: the whole command,
from its start to its end, which reads, decodes, explains, draws and writes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def engine_alone(model: Path, preset: str, pictures: int, workers: int) -> float:
    """Return pictures a second that ready arrays take."""
    import numpy as np

    import heatcli

    explainer = heatcli.load(model, preprocess=preset, threads=1)
    spec = explainer.network.input
    x = np.random.default_rng(0).uniform(-100, 100, spec.shape).astype(spec.dtype)
    with ThreadPoolExecutor(workers) as executor:
        list(executor.map(lambda _: explainer.explain(x, range=(-130, 160)), range(2 * workers)))
        begun = time.perf_counter()
        list(executor.map(lambda _: explainer.explain(x, range=(-130, 160)), range(pictures)))
        return pictures / (time.perf_counter() - begun)


def whole_command(model: Path, preset: str, photos: list[Path], pictures: int) -> float:
    """Return pictures a second that the command takes for a folder."""
    with tempfile.TemporaryDirectory(prefix="heatcli-benchmark-") as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        for place in range(pictures):
            source = photos[place % len(photos)]
            shutil.copy(source, folder / f"{place:05}{source.suffix}")
        command = [sys.executable, "-m", "heatcli", "explain", str(folder), "-m", str(model), "-o", f"{scratch}/maps"]
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        begun = time.perf_counter()
        subprocess.run([*command, "--preprocess", preset, "-q"], check=True, env=environment, stdout=subprocess.DEVNULL)
        return pictures / (time.perf_counter() - begun)


def main() -> None:
    """Measure in turns and print a small table."""
    data = Path(os.environ.get("HEATCLI_DATA") or ROOT.parent / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=data / "models" / "bvlc_googlenet_opset8.onnx")
    parser.add_argument("--preset", default="caffe", help="preprocessing of the pictures (default: caffe)")
    parser.add_argument(
        "--photos", type=Path, default=data / "photos", help="folder of photographs, which are repeated"
    )
    parser.add_argument("--pictures", type=int, default=100)
    options = parser.parse_args()
    photos = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # read when NumPy is imported, hence the late imports
    alone = engine_alone(options.model, options.preset, options.pictures, workers)
    folder = whole_command(options.model, options.preset, photos, options.pictures)
    again = engine_alone(options.model, options.preset, options.pictures, workers)
    engine = (alone + again) / 2
    print(f"{options.model.name}, {options.pictures} pictures, {workers} cores")
    print(f"{'engine alone, ready arrays':<34}{engine:>8.2f} pictures/s")
    print(f"{'heatcli explain FOLDER':<34}{folder:>8.2f} pictures/s{folder / engine:>8.0%}")


if __name__ == "__main__":
    main()
