"""``apply`` is what onnxruntime computes and ``adjoint`` its transpose, in every form the specification allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from heatcli.kernels.maps import linear_map
from heatcli.kernels.selection import largest_of_axes, largest_of_windows
from heatcli.kernels.symbols import Graph
from heatcli.kernels.terms import ALL, NEGATIVE, POSITIVE, InputPart, WeightParts
from heatcli.kernels.written import GraphKernels
from tests import single


@st.composite
def windows(draw, *, dilated=True):
    """Attributes of a window and the size of its tensor."""
    rank = draw(st.integers(1, 3))
    axes = []
    for _ in range(rank):
        kernel = draw(st.integers(1, 4))
        dilation = draw(st.integers(1, 2)) if dilated else 1
        before, after = (draw(st.integers(0, kernel - 1)) for _ in range(2))
        size = draw(st.integers((kernel - 1) * dilation + 1, 9 if rank < 3 else 6 + kernel))
        axes.append((size, kernel, draw(st.integers(1, 3)), dilation, before, after))
    size, kernel, strides, dilations, before, after = (list(values) for values in zip(*axes, strict=True))
    attributes = {"strides": strides}
    if dilated:
        attributes["dilations"] = dilations
    mode = draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if mode == "pads":
        attributes["pads"] = [*before, *after]
    else:
        assume(mode == "VALID" or all(d == 1 for d in dilations))
        assume(mode == "VALID" or all(k >= s for k, s in zip(kernel, strides, strict=True)))  # else onnxruntime fails
        attributes["auto_pad"] = mode
    return size, kernel, attributes


def both(node, x, constants, *, opset=17):
    """Return onnxruntime's output and the layer read from the node."""
    feeds = {"x": x}
    proto = single.model([node], {"x": x.shape}, constants, node.output[0], opset=opset)
    y = single.run(proto, feeds)
    return y, single.read_node(node, {"x": x.shape}, constants, {"y": y.shape}, opset=opset)[0]


def check_map(layer, x, y, bias=0):
    """Compare apply with ``y`` and test ⟨apply(x), s⟩ = ⟨x, adjoint(s)⟩."""
    linear = linear_map(layer, ALL, [x.shape], y.shape, WeightParts(np.float64))
    mine = linear.apply([x.astype(np.float64)])
    np.testing.assert_allclose(mine + bias, y, atol=2e-5, rtol=2e-5)
    s = np.random.default_rng(1).normal(size=y.shape)
    (back,) = linear.adjoint(s)
    assert back.shape == x.shape
    assert np.vdot(mine, s) == pytest.approx(np.vdot(x, back), rel=1e-9, abs=1e-9)
    (turned,) = linear.adjoint(np.asfortranarray(s))  # the same numbers in another order in memory
    np.testing.assert_allclose(turned, back, rtol=1e-12, atol=1e-12)
    (single_back,) = linear_map(layer, ALL, [x.shape], y.shape, WeightParts(np.float32)).adjoint(s.astype(np.float32))
    assert single_back.dtype == np.float32
    np.testing.assert_allclose(single_back, back, rtol=1e-4, atol=1e-4)


@settings(max_examples=80)
@given(
    window=windows(),
    groups=st.sampled_from([1, 1, 2, 4]),
    ins=st.integers(1, 3),
    outs=st.sampled_from([1, 2, 3, 20]),
    batch=st.integers(1, 2),
    cache=st.sampled_from([1, 300, 3000, 1 << 20]),
    seed=st.integers(0, 99),
)
def test_convolution(window, groups, ins, outs, batch, cache, seed):
    """Whatever is gathered or added, many output channels beside few inputs included, and however small the blocks."""
    size, kernel, attributes = window
    random = np.random.default_rng(seed)
    x = random.normal(size=(batch, ins * groups, *size)).astype("float32")
    w = random.normal(size=(outs * groups, ins, *kernel)).astype("float32")
    b = random.normal(size=outs * groups).astype("float32")
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=groups, **attributes)
    y, layer = both(node, x, {"w": w, "b": b})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("heatcli.kernels.convolution.CACHE", cache)
        check_map(layer, x, y, layer.bias)


@pytest.mark.parametrize("cache", [1, 1500, 1 << 20])
@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "kernel", "stride"),
    [(6, 4, 2, 3, 1), (3, 64, 1, 7, 2), (8, 8, 8, 3, 2), (8, 8, 8, 5, 1), (8, 16, 8, 3, 1), (5, 7, 1, 1, 2)],
)
def test_convolutions_of_known_networks(channels, outputs, groups, kernel, stride, cache, monkeypatch):
    """First layers with few channels, depthwise ones with and without stride, and shortcuts that skip pixels."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2, channels, 13, 12)).astype("float32")
    w = random.normal(size=(outputs, channels // groups, kernel, kernel)).astype("float32")
    pads = [kernel // 2] * 4
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, pads=pads, strides=[stride] * 2)
    monkeypatch.setattr("heatcli.kernels.convolution.CACHE", cache)
    y, layer = both(node, x, {"w": w})
    check_map(layer, x, y)


@settings(max_examples=40)
@given(window=windows(), groups=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_transposed_convolution(window, groups, seed):
    size, kernel, attributes = window
    assume("auto_pad" not in attributes)
    random = np.random.default_rng(seed)
    x = random.normal(size=(1, 2 * groups, *size)).astype("float32")
    w = random.normal(size=(2 * groups, 3, *kernel)).astype("float32")
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=groups, **attributes)
    lengths = [
        (n - 1) * s + (k - 1) * d + 1 - attributes["pads"][a] - attributes["pads"][a + len(size)]
        for a, (n, k, s, d) in enumerate(zip(size, kernel, attributes["strides"], attributes["dilations"], strict=True))
    ]
    assume(min(lengths) >= 1)
    y, layer = both(node, x, {"w": w})
    check_map(layer, x, y)


@settings(max_examples=120)
@given(
    window=windows(),
    ceil=st.booleans(),
    include=st.booleans(),
    cache=st.sampled_from([1, 1 << 18]),
    seed=st.integers(0, 99),
)
def test_average_pool(window, ceil, include, cache, seed):
    size, kernel, attributes = window
    x = np.random.default_rng(seed).normal(size=(1, 2, *size)).astype("float32")
    node = helper.make_node(
        "AveragePool",
        ["x"],
        ["y"],
        kernel_shape=kernel,
        ceil_mode=int(ceil),
        count_include_pad=int(include),
        **attributes,
    )
    y, layer = both(node, x, {}, opset=19)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("heatcli.kernels.windows.CACHE", cache)
        check_map(layer, x, y)


def moved_one_by_one(x, r, window):
    """Give each window's relevance to its first largest element, window by window."""
    moved = np.zeros_like(x)
    for index in np.ndindex(r.shape):
        best = None
        for place in np.ndindex(*window.kernel):
            steps = zip(index[2:], window.strides, place, window.dilations, window.pads, strict=True)
            there = (*index[:2], *(o * s + p * d - pad for o, s, p, d, pad in steps))
            inside = all(0 <= i < n for i, n in zip(there, x.shape, strict=True))
            if inside and (best is None or x[there] > x[best]):
                best = there
        moved[best] += r[index]
    return moved


@settings(max_examples=80)
@given(
    window=windows(),
    ceil=st.booleans(),
    ties=st.booleans(),
    cache=st.sampled_from([1, 1 << 18]),
    seed=st.integers(0, 99),
)
def test_max_pool(window, ceil, ties, cache, seed):
    """The winner of a window gets everything, once, also where several elements are equal."""
    size, kernel, attributes = window
    random = np.random.default_rng(seed)
    x = random.normal(size=(1, 2, *size)).astype("float32")
    if ties:
        x = np.maximum(np.round(x), 0)
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=kernel, ceil_mode=int(ceil), **attributes)
    y, layer = both(node, x, {})
    assume(np.isfinite(y).all() and (y > -1e30).all())  # a window that lies in the padding alone
    r = random.random(y.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("heatcli.kernels.windows.CACHE", cache)
        moved = largest_of_windows(x.astype(np.float64), y.astype(np.float64), r, layer.window)
    np.testing.assert_allclose(moved, moved_one_by_one(x.astype(np.float64), r, layer.window), atol=1e-12)
    assert moved.sum() == pytest.approx(r.sum())
    assert np.vdot(moved, x) == pytest.approx(np.vdot(r, y), rel=1e-6, abs=1e-6)
    if not ties:
        assert np.count_nonzero(moved) == len(np.unique(y))
    spread = linear_map(layer, ALL, [x.shape], y.shape, WeightParts(np.float64))
    counts = spread.apply([np.ones(x.shape)])
    assert (counts >= 1).all()
    assert (counts <= np.prod(kernel)).all()


def test_first_of_equal_elements_wins():
    x = np.array([[[[1.0, 3.0], [3.0, 3.0]]]])
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    _, layer = both(node, x.astype("float32"), {})
    moved = largest_of_windows(x, np.array([[[[3.0]]]]), np.array([[[[7.0]]]]), layer.window)
    assert moved.tolist() == [[[[0, 7], [0, 0]]]]


@given(axes=st.sets(st.integers(0, 3), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_largest_of_axes(axes, seed):
    random = np.random.default_rng(seed)
    x = random.permutation(2 * 3 * 4 * 2).reshape(2, 3, 4, 2).astype(float)
    y = x.max(axis=tuple(axes), keepdims=True)
    r = random.random(y.shape)
    moved = largest_of_axes(x, r, tuple(sorted(axes)))
    np.testing.assert_array_equal(moved, np.where(x == y, r, 0))


@settings(max_examples=30)
@given(window=windows(), seed=st.integers(0, 99), signed=st.booleans())
def test_denominators_written_for_onnxruntime_equal_those_computed_here(window, seed, signed):
    size, kernel, attributes = window
    random = np.random.default_rng(seed)
    x = random.normal(size=(1, 4, *size)).astype("float32")
    w = random.normal(size=(6, 2, *kernel)).astype("float32")
    b = random.normal(size=6).astype("float32")
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=2, **attributes)
    y, layer = both(node, x, {"w": w, "b": b})
    terms = (
        ((InputPart.POSITIVE, POSITIVE), (InputPart.NEGATIVE, NEGATIVE))
        if signed
        else ((InputPart.ABOVE_LOW, POSITIVE), (InputPart.BELOW_HIGH, NEGATIVE))
    )
    bounds = (x - 1, x + 2)
    graph = Graph()
    kernels = GraphKernels(graph, {"x": x.shape, "y": y.shape}, batched=True, parts=WeightParts(np.float32))
    symbol = kernels.activations("x", "float32")["x"]
    maps = [(a, kernels.map(layer, v)) for a, v in terms]
    assume(all(linear is not None for _, linear in maps))  # weights of both signs
    z = sum(linear.apply([a.of(symbol, bounds)]) for a, linear in maps)
    z = z + kernels.constant(np.maximum(layer.bias, 0))
    proto = single.model([], {"x": x.shape}, {}, z.name)
    proto.graph.node.extend(graph.nodes)
    proto.graph.initializer.extend(numpy_helper.from_array(*entry[::-1]) for entry in graph.constants.items())
    written = single.run(proto, {"x": x})
    computed = np.maximum(b, 0).reshape(1, -1, *(1,) * len(size)).astype(np.float64)
    for a, v in terms:
        computed = computed + linear_map(layer, v, [x.shape], y.shape, WeightParts(np.float64)).apply([a.of(x, bounds)])
    np.testing.assert_allclose(written, computed, atol=2e-4, rtol=2e-4)


def test_part_of_weights_that_is_zero_has_no_map():
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    layer = single.read_node(node, {"x": (1, 1, 3, 3)}, {"w": np.ones((1, 1, 2, 2), "float32")}, {"y": (1, 1, 2, 2)})[0]
    assert linear_map(layer, NEGATIVE, [(1, 1, 3, 3)], (1, 1, 2, 2), WeightParts(np.float32)) is None
