"""What is not finite ends in an error that names the layer and the likely reason, never in a grey picture."""

from __future__ import annotations

import numpy as np
import onnx
import PIL.Image
import pytest

import heatcli
from heatcli.cli import main
from heatcli.errors import HeatcliError, ModelError, PictureError
from heatcli.planning.infinite import infinite_relevance
from heatcli.relevance.ledger import LedgerRow
from tests.whole import End, f, node, save

METHODS = ["deep-taylor", "gradient", "lrp-epsilon", "integrated-gradients", "occlusion"]
KERNEL = f(6, 3, 3, 3) / 5


def network(path, *, kernel=KERNEL, dense=None, middle=("Relu",), half=False):
    """Write a network of one convolution, elementwise operations and one dense layer."""
    names = ["c", *(f"m{place}" for place in range(len(middle)))]
    nodes = [
        node("Conv", "x k", "c"),
        *(node(kind, before, after) for kind, before, after in zip(middle, names, names[1:], strict=False)),
        node("GlobalAveragePool", names[-1], "p"),
        node("Flatten", "p", "row"),
        node("Gemm", "row v", "y"),
    ]
    dense = f(6, 4) if dense is None else dense
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    constants = {"k": kernel, "v": dense}
    if half:
        constants = {name: value.astype(np.float16) for name, value in constants.items()}
    return save(path, nodes, [End("x", [1, 3, 8, 8], kind)], [End("y", [1, 4], kind)], constants)


X = np.random.default_rng(0).uniform(size=(1, 3, 8, 8)).astype("float32")


def explain(path, method="deep-taylor", **options):
    return heatcli.load(path, range=(0, 1), **options).explain(X, method=method)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["kernel", "dense"])
def test_weights_that_are_not_finite(tmp_path, value, place, engine):
    """Also where the rectifier would hide it: a channel that is always minus infinity seems to be off."""
    weights = {"kernel": KERNEL, "dense": f(6, 4)}[place].copy()
    weights.reshape(-1)[0] = value
    path = network(tmp_path / "m.onnx", **{place: weights})
    named = {"kernel": r"c \(Conv\)", "dense": r"y \(Gemm\)"}[place]
    with pytest.raises(ModelError, match=f"the weights of {named} hold NaN or infinity: the file is damaged"):
        explain(path, engine=engine)


@pytest.mark.parametrize("method", METHODS)
def test_activations_that_overflow(tmp_path, method):
    """The largest number in float32 is 3.4e38, which exp reaches at 89."""
    path = network(tmp_path / "m.onnx", kernel=KERNEL * 1e12, middle=("Relu", "Exp"))
    with pytest.raises(PictureError, match=r"infinity begins at m1 \(Exp\), whose input reaches [\d.]+e\+1\d, far"):
        explain(path, method)


def test_weights_that_overflow(tmp_path):
    path = network(tmp_path / "m.onnx", kernel=np.full_like(KERNEL, 3e38))
    with pytest.raises(
        PictureError, match=r"begins at c \(Conv\), whose input .* and whose weights reach 3e\+38: a dam"
    ):
        explain(path, "gradient")


def test_half_precision_that_would_overflow_is_explained_in_float32(tmp_path):
    """65504 is the largest number in float16: 27 products of up to 60000 each go beyond."""
    kernel = np.abs(KERNEL) * 60_000
    half = explain(network(tmp_path / "half.onnx", kernel=kernel, half=True))
    whole = explain(network(tmp_path / "whole.onnx", kernel=kernel))
    assert half.score == pytest.approx(whole.score, rel=1e-2)
    assert np.isfinite(half.relevance).all()


def test_half_precision_weights_beyond_its_range(tmp_path):
    """What overflowed when the file was written is infinite in it."""
    with np.errstate(over="ignore"):
        path = network(tmp_path / "half.onnx", kernel=np.abs(KERNEL) * 1e7, half=True)
    with pytest.raises(ModelError, match=r"the weights of c \(Conv\) hold NaN or infinity"):
        explain(path)


def test_relevance_that_is_not_finite_is_named_by_the_account():
    rows = [
        LedgerRow("y", "Gemm", "z+", 5.0, 5.0),
        LedgerRow("c", "Conv", "epsilon", 5.0, float("inf")),
        LedgerRow("b", "Conv", "epsilon", float("inf"), float("nan")),
    ]
    said = str(infinite_relevance(rows))
    assert "it begins at c (Conv, rule epsilon), where relevance of 5 comes in" in said
    assert "try another method or rule" in str(infinite_relevance())


def test_gradients_that_overflow(tmp_path):
    """Scores are finite, slopes are not: 1e30 and 1e30 make 1e60."""
    path = network(tmp_path / "m.onnx", kernel=KERNEL * 1e30, dense=f(6, 4) * 1e30, middle=("Sigmoid",))
    with pytest.raises(HeatcliError, match="not finite"):
        heatcli.load(path, range=(0, 1)).explain(X * 0, method="gradient")


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    path = network(tmp_path / "m.onnx", kernel=KERNEL * 1e12, middle=("Relu", "Exp"))
    PIL.Image.fromarray((X[0] * 255).astype(np.uint8).transpose(1, 2, 0)).save(tmp_path / "x.png")
    assert main(["explain", str(tmp_path / "x.png"), "-m", str(path), "-q", "-o", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "infinity begins at m1 (Exp)" in said
    assert not list(tmp_path.glob("*.heatmap.png"))
