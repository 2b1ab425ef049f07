"""What the kernels write as ONNX nodes, onnxruntime computes as NumPy does, for one explanation and for several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from heatcli.kernels.arrays import ArrayKernels
from heatcli.kernels.maps import linear_map
from heatcli.kernels.symbols import Graph, Symbol
from heatcli.kernels.terms import ALL, WeightParts
from heatcli.kernels.written import GraphKernels
from heatcli.kernels.written_selection import SMALL_WINDOW
from heatcli.network.layers import Window
from tests import single
from tests.kernels.test_maps import both, moved_one_by_one, windows


def computed(write, shapes, *arrays, batched=True):
    """Return what onnxruntime makes of what ``write`` writes for these arrays, and the graph.

    ``shapes`` are those of the layer's tensors; the first axis of every array is one that may have any length.
    """
    graph = Graph()
    kernels = GraphKernels(graph, shapes, batched=batched, parts=WeightParts(np.float32))
    names = [f"in{place}" for place in range(len(arrays))]
    sides = [(1, *array.shape[1:]) if batched else array.shape for array in arrays]
    result = write(kernels, *(Symbol(graph, *entry) for entry in zip(names, sides, strict=True)))
    open_sides = [("batch" + name, *side[1:]) if batched else side for name, side in zip(names, sides, strict=True)]
    proto = single.model([], dict(zip(names, open_sides, strict=True)), {}, result.name)
    proto.graph.node.extend(graph.nodes)
    proto.graph.initializer.extend(numpy_helper.from_array(*entry[::-1]) for entry in graph.constants.items())
    found = single.run(proto, {name: array.astype(np.float32) for name, array in zip(names, arrays, strict=True)})
    assert found.shape[1:] == result.shape[1:]
    return found, [node.op_type for node in graph.nodes]


def check_adjoint(node, constants, x, batch, *, opset=17):
    """Compare the written adjoint with that of NumPy, and return the operations that it took."""
    y, layer = both(node, x, constants, opset=opset)
    s = np.random.default_rng(1).normal(size=(batch, *y.shape[1:]))
    shapes = {"x": x.shape, "y": y.shape}
    found, operations = computed(lambda kernels, r: kernels.map(layer, ALL).adjoint(r)[0], shapes, s)
    parts = WeightParts(np.float64)
    expected = np.concatenate([linear_map(layer, ALL, [x.shape], y.shape, parts).adjoint(one[None])[0] for one in s])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    return operations


@settings(max_examples=80)
@given(
    window=windows(),
    groups=st.sampled_from([1, 1, 3]),
    ins=st.integers(1, 2),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@example(window=([6, 7], [1, 1], {"strides": [2, 3]}), groups=1, ins=2, batch=2, seed=0)
@example(window=([6, 6], [1, 1], {"strides": [3, 2], "pads": [1, 0, 0, 1]}), groups=3, ins=1, batch=2, seed=0)
@example(window=([8, 7], [1, 1], {"strides": [1, 2]}), groups=3, ins=1, batch=1, seed=0)
def test_adjoint_of_a_convolution(window, groups, ins, batch, seed):
    """With strides too, whether or not they reach the end of the input, and with kernels of one element."""
    size, kernel, attributes = window
    random = np.random.default_rng(seed)
    x = random.normal(size=(1, ins * groups, *size)).astype("float32")
    w = random.normal(size=(2 * groups, ins, *kernel)).astype("float32")
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, **attributes)
    check_adjoint(node, {"w": w}, x, batch)


def test_zeros_after_the_last_element_take_no_node_of_their_own():
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2])
    x, w = np.zeros((1, 2, 8, 6), np.float32), np.ones((3, 2, 1, 1), np.float32)
    assert "Pad" not in check_adjoint(node, {"w": w}, x, 1)


@settings(max_examples=80)
@given(
    window=windows(),
    apart=st.booleans(),
    ceil=st.booleans(),
    include=st.booleans(),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_adjoint_of_an_average_pool(window, apart, ceil, include, batch, seed):
    """Windows side by side are half of them."""
    size, kernel, attributes = window
    if apart:
        assume("auto_pad" not in attributes)
        attributes = {**attributes, "strides": kernel, "dilations": [1] * len(kernel)}
    x = np.random.default_rng(seed).normal(size=(1, 2, *size)).astype("float32")
    modes = {"ceil_mode": int(ceil), "count_include_pad": int(include)}
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=kernel, **modes, **attributes)
    check_adjoint(node, {}, x, batch, opset=19)


# the largest ----------------------------------------------------------------------------------------------------------


def check_largest(window, x, y, r, *, batched=True):
    """Compare with a search window by window, and return the operations that it took."""
    shapes = {"x": x.shape, "y": y.shape}
    found, operations = computed(
        lambda kernels, *given: kernels.largest_of_windows(*given, window), shapes, x, y, r, batched=batched
    )
    pictures = np.broadcast_to(x, (max(len(x), len(r)), *x.shape[1:])).astype(np.float64)
    np.testing.assert_allclose(found, moved_one_by_one(pictures, r, window), rtol=1e-6, atol=1e-6)
    return operations


@settings(max_examples=120)
@given(
    window=windows(),
    ceil=st.booleans(),
    ties=st.booleans(),
    batches=st.sampled_from([(1, 1), (1, 3), (2, 2)]),
    seed=st.integers(0, 99),
)
def test_largest_of_windows(window, ceil, ties, batches, seed):
    """One picture and one explanation, one picture and several explanations, and as many of both."""
    size, kernel, attributes = window
    random = np.random.default_rng(seed)
    x = random.normal(size=(batches[0], 2, *size)).astype("float32")
    if ties:
        x = np.maximum(np.round(x), 0)
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=kernel, ceil_mode=int(ceil), **attributes)
    y, layer = both(node, x, {})
    assume(np.isfinite(y).all() and (y > -1e30).all())  # a window that lies in the padding alone
    r = random.normal(size=(batches[1], *y.shape[1:]))
    check_largest(layer.window, x, y, r)


@settings(max_examples=80)
@given(
    kernel=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    rest=st.integers(0, 2),
    before=st.sampled_from([0, 0, 1]),
    batches=st.sampled_from([(1, 1), (1, 3), (3, 3)]),
    levels=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_largest_of_windows_side_by_side(kernel, rest, before, batches, levels, seed):
    """Many equal elements, negative and positive; elements behind the last window get nothing; a margin before it."""
    random = np.random.default_rng(seed)
    size = [2 * k + min(rest, k - 1) for k in kernel]
    pads = [*(min(before, k - 1) for k in kernel), *(0 for _ in kernel)]
    x = random.integers(-levels, levels, size=(batches[0], 3, *size)).astype("float32")
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=kernel, strides=kernel, pads=pads)
    y, layer = both(node, x, {})
    r = random.normal(size=(batches[1], *y.shape[1:]))
    operations = check_largest(layer.window, x, y, r, batched=batches != (1, 1))
    assert ("ScatterElements" in operations) == (np.prod(kernel) > SMALL_WINDOW or any(pads))


@pytest.mark.parametrize("value", [0.0, -2.0, np.inf, 1e-42])
def test_first_of_equal_elements_wins(value):
    """Whatever they are equal to, and beside the smallest difference that there is."""
    x = np.full((1, 1, 2, 4), value, np.float32)
    x[0, 0, :, 2] = np.nextafter(np.float32(value), np.float32(-np.inf)) if np.isfinite(value) else 1
    y, r = np.full((1, 1, 1, 2), value, np.float32), np.array([[[[7.0, 5.0]]]])
    for kernel, strides in (((2, 2), (2, 2)), ((2, 2), (1, 2))):
        window = Window(kernel=kernel, strides=strides, dilations=(1, 1), pads=(0, 0))
        found, _ = computed(lambda kernels, *given, w=window: kernels.largest_of_windows(*given, w), {}, x, y, r)
        assert found.tolist() == [[[[7, 0, 0, 5], [0, 0, 0, 0]]]]


def test_indices_picked_twice_add_up():
    r = np.random.default_rng(0).normal(size=(2, 3, 4))
    indices = np.array([4, 0, 4])
    for batched in (True, False):
        found, _ = computed(
            lambda kernels, s: kernels.put_back(s, (s.shape[0], 5, 4), 1, indices), {}, r, batched=batched
        )
        arrays = ArrayKernels({}, np.float64, batched=batched)
        np.testing.assert_allclose(found, arrays.put_back(r, (2, 5, 4), 1, indices), rtol=1e-6)
