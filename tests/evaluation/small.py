"""Small networks and pictures whose evaluation can be worked out beside the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from tests import whole
from tests.whole import End, node

WEIGHTS = np.random.default_rng(11).normal(size=(3 * 28 * 28, 2)).astype("float32")
KERNEL = np.random.default_rng(12).normal(size=(5, 3, 3, 3)).astype("float32")
DENSE = np.random.default_rng(13).normal(size=(5, 3)).astype("float32")


def linear(path: Path) -> Path:
    """Write s = x·w for two classes, scores before a softmax, of pictures 28×28 in colour."""
    nodes = [node("Flatten", "x", "row"), node("MatMul", "row w", "s"), node("Softmax", "s", "p", axis=1)]
    return whole.save(path, nodes, [End("x", [1, 3, 28, 28])], [End("p", [1, 2])], {"w": WEIGHTS})


def convolutional(path: Path, *, sides: int | str = 28, bias: float = 0.2) -> Path:
    """Write a network of one convolution with positive biases, a rectifier, the average, and a dense layer."""
    nodes = [
        node("Conv", "x w b", "conv", pads=[1, 1, 1, 1]),
        node("Relu", "conv", "relu"),
        node("GlobalAveragePool", "relu", "average"),
        node("Flatten", "average", "row"),
        node("MatMul", "row v", "s"),
    ]
    constants = {"w": KERNEL, "b": np.full(5, bias, "float32"), "v": DENSE}
    return whole.save(path, nodes, [End("x", [1, 3, sides, sides])], [End("s", [1, 3])], constants)


def pictures(folder: Path, count: int = 3, size: tuple[int, int] = (28, 28)) -> list[Path]:
    """Write pictures of noise, of (width, height) ``size``."""
    random = np.random.default_rng(14)
    found = []
    for number in range(count):
        found.append(folder / f"noise{number}.png")
        PIL.Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(found[-1])
    return found
