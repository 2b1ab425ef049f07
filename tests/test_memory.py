"""One explanation stays small: a process that explains one photograph by GoogLeNet never holds 600 MB."""

from pathlib import Path

from tests.benchmarks.peak_memory import peak_of_one_explanation


def test_one_googlenet_explanation(data: Path):
    photograph = sorted((data / "photos").glob("*.jp*g"))[0]
    assert peak_of_one_explanation(data / "models" / "bvlc_googlenet_opset8.onnx", photograph, "caffe") < 600
