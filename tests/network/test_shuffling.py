"""Networks with their weights in disorder: which weights, in what order, and the same in layers and forward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from heatcli import network
from heatcli.forward import Forward
from heatcli.network.layers import Network
from heatcli.network.shuffling import Shuffle, weighted
from tests import whole
from tests.whole import End, node

RANDOM = np.random.default_rng(8)
CONSTANTS = {
    "w": RANDOM.normal(size=(6, 3, 3, 3)).astype("float32"),
    "b": RANDOM.normal(size=6).astype("float32"),
    "slope": RANDOM.normal(size=(6, 1, 1)).astype("float32"),
    "u": RANDOM.normal(size=(6, 6)).astype("float32"),
    "large": RANDOM.normal(size=(6, 80)).astype("float32"),  # kept outside the graph
    "v": RANDOM.normal(size=(80, 4)).astype("float32"),
}
NODES = [
    node("Conv", "x w b", "conv"),
    node("PRelu", "conv slope", "prelu"),
    node("GlobalAveragePool", "prelu", "average"),
    node("Flatten", "average", "row"),
    node("MatMul", "row u", "first"),
    node("MatMul", "first u", "again"),  # shares its weights
    node("Relu", "again", "relu"),
    node("MatMul", "relu large", "hidden"),
    node("MatMul", "hidden v", "y"),
]
ENDS = [End("x", [1, 3, 8, 8])], [End("y", [1, 4])]
X = RANDOM.normal(size=(1, 3, 8, 8)).astype("float32")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return whole.save(tmp_path / "net.onnx", NODES, *ENDS, CONSTANTS)


def weights(read: Network) -> dict[str, np.ndarray]:
    return {layer.name: layer.weights for layer in read.layers if layer.family == "linear"}


def moved(before: Network, after: Network) -> set[str]:
    """Names of linear layers whose weights lie otherwise; each must have the same values as before."""
    one, other = weights(before), weights(after)
    for name, value in one.items():
        assert np.array_equal(np.sort(value, axis=None), np.sort(other[name], axis=None))
    return {name for name, value in one.items() if not np.array_equal(value, other[name])}


def run(read: Network) -> np.ndarray:
    return Forward(read).run(X)[read.output.logits]


def test_from_the_scores_down_and_nothing_but_matrices_and_kernels(file: Path):
    assert weighted(network.read(file)) == ("y", "hidden", "first", "conv")


@pytest.mark.parametrize(
    ("top", "names"),
    [
        (0, set()),
        (1, {"y"}),
        (2, {"y", "hidden"}),
        (3, {"y", "hidden", "first", "again"}),
        (9, {"y", "hidden", "first", "again", "conv"}),
    ],
)
def test_so_many_layers_from_the_top(file: Path, top: int, names: set[str]):
    before, after = network.read(file), network.read(file, shuffled=Shuffle(top))
    assert moved(before, after) == names
    assert np.array_equal(before.layers[0].bias, after.layers[0].bias)


def test_the_forward_pass_has_the_weights_of_the_layers(file: Path, tmp_path: Path):
    after = network.read(file, shuffled=Shuffle(3))
    found = weights(after)
    put_in = CONSTANTS | {"v": found["y"], "large": found["hidden"], "u": found["first"], "w": found["conv"]}
    other = whole.save(tmp_path / "other.onnx", NODES, *ENDS, put_in)
    assert run(after) == pytest.approx(whole.plain(other, x=X)["y"], rel=1e-5, abs=1e-6)
    assert not np.allclose(run(after), whole.plain(file, x=X)["y"], rtol=0.01)


def test_more_layers_leave_those_above_as_they_were_and_another_seed_does_not(file: Path):
    two, four = (weights(network.read(file, shuffled=Shuffle(top, seed=5))) for top in (2, 4))
    assert np.array_equal(two["y"], four["y"])
    assert np.array_equal(two["hidden"], four["hidden"])
    other = weights(network.read(file, shuffled=Shuffle(2, seed=6)))
    assert not np.array_equal(two["y"], other["y"])


def test_quantised_weights_are_reordered_as_integers(tmp_path: Path):
    constants = {
        "q": RANDOM.integers(-127, 128, (6, 3, 3, 3)).astype("int8"),
        "s": np.float32(0.02),
        "z": np.int8(0),
        "v": CONSTANTS["u"][:, :4],
    }
    nodes = [
        node("DequantizeLinear", "q s z", "w"),
        node("Conv", "x w", "conv"),
        node("GlobalAveragePool", "conv", "average"),
        node("Flatten", "average", "row"),
        node("MatMul", "row v", "y"),
    ]
    file = whole.save(tmp_path / "quantised.onnx", nodes, *ENDS, constants)
    before, after = network.read(file), network.read(file, shuffled=Shuffle(2))
    assert len(weighted(before)) == 2
    assert len(moved(before, after)) == 2
    kernel, dense = weights(after).values()
    integers = np.rint(kernel / 0.02).astype("int8")
    other = whole.save(tmp_path / "other.onnx", nodes, *ENDS, constants | {"q": integers, "v": dense})
    assert run(after) == pytest.approx(whole.plain(other, x=X)["y"], rel=1e-4, abs=1e-5)


def test_weights_that_stand_in_attributes_are_found(tmp_path: Path):
    coefficients = RANDOM.normal(size=(3, 5))
    linear = node(
        "LinearClassifier",
        "x",
        "label y",
        whole.ML,
        coefficients=coefficients.reshape(-1).tolist(),
        intercepts=[0.1, 0.2, 0.3],
        classlabels_ints=[0, 1, 2],
    )
    ends = [End("x", [1, 5])], [End("label", [1], onnx.TensorProto.INT64), End("y", [1, 3])]
    file = whole.save(tmp_path / "linear.onnx", [linear], *ends, {})
    assert moved(network.read(file), network.read(file, shuffled=Shuffle(1)))


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_whole_networks_are_reordered_throughout(light_models_by_name: Callable[[str], Path], name: str):
    file = light_models_by_name(name)
    before = network.read(file)
    after = network.read(file, shuffled=Shuffle(len(weighted(before))))
    kernels = [layer for layer in before.layers if layer.family == "linear" and np.ptp(layer.weights) > 0]
    assert len(moved(before, after)) == len(kernels)


def test_the_file_stays_as_it_is(file: Path):
    network.read(file, shuffled=Shuffle(9))
    kept = {entry.name: numpy_helper.to_array(entry) for entry in onnx.load(file).graph.initializer}
    assert all(np.array_equal(kept[name], value) for name, value in CONSTANTS.items())
