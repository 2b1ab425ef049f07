"""A tiny classifier (conv, relu, global average, dense; 16×16 pictures), some pictures, a way to run the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import TensorProto, helper, numpy_helper

from heatcli.cli import main

CLASSES = 4


@dataclass(frozen=True)
class Done:
    """What a run of the command left: its exit code and both streams."""

    code: int
    out: str
    err: str


def classifier(*, extra: tuple[onnx.NodeProto, ...] = (), bias: float = 0.1) -> onnx.ModelProto:
    """A network with seeded weights; ``extra`` nodes stand between the convolution and the average."""
    random = np.random.default_rng(7)
    values = {
        "w": random.normal(size=(6, 3, 3, 3)),
        "b": np.full(6, bias),
        "v": random.normal(size=(6, CLASSES)),
        "c": np.array([0.3, -0.2, 0.1, -40.0]),  # the last class never has evidence
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        *extra,
        helper.make_node("Relu", [extra[-1].output[0] if extra else "conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["average"]),
        helper.make_node("Flatten", ["average"], ["row"]),
        helper.make_node("Gemm", ["row", "v", "c"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="tests\x1b[31m"
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as the current one, with ``net.onnx``, ``labels.txt``, two photos and one in a sub-folder."""
    monkeypatch.chdir(tmp_path)
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    onnx.save(classifier(), tmp_path / "net.onnx")
    (tmp_path / "labels.txt").write_text("cat\ndog\nowl\x1b]0;evil\x07\nsea lion\n", "utf-8")
    random = np.random.default_rng(3)
    for name in ("photos/a.png", "photos/b.jpg", "photos/sub/a.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(file)
    return tmp_path


@pytest.fixture
def heatcli(place: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Done]:
    """Run the command in ``place`` and return its exit code and streams."""

    def run(*arguments: str) -> Done:
        capfdbinary.readouterr()
        code = main(arguments)
        streams = capfdbinary.readouterr()
        return Done(code, streams.out.decode("utf-8", "replace"), streams.err.decode("utf-8", "replace"))

    return run
