"""A whole vision transformer against its twin: NumPy in float64, every layer a dense matrix, the walk written out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import helper

import heatcli
from tests import dense, single

Array = np.ndarray
SIDE, PATCH, WIDTH, HEADS, INNER, CLASSES = 8, 4, 6, 2, 10, 4
PLACES = (SIDE // PATCH) ** 2
TOKENS, DEPTH = PLACES + 1, WIDTH // HEADS
LOW, HIGH = -1.0, 2.0
GEOMETRY = dense.Geometry((SIDE, SIDE), (PATCH, PATCH), (PATCH, PATCH), (1, 1), (0, 0, 0, 0))


@cache
def weights() -> dict[str, Array]:
    """Return all constants by name, in float32."""
    random = np.random.default_rng(5)
    shapes = {
        "patch/w": (WIDTH, 3, PATCH, PATCH), "patch/b": (WIDTH,), "class": (1, 1, WIDTH), "places": (1, TOKENS, WIDTH),
        "norm1/scale": (WIDTH,), "norm1/shift": (WIDTH,), "qkv/w": (WIDTH, 3 * WIDTH), "qkv/b": (3 * WIDTH,),
        "join/w": (WIDTH, WIDTH), "join/b": (WIDTH,), "norm2/scale": (WIDTH,), "norm2/shift": (WIDTH,),
        "wide/w": (WIDTH, INNER), "wide/b": (INNER,), "narrow/w": (INNER, WIDTH), "narrow/b": (WIDTH,),
        "norm3/scale": (WIDTH,), "norm3/shift": (WIDTH,), "head/w": (WIDTH, CLASSES), "head/b": (CLASSES,),
    }  # fmt: skip

    def drawn(name: str, shape: tuple[int, ...]) -> Array:
        if name.endswith("/w"):
            return random.normal(size=shape) / math.sqrt(math.prod(shape[1:] if "patch" in name else shape[:1]))
        return random.uniform(0.5, 1.5, shape) if name.endswith("/scale") else random.normal(size=shape) * 0.3

    return {name: drawn(name, shape).astype(np.float32) for name, shape in shapes.items()}


def model() -> onnx.ModelProto:
    """Return the transformer: a class token, learned places, one block, a head over the class token."""
    node = helper.make_node

    def affine(name: str, x: str) -> list[onnx.NodeProto]:
        return [node("MatMul", [x, f"{name}/w"], [f"{name}/m"]), node("Add", [f"{name}/m", f"{name}/b"], [name])]

    def norm(name: str, x: str) -> onnx.NodeProto:
        return node("LayerNormalization", [x, f"{name}/scale", f"{name}/shift"], [name])

    nodes = [
        node("Conv", ["x", "patch/w", "patch/b"], ["patches"], strides=[PATCH, PATCH]),
        node("Reshape", ["patches", "rows"], ["row"]),
        node("Transpose", ["row"], ["turned"], perm=[0, 2, 1]),
        node("Concat", ["class", "turned"], ["joined"], axis=1),
        node("Add", ["joined", "places"], ["tokens"]),
        norm("norm1", "tokens"),
        *affine("qkv", "norm1"),
        node("Reshape", ["qkv", "split"], ["parts"]),
        node("Transpose", ["parts"], ["apart"], perm=[2, 0, 3, 1, 4]),
        *(node("Gather", ["apart", f"at{part}"], [part], axis=0) for part in "qkv"),
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "kt"], ["products"]),
        node("Mul", ["products", "root"], ["scores"]),
        node("Softmax", ["scores"], ["a"], axis=-1),
        node("MatMul", ["a", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "merge"], ["merged"]),
        *affine("join", "merged"),
        node("Add", ["tokens", "join"], ["first"]),
        norm("norm2", "first"),
        *affine("wide", "norm2"),
        node("Gelu", ["wide"], ["active"]),
        *affine("narrow", "active"),
        node("Add", ["first", "narrow"], ["second"]),
        norm("norm3", "second"),
        node("Gather", ["norm3", "atq"], ["taken"], axis=1),
        node("Gemm", ["taken", "head/w", "head/b"], ["y"]),
    ]
    constants = {
        **weights(),
        "rows": np.array([0, WIDTH, -1]),
        "split": np.array([0, TOKENS, 3, HEADS, DEPTH]),
        "merge": np.array([0, TOKENS, WIDTH]),
        "root": np.array(DEPTH**-0.5, np.float32),
        **{f"at{part}": np.array(place) for place, part in enumerate("qkv")},
    }
    return single.model(nodes, {"x": (1, 3, SIDE, SIDE)}, constants, "y", opset=20)


@dataclass
class Twin:
    """The same in float64; tokens are rows (T, W), laid end to end where a matrix takes them."""

    x: Array
    rule: str
    booked: dict[str, float] = field(default_factory=lambda: {"biases": 0.0, "constants": 0.0, "lost": 0.0})

    def __post_init__(self) -> None:
        self.w = {name: value.astype(np.float64) for name, value in weights().items()}
        self.forward()

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return y * self.w[f"{name}/scale"] + self.w[f"{name}/shift"]

    def forward(self) -> None:
        w = self.w
        self.embedding = dense.convolution(w["patch/w"], 1, GEOMETRY)
        patches = (self.x.reshape(-1) @ self.embedding).reshape(WIDTH, PLACES).T + w["patch/b"]
        self.joined = np.concatenate([w["class"][0], patches])
        self.tokens = self.joined + w["places"][0]
        self.norm1 = self.norm("norm1", self.tokens)
        q, k, v = np.split(self.norm1 @ w["qkv/w"] + w["qkv/b"], 3, axis=1)
        self.v = v
        self.a = np.zeros((HEADS, TOKENS, TOKENS))
        for head in range(HEADS):
            columns = slice(head * DEPTH, (head + 1) * DEPTH)
            scores = np.exp(q[:, columns] @ k[:, columns].T / math.sqrt(DEPTH))
            self.a[head] = scores / scores.sum(1, keepdims=True)
        self.mixing = np.zeros((TOKENS, WIDTH, TOKENS, WIDTH))  # from (s, i) to (t, i)
        for i in range(WIDTH):
            self.mixing[:, i, :, i] = self.a[i // DEPTH].T
        self.mixing = self.mixing.reshape(TOKENS * WIDTH, -1)
        self.mixed = (v.reshape(-1) @ self.mixing).reshape(TOKENS, WIDTH)
        self.join = self.mixed @ w["join/w"] + w["join/b"]
        self.first = self.tokens + self.join
        self.norm2 = self.norm("norm2", self.first)
        wide = self.norm2 @ w["wide/w"] + w["wide/b"]
        self.active = wide * np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))))(wide)
        self.narrow = self.active @ w["narrow/w"] + w["narrow/b"]
        self.second = self.first + self.narrow
        self.norm3 = self.norm("norm3", self.second)
        self.logits = self.norm3[0] @ w["head/w"] + w["head/b"]

    def share(self, parts: Array, c: Array, r: Array, epsilon: float = 0.0) -> Array:
        """Return Σ_j p_ij / z_j r_j with z_j = Σ_i p_ij + c_j, held away from zero by ε; book what does not arrive."""
        z = parts.sum(0) + c
        held = z + epsilon * np.where(z >= 0, 1, -1)
        s = np.divide(r, held, out=np.zeros_like(r), where=held != 0)
        self.booked["biases"] += s @ c
        self.booked["lost"] += r.sum() - s @ z
        return parts @ s

    def linear(self, x: Array, w: Array, b: Array, r: Array, rule: str | None = None) -> Array:
        """Send ``r`` (J,) through x_j = Σ_i x_i w_ij + b_j, with w (I, J)."""
        rule, signed = rule or self.rule, x[:, None] * w
        if rule.startswith("epsilon"):
            return self.share(signed, b, r, float(rule[8:]))
        boxed = signed - LOW * np.maximum(w, 0) - HIGH * np.minimum(w, 0)
        return self.share(boxed if rule == "zB" else np.maximum(signed, 0), np.maximum(b, 0), r)

    def rows(self, x: Array, name: str, r: Array, columns: slice = slice(None)) -> Array:
        """Send ``r`` (T, O) through one matrix for every token."""
        w, b = self.w[f"{name}/w"][:, columns], self.w[f"{name}/b"][columns]
        matrix = np.kron(np.eye(len(x)), w)
        return self.linear(x.reshape(-1), matrix, np.tile(b, len(x)), r.reshape(-1)).reshape(x.shape)

    def average(self, x: Array, w: Array, r: Array) -> Array:
        """Send ``r`` through x w by the ε rule, or in proportion to positive parts, else to negative."""
        if self.rule != "z+":
            return self.linear(x, w, np.zeros(w.shape[1]), r)
        up, down = np.maximum(x[:, None] * w, 0), np.minimum(x[:, None] * w, 0)
        return self.share(np.where(up.sum(0) > 0, up, down), np.zeros(w.shape[1]), r)

    def summed(self, a: Array, c: Array, r: Array) -> tuple[Array, Array]:
        """Send ``r`` through a + c."""
        x, w = np.concatenate([a.reshape(-1), c.reshape(-1)]), np.concatenate([np.eye(a.size)] * 2)
        found = self.average(x, w, r.reshape(-1))
        return found[: a.size].reshape(a.shape), found[a.size :].reshape(a.shape)

    def backward(self, target: int, first: str) -> Array:
        """Return the relevance of the picture for ``target``, with the rule ``first`` where it comes in."""
        w = self.w
        r = np.zeros((TOKENS, WIDTH))
        start = np.eye(CLASSES)[target] * self.logits[target]
        r[0] = self.linear(self.norm3[0], w["head/w"], w["head/b"], start)  # and through the normalisation unchanged
        through, branch = self.summed(self.first, self.narrow, r)
        branch = self.rows(self.norm2, "wide", self.rows(self.active, "narrow", branch))
        through, branch = self.summed(self.tokens, self.join, through + branch)
        branch = self.rows(self.mixed, "join", branch).reshape(-1)
        values = self.average(self.v.reshape(-1), self.mixing, branch)
        branch = self.rows(self.norm1, "qkv", values.reshape(TOKENS, WIDTH), slice(2 * WIDTH, None))
        places = np.broadcast_to(w["places"][0], (TOKENS, WIDTH))
        joined, constant = self.summed(self.joined, places, through + branch)
        self.booked["constants"] += constant.sum() + joined[0].sum()
        bias = np.repeat(w["patch/b"], PLACES)
        r = self.linear(self.x.reshape(-1), self.embedding, bias, joined[1:].T.reshape(-1), first)
        return r.reshape(self.x.shape)


SETTINGS = {
    "deep Taylor": ({}, "z+", "zB"),
    "ε": ({"method": "lrp-epsilon", "rules": ("*=epsilon:0.1",)}, "epsilon:0.1", "epsilon:0.1"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_map_and_account(name, tmp_path):
    settings, rule, first = SETTINGS[name]
    onnx.save(model(), tmp_path / "transformer.onnx")
    x = np.random.default_rng(2).uniform(LOW, HIGH, (3, SIDE, SIDE)).astype(np.float32)
    twin = Twin(x.astype(np.float64), rule)
    target = int(twin.logits.argmax())
    assert twin.logits[target] > 0.1
    expected = twin.backward(target, first)

    explainer = heatcli.load(tmp_path / "transformer.onnx", precision="float64", range=(LOW, HIGH))
    found = explainer.explain(x[None], target=target, **settings)

    assert found.score == pytest.approx(twin.logits[target], rel=1e-6)
    np.testing.assert_allclose(found.relevance, expected, rtol=0, atol=1e-6 * found.score)
    for part, value in twin.booked.items():
        assert getattr(found.ledger, part) == pytest.approx(value, abs=1e-6 * found.score), part
    assert found.ledger.constants > 0.01 * found.score
