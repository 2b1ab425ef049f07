"""Every rule on every linear operation against its dense-matrix twin in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests import dense, single

RULES = (
    "z+", "zB", "w2", "flat", "epsilon:0.1", "epsilon:0.000001", "alpha-beta:2,1", "alpha-beta:1,0", "gamma:0.25",
    "gamma:0", "gradient",
)  # fmt: skip


@st.composite
def geometries(draw, *, rank=None):
    """A window of one to three spatial axes with strides, dilations and asymmetric pads that fits its tensor."""
    rank = rank or draw(st.integers(1, 3))
    most = {1: 9, 2: 6, 3: 4}[rank]
    axes = []
    for _ in range(rank):
        kernel = draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 2))
        extent = (kernel - 1) * dilation + 1
        before, after = (draw(st.integers(0, extent - 1)) for _ in range(2))
        size = draw(st.integers(max(1, extent - before - after), max(most, extent)))
        axes.append((size, kernel, draw(st.integers(1, 3)), dilation, before, after))
    size, kernel, strides, dilations, before, after = (tuple(values) for values in zip(*axes, strict=True))
    return dense.Geometry(size, kernel, strides, dilations, (*before, *after))


POSITIVE = ("z+", "zB", "w2", "flat", "alpha-beta:1,0", "proportional")
"""Rules that give no negative relevance where none arrives (Def. 2 of the paper)."""


def by_hand(rule, x, w, b, r, low, high):
    """Return R_i by the written-out formula: the twin's, or x_i w_ij in proportion among those of the larger sign."""
    if rule != "proportional":
        return dense.rule(rule, x, w, b, r, low, high)
    parts = x[:, None] * w
    up = np.maximum(parts, 0)
    chosen = np.where(up.sum(0) > 0, up, np.minimum(parts, 0))
    return dense.share(chosen, chosen.sum(0), r)


def check(net, rule, x, w, b, bounds, biases, seed):
    """Compare map and bookings with the twin; ``x`` (1, …) activations, ``w`` (I, J), ``b`` (J,)."""
    random = np.random.default_rng(seed)
    last = net.layers[-1].name
    r = random.normal(size=net.shapes[last]) * (random.random(net.shapes[last]) < 0.6)
    if seed % 2:
        r = np.abs(r)
    y = (x.reshape(-1) @ w + b).reshape(net.shapes[last])
    low, high = (np.broadcast_to(bound, x.shape).reshape(-1) for bound in bounds)
    found, booked = single.relevance(
        net,
        single.named(rule),
        {net.input.name: x, last: y},
        r,
        bounds={net.input.name: bounds},
        biases=biases,
    )
    expected = by_hand(rule, x.reshape(-1), w, b if biases else 0 * b, r.reshape(-1), low, high)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-9 * scale, rtol=1e-9)
    if rule != "gradient":
        assert booked.sum() + found.sum() == pytest.approx(r.sum(), abs=1e-8 * scale)
    if rule in POSITIVE and seed % 2:
        assert (found >= 0).all()
        assert (booked >= 0).all()


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=25)
@given(
    geometry=geometries(),
    groups=st.sampled_from([1, 1, 2, 3]),
    ins=st.integers(1, 2),
    outs=st.integers(1, 2),
    signed=st.booleans(),
    biases=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_convolution(rule, geometry, groups, ins, outs, signed, biases, seed):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(outs * groups, ins, *geometry.kernel))
    bias = random.normal(size=outs * groups)
    x = random.normal(size=(1, ins * groups, *geometry.size))
    x = x if signed else np.maximum(x, 0)
    node = helper.make_node(
        "Conv",
        ["x", "w", "b"],
        ["y"],
        strides=geometry.strides,
        dilations=geometry.dilations,
        pads=geometry.pads,
        group=groups,
    )
    shapes = {"x": x.shape, "y": (1, outs * groups, *geometry.output)}
    layers = single.read_node(node, {"x": x.shape}, {"w": weights, "b": bias}, shapes)
    net = single.network_of(layers, shapes, "x")
    matrix = dense.convolution(weights, groups, geometry)
    b = np.repeat(bias, int(np.prod(geometry.output)))
    check(net, rule, x, matrix, b, (x - random.random(x.shape), x + random.random(x.shape)), biases, seed)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=15)
@given(geometry=geometries(), groups=st.sampled_from([1, 2]), biases=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_transposed_convolution(rule, geometry, groups, biases, seed):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(2 * groups, 2, *geometry.kernel))  # from 2·groups channels up to 2·groups
    bias = random.normal(size=2 * groups)
    x = random.normal(size=(1, 2 * groups, *geometry.output))
    node = helper.make_node(
        "ConvTranspose",
        ["x", "w", "b"],
        ["y"],
        strides=geometry.strides,
        dilations=geometry.dilations,
        pads=geometry.pads,
        group=groups,
    )
    shapes = {"x": x.shape, "y": (1, 2 * groups, *geometry.size)}
    layers = single.read_node(node, {"x": x.shape}, {"w": weights, "b": bias}, shapes)
    net = single.network_of(layers, shapes, "x")
    matrix = dense.convolution(weights, groups, geometry).T
    b = np.repeat(bias, int(np.prod(geometry.size)))
    check(net, rule, x, matrix, b, (x - 1, x + 1), biases, seed)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", ["gemm", "gemm-transposed", "matmul", "matmul-3d"])
@settings(max_examples=10)
@given(signed=st.booleans(), biases=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_dense(rule, form, signed, biases, seed):
    random = np.random.default_rng(seed)
    ins, outs, rows = 5, 4, 3 if form == "matmul-3d" else 1
    w, b = random.normal(size=(ins, outs)), random.normal(size=outs)
    x = random.normal(size=(1, rows, ins) if rows > 1 else (1, ins))
    x = x if signed else np.maximum(x, 0)
    shapes = {"x": x.shape, "y": (*x.shape[:-1], outs)}
    if form == "gemm":
        node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0)
        constants = {"w": w * 2, "b": b / 2}
    elif form == "gemm-transposed":
        node, constants = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1), {"w": w.T, "b": b}
    else:
        node, constants, b = helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": w}, 0 * b
    net = single.network_of(single.read_node(node, {"x": x.shape}, constants, shapes), shapes, "x")
    matrix = np.kron(np.eye(rows), w)
    check(net, rule, x, matrix, np.tile(b, rows), (x - 1, x + 1), biases, seed)


FIXED = (*(rule for rule in RULES if rule != "zB"), "proportional")


@pytest.mark.parametrize("rule", FIXED)
@settings(max_examples=15)
@given(geometry=geometries(), include=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_average_pool(rule, geometry, include, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(1, 2, *geometry.size))
    if min(geometry.size[a] + geometry.pads[a] for a in range(len(geometry.size))) < 1:
        return
    node = helper.make_node(
        "AveragePool",
        ["x"],
        ["y"],
        kernel_shape=geometry.kernel,
        strides=geometry.strides,
        dilations=geometry.dilations,
        pads=geometry.pads,
        count_include_pad=int(include),
    )
    divisors = np.zeros(geometry.output)
    for out, _, _ in geometry.meetings():
        divisors[out] += 1
    divisors = np.full(geometry.output, float(np.prod(geometry.kernel))) if include else np.maximum(divisors, 1)
    shapes = {"x": x.shape, "y": (1, 2, *geometry.output)}
    net = single.network_of(single.read_node(node, {"x": x.shape}, {}, shapes, opset=19), shapes, "x")
    matrix = dense.window_average(2, geometry, divisors)
    # weights are kept in float32, as onnxruntime has them
    matrix = np.where(matrix > 0, np.float32(matrix).astype(float), 0)
    check(net, rule, x, matrix, np.zeros(matrix.shape[1]), (x - 1, x + 1), True, seed)


@pytest.mark.parametrize("rule", FIXED)
@pytest.mark.parametrize("operation", ["ReduceMean", "ReduceSum", "GlobalAveragePool"])
@settings(max_examples=8)
@given(axes=st.sampled_from([(1,), (2, 3), (1, 3)]), keep=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_reduction(rule, operation, axes, keep, seed):
    """A mean over whole axes is the matrix that has 1/n wherever an element is one of the n of an output."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(1, 2, 3, 4))
    if operation == "GlobalAveragePool":
        axes, keep = (2, 3), True
        node = helper.make_node(operation, ["x"], ["y"])
    else:
        node = helper.make_node(operation, ["x"], ["y"], axes=axes, keepdims=int(keep))
    weight = 1.0 if operation == "ReduceSum" else 1 / np.prod([x.shape[axis] for axis in axes])
    groups = np.indices(x.shape)
    groups[list(axes)] = 0
    _, owner = np.unique(groups.reshape(4, -1), axis=1, return_inverse=True)
    owner = owner.reshape(-1)  # NumPy 2.0 keeps the axes of what it was given
    matrix = (owner[:, None] == np.arange(owner.max() + 1)) * float(np.float32(weight))
    y = (x.reshape(-1) @ matrix).reshape(x.sum(axis=axes, keepdims=keep).shape)
    layers = single.read_node(node, {"x": x.shape}, {}, {"x": x.shape, "y": y.shape}, opset=11)
    net = single.network_of(layers, {"x": x.shape, "y": y.shape}, "x")
    check(net, rule, x, matrix, np.zeros(matrix.shape[1]), (x - 1, x + 1), True, seed)


@pytest.mark.parametrize("operation", ["MaxPool", "GlobalMaxPool"])
@pytest.mark.parametrize("rule", ["proportional", "winner"])
@settings(max_examples=25)
@given(geometry=geometries(), signed=st.booleans(), ties=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_max_pool(rule, operation, geometry, signed, ties, seed):
    """In proportion a window shares like its sum; else the first of its largest elements takes all."""
    random = np.random.default_rng(seed)
    if operation == "GlobalMaxPool":
        size, axes = geometry.size, len(geometry.size)
        geometry = dense.Geometry(size, size, (1,) * axes, (1,) * axes, (0,) * 2 * axes)
    x = random.integers(-2, 3, (1, 2, *geometry.size)) * 1.0 if ties else random.normal(size=(1, 2, *geometry.size))
    x = x if signed else np.abs(x)
    matrix = dense.window_average(2, geometry, None)
    if not matrix.any(0).all():  # a window that lies in the frame alone has no largest element
        return
    flat, r = x.reshape(-1), random.normal(size=matrix.shape[1])
    largest = np.where(matrix > 0, flat[:, None], -np.inf)
    if rule == "winner":
        expected = np.zeros(flat.shape)
        np.add.at(expected, largest.argmax(0), r)
    else:
        expected = by_hand(rule, flat, matrix, np.zeros(len(r)), r, flat, flat)
    window = {"strides": geometry.strides, "dilations": geometry.dilations, "pads": geometry.pads}
    attributes = {"kernel_shape": geometry.kernel, **window} if operation == "MaxPool" else {}
    shapes = {"x": x.shape, "y": (1, 2, *geometry.output)}
    node = helper.make_node(operation, ["x"], ["y"], **attributes)
    net = single.network_of(single.read_node(node, {"x": x.shape}, {}, shapes), shapes, "x")
    activations = {"x": x, "y": largest.max(0).reshape(shapes["y"])}
    found, _ = single.relevance(net, single.named(rule), activations, r.reshape(shapes["y"]))
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-9 * max(1, np.abs(expected).max()))


BY_DATA = tuple(rule for rule in RULES if rule != "zB")


def products(draw_from, seed):
    """Return weights a and values v of a product, the shapes of which broadcast."""
    shapes, signed = draw_from
    random = np.random.default_rng(seed)
    a, v = (random.normal(size=shape) for shape in shapes)
    return (a if signed else np.abs(a)), v


SHAPES = (
    ((1, 2, 3, 4), (1, 2, 4, 5)),
    ((1, 3, 4), (1, 4, 2)),
    ((1, 1, 3, 4), (1, 2, 4, 2)),
    ((1, 2, 3, 4), (1, 1, 4, 2)),
)


@pytest.mark.parametrize("rule", BY_DATA)
@pytest.mark.parametrize("values_first", [False, True])
@settings(max_examples=10)
@given(kind=st.tuples(st.sampled_from(SHAPES), st.booleans()), seed=st.integers(0, 2**32 - 1))
def test_values_of_attention(rule, values_first, kind, seed):
    """A V is the matrix of its own columns: what it makes of each element of V alone, A being held fixed."""
    a, v = products(kind, seed)
    operands = (np.swapaxes(v, -1, -2), np.swapaxes(a, -1, -2)) if values_first else (a, v)
    check_product(rule, operands, int(not values_first), seed)


def check_product(rule, operands, place, seed, *, halves=False):
    """Compare the relevance of one factor of a product with the twin; ``halves`` where nothing says which is which."""
    x, y = operands[place], operands[0] @ operands[1]
    columns = []
    for index in range(x.size):
        alone = (np.arange(x.size) == index).astype(float).reshape(x.shape)
        columns.append((alone @ operands[1] if place == 0 else operands[0] @ alone).reshape(-1))
    matrix = np.stack(columns)
    shapes = {"a": operands[0].shape, "b": operands[1].shape, "y": y.shape}
    (layer,) = single.read_node(helper.make_node("MatMul", ["a", "b"], ["y"]), shapes, {}, shapes)
    layer = layer if halves else replace(layer, values=place)
    net = single.network_of([layer], shapes, "ab"[place])
    random = np.random.default_rng(seed)
    r = np.abs(random.normal(size=y.shape)) if seed % 2 else random.normal(size=y.shape)
    expected = dense.rule(rule, x.reshape(-1), matrix, np.zeros(y.size), r.reshape(-1), x, x)
    if halves and rule != "gradient":
        expected = expected / 2
    activations = {"a": operands[0], "b": operands[1], "y": y}
    found, booked = single.relevance(net, single.named(rule), activations, r, closes=not halves and rule != "gradient")
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-9 * scale, rtol=1e-9)
    assert not booked[:2].any()
    assert rule not in POSITIVE or not seed % 2 or (found >= 0).all()


@pytest.mark.parametrize("rule", BY_DATA)
@pytest.mark.parametrize("place", [0, 1])
@settings(max_examples=8)
@given(kind=st.tuples(st.sampled_from(SHAPES), st.just(True)), seed=st.integers(0, 2**32 - 1))
def test_product_of_two_signals(rule, place, kind, seed):
    """Either factor gets half of the relevance by the rule, the other being held fixed; derivatives are whole."""
    check_product(rule, products(kind, seed), place, seed, halves=True)


@pytest.mark.parametrize("rule", FIXED)
@pytest.mark.parametrize("operation", ["Add", "Sub", "Sum", "Mean"])
@settings(max_examples=8)
@given(broadcast=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_sum(rule, operation, broadcast, seed):
    """A sum is the matrix of unit weights over the summands laid end to end; here both are parts of one tensor."""
    random = np.random.default_rng(seed)
    a, c = random.normal(size=(1, 3, 4)), random.normal(size=(1, 3, 1) if broadcast else (1, 3, 4))
    shapes = {"a": a.shape, "c": c.shape, "y": a.shape}
    layers = single.read_node(
        helper.make_node(operation, ["a", "c"], ["y"]), {"a": a.shape, "c": c.shape}, {}, {"y": a.shape}
    )
    scale = np.array([0.5, 0.5] if operation == "Mean" else [1, -1 if operation == "Sub" else 1])
    left = np.eye(12) * scale[0]
    right = np.kron(np.eye(3), np.ones((1, 4))) * scale[1] if broadcast else np.eye(12) * scale[1]
    matrix = np.concatenate([left, right])
    x = np.concatenate([a.reshape(-1), c.reshape(-1)])
    r = np.abs(random.normal(size=a.shape)) if seed % 2 else random.normal(size=a.shape)
    expected = by_hand(rule, x, matrix, np.zeros(12), r.reshape(-1), x, x)
    activations = {"a": a, "c": c, "y": (x @ matrix).reshape(a.shape)}
    for source, part in (("a", expected[:12]), ("c", expected[12:])):
        net = single.network_of(layers, shapes, source)
        found, _ = single.relevance(net, single.named(rule), activations, r, closes=False)
        np.testing.assert_allclose(found.reshape(-1), part, atol=1e-9)
        assert rule not in POSITIVE or not seed % 2 or (found >= 0).all()
