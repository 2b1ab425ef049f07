"""How long the adjoint of each kind of layer takes beside the bare matrix product and onnxruntime's own layer.

    python -m tests.benchmarks.kernels [NAME ...] [--rounds 7] [--threads 2]

NAME picks the layers whose name holds it, for instance ``VGG`` or ``depthwise``. For each layer the three take turns in
one process, so that whatever else the machine does slows all of them; the fastest round of each counts. The bare
product is one of square matrices, scaled to as many multiply-adds as the layer has: what a perfect convolution would
cost. A depthwise layer, bound by memory, is not compared with it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

# name: channels in, channels out, size, kernel, stride, groups
CONVOLUTIONS = {
    "VGG 3x3 224": (3, 64, 224, 3, 1, 1),
    "VGG 3x3 224 64": (64, 64, 224, 3, 1, 1),
    "VGG 3x3 112 64": (64, 128, 112, 3, 1, 1),
    "VGG 3x3 112 128": (128, 128, 112, 3, 1, 1),
    "VGG 3x3 56 128": (128, 256, 56, 3, 1, 1),
    "VGG 3x3 56 256": (256, 256, 56, 3, 1, 1),
    "VGG 3x3 28 256": (256, 512, 28, 3, 1, 1),
    "VGG 3x3 28 512": (512, 512, 28, 3, 1, 1),
    "VGG 3x3 14 512": (512, 512, 14, 3, 1, 1),
    "GoogLeNet 7x7/2 224": (3, 64, 224, 7, 2, 1),
    "GoogLeNet 1x1 56": (64, 64, 56, 1, 1, 1),
    "GoogLeNet 3x3 56": (64, 192, 56, 3, 1, 1),
    "GoogLeNet 1x1 28": (192, 64, 28, 1, 1, 1),
    "GoogLeNet 3x3 28": (96, 128, 28, 3, 1, 1),
    "GoogLeNet 5x5 28": (16, 32, 28, 5, 1, 1),
    "GoogLeNet 1x1 14": (512, 128, 14, 1, 1, 1),
    "GoogLeNet 3x3 14": (112, 224, 14, 3, 1, 1),
    "GoogLeNet 5x5 14": (24, 64, 14, 5, 1, 1),
    "GoogLeNet 1x1 7": (832, 256, 7, 1, 1, 1),
    "GoogLeNet 3x3 7": (160, 320, 7, 3, 1, 1),
    "GoogLeNet 5x5 7": (48, 128, 7, 5, 1, 1),
    "ResNet 7x7/2 224": (3, 64, 224, 7, 2, 1),
    "ResNet 1x1 56": (64, 256, 56, 1, 1, 1),
    "ResNet 3x3 56": (64, 64, 56, 3, 1, 1),
    "ResNet 1x1/2 56": (256, 512, 56, 1, 2, 1),
    "ResNet 3x3/2 56": (128, 128, 56, 3, 2, 1),
    "ResNet 3x3 28": (128, 128, 28, 3, 1, 1),
    "ResNet 1x1 14": (1024, 256, 14, 1, 1, 1),
    "ResNet 3x3/2 28": (256, 256, 28, 3, 2, 1),
    "ResNet 3x3 14": (256, 256, 14, 3, 1, 1),
    "ResNet 3x3 7": (512, 512, 7, 3, 1, 1),
    "ResNet 1x1 7": (512, 2048, 7, 1, 1, 1),
    "MobileNet 3x3/2 224": (3, 32, 224, 3, 2, 1),
    "MobileNet 1x1 112": (16, 96, 112, 1, 1, 1),
    "MobileNet 1x1 56": (24, 144, 56, 1, 1, 1),
    "MobileNet 1x1 14": (384, 64, 14, 1, 1, 1),
    "MobileNet depthwise 112": (32, 32, 112, 3, 1, 32),
    "MobileNet depthwise/2 112": (96, 96, 112, 3, 2, 96),
    "MobileNet depthwise 56": (144, 144, 56, 3, 1, 144),
    "MobileNet depthwise/2 56": (144, 144, 56, 3, 2, 144),
    "MobileNet depthwise 28": (192, 192, 28, 3, 1, 192),
    "MobileNet depthwise/2 28": (192, 192, 28, 3, 2, 192),
    "MobileNet depthwise 14": (384, 384, 14, 3, 1, 384),
    "MobileNet depthwise/2 14": (576, 576, 14, 3, 2, 576),
    "MobileNet depthwise 7": (960, 960, 7, 3, 1, 960),
}
# name: channels, size, kernel, stride, pad at the begin, pad at the end
POOLS = {
    "pool 2x2/2 224": (64, 224, 2, 2, 0, 0),
    "pool 2x2/2 56": (256, 56, 2, 2, 0, 0),
    "pool 3x3/2 112": (64, 112, 3, 2, 0, 1),
    "pool 3x3 28": (256, 28, 3, 1, 1, 1),
    "pool 3x3 14": (512, 14, 3, 1, 1, 1),
}
SQUARE = 512
"""Length of the matrices of the bare product."""
PAUSE = 0.02
"""Seconds between turns: onnxruntime's threads keep spinning for a while after a run."""


def turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least milliseconds of each call, the calls taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(PAUSE)
            call()
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {name: min(values) * 1e3 for name, values in seconds.items()}


def layer_of(node, x, constants, threads):  # type: ignore[no-untyped-def]
    """Return the layer read from a node, its output and a call that runs it in onnxruntime."""
    import onnxruntime as ort

    from tests import single

    proto = single.model([node], {"x": x.shape}, constants, "y")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    return (
        single.read_node(node, {"x": x.shape}, constants, {"y": y.shape})[0],
        y,
        lambda: session.run(None, {"x": x}),
    )


def convolution(
    channels: int, outputs: int, size: int, kernel: int, stride: int, groups: int, rounds: int, threads: int
) -> dict[str, float]:
    """Return the milliseconds of one convolution's adjoint, of the bare product and of onnxruntime."""
    import numpy as np
    from onnx import helper

    from heatcli.kernels.maps import linear_map
    from heatcli.kernels.terms import ALL, WeightParts

    random = np.random.default_rng(0)
    x = random.random((1, channels, size, size), np.float32)
    w = random.random((outputs, channels // groups, kernel, kernel), np.float32)
    pad = kernel // 2
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, strides=[stride] * 2, pads=[pad] * 4)
    layer, y, run = layer_of(node, x, {"w": w}, threads)
    linear = linear_map(layer, ALL, [x.shape], y.shape, WeightParts(np.float32))
    assert linear is not None
    s = random.random(y.shape, WeightParts(np.float32))
    calls: dict[str, Callable[[], object]] = {"adjoint": lambda: linear.adjoint(s), "onnxruntime": run}
    if groups == 1:
        square = random.random((SQUARE, SQUARE), np.float32)
        out = np.empty_like(square)
        calls["product"] = lambda: np.matmul(square, square, out=out)
    spent = turns(calls, rounds)
    if groups == 1:
        spent["product"] *= w.size * y[0, 0].size / SQUARE**3
    return spent


def pool(
    channels: int, size: int, kernel: int, stride: int, before: int, after: int, rounds: int, threads: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the milliseconds of the adjoints of average and max pooling, each beside onnxruntime."""
    import numpy as np
    from onnx import helper

    from heatcli.kernels.maps import linear_map
    from heatcli.kernels.selection import largest_of_windows
    from heatcli.kernels.terms import ALL, WeightParts

    random = np.random.default_rng(0)
    x = np.maximum(random.random((1, channels, size, size), np.float32) - 0.5, 0)
    form = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [before, before, after, after]}
    found = []
    for operation in ("AveragePool", "MaxPool"):
        node = helper.make_node(operation, ["x"], ["y"], **form)
        layer, y, run = layer_of(node, x, {}, threads)
        s = random.random(y.shape, WeightParts(np.float32))
        linear = linear_map(layer, ALL, [x.shape], y.shape, WeightParts(np.float32))
        assert linear is not None
        calls: dict[str, Callable[[], object]] = {"adjoint": lambda: linear.adjoint(s), "onnxruntime": run}  # noqa: B023
        if operation == "MaxPool":
            calls["adjoint"] = lambda: largest_of_windows(x, y, s, layer.window)  # noqa: B023
        found.append(turns(calls, rounds))
    return found[0], found[1]


def line(name: str, spent: dict[str, float]) -> None:
    """Print the milliseconds of one layer and what they are as a multiple of its rivals."""
    product = f"{spent['adjoint'] / spent['product']:>9.2f} ×" if "product" in spent else f"{'–':>11}"
    print(
        f"{name:<32}{spent['adjoint']:>9.2f} ms{product}{spent['adjoint'] / spent['onnxruntime']:>13.2f} ×", flush=True
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read when NumPy is imported, hence the late imports

    def asked(name: str) -> bool:
        return not options.names or any(part.casefold() in name.casefold() for part in options.names)

    print(f"{'':<32}{'adjoint':>12}{'product':>11}{'onnxruntime':>15}")
    for name, shape in CONVOLUTIONS.items():
        if asked(name):
            line(name, convolution(*shape, options.rounds, options.threads))
    for name, form in POOLS.items():
        if asked(name):
            average, largest = pool(*form, options.rounds, options.threads)
            line(f"average {name}", average)
            line(f"max {name}", largest)


if __name__ == "__main__":
    main()
