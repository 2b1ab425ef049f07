"""How long a relevance pass takes, as a multiple of onnxruntime's own forward pass, and how much memory it needs.

    python -m tests.benchmarks.relevance_pass [--model FILE --picture FILE --preset NAME] [--rounds 15] [--threads 2]

Without a model it takes the trained GoogLeNet of the test data, and where there is none the light Inception of the onnx
package with random weights. Both sides run on the same threads, in turns within one process, so that whatever else the
machine does slows both; the median of the rounds counts. Threads pause between turns, since onnxruntime's keep spinning
for a while after a run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
PAUSE = 0.05
"""Seconds between turns."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--preset", default="caffe", help="preprocessing of the picture (default: caffe)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def chosen(options: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Return the model and the picture or tensor to measure on; what has to be made is written to ``folder``."""
    data = Path(os.environ.get("HEATCLI_DATA") or ROOT.parent / "shared" / "data")
    model = options.model or data / "models" / "bvlc_googlenet_opset8.onnx"
    picture = options.picture or next(iter(sorted((data / "photos").glob("*.jp*g"))), None)
    if model.exists() and picture is not None:
        return model, picture

    import numpy as np
    import onnx

    from tests import light_models

    model, picture = folder / "inception_v1.onnx", folder / "noise.npy"
    onnx.save(light_models.with_random_weights(light_models.FOLDER / "light_inception_v1.onnx"), model)
    np.save(picture, np.random.default_rng(0).uniform(-120, 130, (1, 3, 224, 224)).astype(np.float32))
    return model, picture


def measure(model: Path, picture: Path, preset: str, rounds: int, threads: int) -> dict[str, list[float]]:
    """Return the seconds of every round: plain forward, forward with what relevance needs, the walk back, both."""
    import numpy as np
    import onnx
    import onnxruntime as ort

    import heatcli

    plain_model = onnx.load(model)
    # Weights that are also inputs could be replaced in every run, which keeps onnxruntime from its best layout.
    weights = {entry.name for entry in plain_model.graph.initializer}
    for entry in [entry for entry in plain_model.graph.input if entry.name in weights]:
        plain_model.graph.input.remove(entry)
    plain_model.ir_version = max(plain_model.ir_version, 4)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    session = ort.InferenceSession(plain_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    explainer = heatcli.load(model, preprocess=preset, threads=threads)
    spec = explainer.network.input
    pixels = np.random.default_rng(0).uniform(-100, 100, spec.shape).astype(spec.dtype)

    seconds: dict[str, list[float]] = {"plain": [], "forward": [], "relevance": [], "both": []}
    for turn in range(rounds + 2):
        time.sleep(PAUSE)
        session.run(None, {spec.name: pixels})  # wakes the threads and warms the caches: the strictest baseline
        begun = time.perf_counter()
        session.run(None, {spec.name: pixels})
        plain = time.perf_counter() - begun
        time.sleep(PAUSE)
        spent = explainer.explain(picture, range=(-130, 160) if picture.suffix == ".npy" else None).seconds
        if turn >= 2:  # the first turns fill caches
            seconds["plain"].append(plain)
            seconds["forward"].append(spent["forward"])
            seconds["relevance"].append(spent["relevance"])
            seconds["both"].append(spent["forward"] + spent["relevance"])
    return seconds


def main() -> None:
    """Measure and print a small table."""
    options = arguments()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read when NumPy is imported, hence the late imports
    from tests.benchmarks.peak_memory import peak_of_one_explanation

    with tempfile.TemporaryDirectory(prefix="heatcli-benchmark-") as folder:
        model, picture = chosen(options, Path(folder))
        seconds = measure(model, picture, options.preset, options.rounds, options.threads)
        memory = peak_of_one_explanation(model, picture, options.preset)
    print(f"{model.name}, {picture.name}, {options.threads} threads, median of {options.rounds} rounds")
    plain = median(seconds["plain"])
    for key, title in (
        ("plain", "onnxruntime, plain forward"),
        ("forward", "forward with activations and denominators"),
        ("relevance", "relevance, backwards"),
        ("both", "one explanation"),
    ):
        value = median(seconds[key])
        print(f"{title:<44}{value * 1e3:>9.1f} ms{value / plain:>8.2f} ×")
    print(f"{'peak memory of a process that explains once':<44}{memory:>9.0f} MB")


if __name__ == "__main__":
    main()
