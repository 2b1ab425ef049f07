"""Which layers can have a relevance model, what is pooled, and which outputs above are seen from a place."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli import network
from heatcli.kernels.maps import make
from heatcli.relevance.detection import detections
from heatcli.relevance.models import sum_over
from tests import dense, whole
from tests.dense import Geometry

CONSTANTS = {
    "w1": whole.f(4, 2, 3, 3),
    "w2": whole.f(3, 4, 2, 2),
    "w3": whole.f(3, 4, 3, 3),
    "w4": whole.f(4, 4, 1, 1),
    "wt": whole.f(4, 3, 2, 2),
    "w8": whole.f(3, 8, 1, 1),
    "zero": np.array(0, "float32"),
    "one": np.array(1, "float32"),
    "six": np.array(6, "float32"),
    "low": np.array(-1, "float32"),
    "frame": np.array([0, 0, 1, 0, 0, 0, 0, 2]),
    "starts": np.array([1, 2]),
    "ends": np.array([9, 8]),
    "axes": np.array([2, 3]),
    "steps": np.array([1, 2]),
    "scale": whole.f(1, 4, 1, 1),
    "rows": np.array([1, 4, -1]),
}
SIZE = (9, 10)


def read(tmp_path, nodes, last="z", *, shape=(1, 2, *SIZE)):
    """Read a classifier of ``nodes`` from x to ``last``, whose channels are averaged."""
    nodes = [*nodes, whole.node("GlobalAveragePool", last, "mean"), whole.node("Flatten", "mean", "y")]
    used = {name for entry in nodes for name in entry.input}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    return network.read(
        whole.save(tmp_path / "net.onnx", nodes, [whole.End("x", list(shape))], [whole.End("y", None)], constants)
    )


CONV = whole.node("Conv", "x w1", "c", pads=[1, 1, 1, 1])
RELU = whole.node("Relu", "c", "r")
ABOVE = whole.node("Conv", "p w2", "z")


def covered(net, upper, sides):
    """Return (places, outputs) how often each output of ``upper`` is given to each place."""
    above = net.shapes[upper.layer.name][2:]
    spread = make(sum_over(upper.window, "a", "b"), np.ones((1, 1, 1, 1)), [(1, 1, *sides)], (1, 1, *above))
    units = np.eye(int(np.prod(above))).reshape(-1, 1, *above)
    return spread.adjoint(units)[0].reshape(len(units), -1).T


CHAINS = {
    "conv": ([], [("conv", (2, 2), (1, 1), (1, 1), (0, 0, 0, 0))]),
    "pool": (
        [whole.node("MaxPool", "r", "p", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0])],
        [("pool", (3, 2), (2, 2), (1, 1), (1, 0, 1, 0)), ("conv", (2, 2), (1, 1), (1, 1), (0, 0, 0, 0))],
    ),
    "two pools": (
        [
            whole.node("AveragePool", "r", "q", kernel_shape=[2, 2], strides=[1, 2]),
            whole.node("MaxPool", "q", "p", kernel_shape=[2, 2], strides=[2, 1]),
        ],
        [
            ("pool", (2, 2), (1, 2), (1, 1), (0, 0, 0, 0)),
            ("pool", (2, 2), (2, 1), (1, 1), (0, 0, 0, 0)),
            ("conv", (2, 2), (1, 1), (1, 1), (0, 0, 0, 0)),
        ],
    ),
    "elementwise": (
        [whole.node("LRN", "r", "q", size=3), whole.node("Sigmoid", "q", "p")],
        [("conv", (2, 2), (1, 1), (1, 1), (0, 0, 0, 0))],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_an_output_above_is_seen_where_its_receptive_field_covers_a_place(tmp_path, name):
    nodes, steps = CHAINS[name]
    above = whole.node("Conv", f"{'p' if nodes else 'r'} w2", "z")
    net = read(tmp_path, [CONV, RELU, *nodes, above, whole.node("Relu", "z", "rz")], "rz")
    (detection,) = detections(net)
    (upper,) = detection.uppers
    assert upper.layer.name == "z"
    size, reach = SIZE, np.eye(int(np.prod(SIZE)))
    for _, kernel, strides, dilations, pads in steps:
        geometry = Geometry(size, kernel, strides, dilations, pads)
        reach, size = reach @ dense.convolution(np.ones((1, 1, *kernel)), 1, geometry), geometry.output
    assert size == net.shapes["z"][2:]
    np.testing.assert_array_equal(covered(net, upper, SIZE), reach > 0)


def test_frames_and_cuts_move_the_window(tmp_path):
    """A slice of every other column and a frame around it: which places are seen, by hand."""
    nodes = [
        CONV,
        RELU,
        whole.node("Slice", "r starts ends axes steps", "s"),
        whole.node("Pad", "s frame", "p"),
        ABOVE,
        whole.node("Relu", "z", "rz"),
    ]
    net = read(tmp_path, nodes, "rz")
    (detection,) = detections(net)
    (upper,) = detection.uppers
    found = covered(net, upper, SIZE).reshape(*SIZE, *net.shapes["z"][2:])
    # Row o of z meets rows o and o + 1 of p; that is what they were before the cut. Its column o meets two of p, which
    # were 2 + 2 o and 4 + 2 o, and what lies between.
    for o in range(net.shapes["z"][2]):
        assert {row for row in range(9) if found[row, :, o].any()} == {o, o + 1} & set(range(9))
    for o in range(net.shapes["z"][3]):
        assert {c for c in range(10) if found[:, c, :, o].any()} == {2 + 2 * o, 3 + 2 * o, 4 + 2 * o} & set(range(10))


def names(net):
    """Return {detection layer: {upper layer: window seen?}}."""
    return {
        entry.layer.name: {upper.layer.name: upper.window is not None for upper in entry.uppers}
        for entry in detections(net)
    }


def test_branches_and_sums(tmp_path):
    """Several layers above stand side by side; a way that turns the axes round sees all."""
    nodes = [
        CONV,
        RELU,
        whole.node("Conv", "r w4", "a"),
        whole.node("Relu", "a", "ra"),
        whole.node("MaxPool", "r", "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        whole.node("Concat", "ra pool", "both", axis=1),
        whole.node("Conv", "both w8", "b"),
        whole.node("Relu", "b", "z"),
    ]
    assert names(read(tmp_path, nodes)) == {"c": {"a": True, "b": True}, "a": {"b": True}}
    nodes = [
        CONV,
        RELU,
        whole.node("Conv", "r w4", "a"),
        whole.node("Relu", "a", "ra"),
        whole.node("Add", "ra r", "sum"),
        whole.node("Conv", "sum w2", "b"),
        whole.node("Relu", "b", "z"),
    ]
    assert names(read(tmp_path, nodes)) == {"c": {"a": True, "b": True}, "a": {"b": True}}
    nodes = [CONV, RELU, whole.node("Transpose", "r", "p", perm=[0, 1, 3, 2]), ABOVE, whole.node("Relu", "z", "rz")]
    assert names(read(tmp_path, nodes, "rz")) == {"c": {"z": False}}
    nodes = [CONV, RELU, whole.node("ConvTranspose", "r wt", "z"), whole.node("Relu", "z", "rz")]
    (detection,) = detections(read(tmp_path, nodes, "rz"))
    assert [(upper.layer.name, upper.window, upper.channels) for upper in detection.uppers] == [("z", None, 3)]


def test_two_ways_of_different_reach_see_all(tmp_path):
    nodes = [
        CONV,
        RELU,
        whole.node("MaxPool", "r", "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        whole.node("Add", "r pool", "p"),
        ABOVE,
        whole.node("Relu", "z", "rz"),
    ]
    assert names(read(tmp_path, nodes, "rz")) == {"c": {"z": False}}


@pytest.mark.parametrize(
    ("rectifier", "found"),
    [
        (whole.node("Relu", "c", "p"), True),
        (whole.node("Clip", "c zero six", "p"), True),
        (whole.node("Clip", "c low six", "p"), False),
        (whole.node("LeakyRelu", "c", "p"), False),
        (whole.node("Tanh", "c", "p"), False),
    ],
)
def test_a_rectifier_follows(tmp_path, rectifier, found):
    net = read(tmp_path, [CONV, rectifier, ABOVE, whole.node("Relu", "z", "rz")], "rz")
    assert ("c" in names(net)) == found
    assert "z" not in names(net)  # nothing linear is above


def test_gates_get_no_relevance_and_no_model(tmp_path):
    """Squeeze and excitation: the layers of the gate are no detection layers, and none of those above."""
    nodes = [
        CONV,
        RELU,
        whole.node("GlobalAveragePool", "r", "squeezed"),
        whole.node("Conv", "squeezed w4", "g1"),
        whole.node("Relu", "g1", "rg"),
        whole.node("Conv", "rg w4", "g2"),
        whole.node("Sigmoid", "g2", "gate"),
        whole.node("Mul", "r gate", "p"),
        ABOVE,
        whole.node("Relu", "z", "rz"),
    ]
    assert names(read(tmp_path, nodes, "rz")) == {"c": {"z": True}}


def test_groups_of_neurons(tmp_path):
    """Neurons of a dense layer that are reshaped, turned and summed: each is in exactly one group."""
    nodes = [
        whole.node("MatMul", "x w", "a"),
        whole.node("Relu", "a", "r"),
        whole.node("Reshape", "r shape", "s"),
        whole.node("Transpose", "s", "t", perm=[0, 2, 1]),
        whole.node("ReduceSum", "t axes", "p", keepdims=0),
        whole.node("MatMul", "p u", "b"),
        whole.node("Relu", "b", "rb"),
        whole.node("MatMul", "rb q", "y"),
    ]
    constants = {"w": whole.f(5, 12), "u": whole.f(4, 6), "q": whole.f(6, 2)}
    constants |= {"shape": np.array([1, 3, 4]), "axes": np.array([2])}
    net = network.read(
        whole.save(tmp_path / "net.onnx", nodes, [whole.End("x", [1, 5])], [whole.End("y", [1, 2])], constants)
    )
    lower, upper = detections(net)
    assert lower.groups.tolist() == [[j, j + 4, j + 8] for j in range(4)]  # s[0, a, b] is neuron 4a + b
    assert lower.pooled
    assert sorted(lower.groups.reshape(-1)) == list(range(12))
    assert not upper.pooled
    assert upper.groups.tolist() == [[j] for j in range(6)]


def test_rows_of_a_dense_layer_see_their_own_place(tmp_path):
    nodes = [
        whole.node("MatMul", "x w", "a"),
        whole.node("Relu", "a", "r"),
        whole.node("MatMul", "r u", "b"),
        whole.node("Relu", "b", "rb"),
        whole.node("ReduceMean", "rb", "m", axes=[1], keepdims=0),
        whole.node("MatMul", "m q", "y"),
    ]
    constants = {"w": whole.f(5, 12), "u": whole.f(12, 6), "q": whole.f(6, 2)}
    net = network.read(
        whole.save(tmp_path / "net.onnx", nodes, [whole.End("x", [1, 7, 5])], [whole.End("y", [1, 2])], constants)
    )
    assert names(net) == {"a": {"b": True}, "b": {"y": False}}
