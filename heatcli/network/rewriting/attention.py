"""Scaled dot-product attention as the products and the softmax that it is made of.

Definitions: ONNX's Attention (operator set 23), onnxruntime's Attention and MultiHeadAttention (com.microsoft).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx

from heatcli.network.rewriting.fused import MICROSOFT, with_bias
from heatcli.network.rewriting.registry import Steps, Unwritable, rewrites

FORBIDDEN = -10000.0
"""What onnxruntime adds to a score that a mask forbids."""


@dataclass
class Heads:
    """Queries, keys or values (B, heads, length, width) by name."""

    name: str
    heads: int
    length: int
    width: int


def split(steps: Steps, x: str, shape: tuple[int, ...], heads: int) -> Heads:
    """Bring (B, length, heads · width) into heads, or take what is in heads already."""
    if len(shape) == 4:
        return Heads(x, shape[1], shape[2], shape[3])
    batch, length, width = shape
    apart = steps.reshape(x, (batch, length, heads, width // heads))
    return Heads(steps.transpose(apart, (0, 2, 1, 3)), heads, length, width // heads)


def attend(steps: Steps, q: Heads, k: Heads, v: Heads, scale: float, added: list[str], cap: float = 0.0) -> str:
    """Write softmax(scale q kᵀ + Σ added) v, (B, heads, length, width); ``cap`` bounds scores by its tanh."""
    scores = steps.times(steps.node("MatMul", q.name, steps.swap(k.name, 4)), scale)
    if cap:
        scores = steps.times(steps.node("Tanh", steps.times(scores, 1 / cap)), cap)
    for term in added:
        scores = steps.node("Add", scores, term)
    weights = steps.node("Softmax", scores, axis=-1 if steps.opset >= 13 else 3)
    return steps.node("MatMul", weights, v.name)


def join(steps: Steps, y: str, q: Heads, v: Heads, batch: int) -> str:
    """Bring heads side by side again: (B, length, heads · width)."""
    return steps.reshape(steps.transpose(y, (0, 2, 1, 3)), (batch, q.length, q.heads * v.width))


def repeated(steps: Steps, x: Heads, heads: int, batch: int) -> Heads:
    """Give every group of queries its own copy of keys or values."""
    if x.heads == heads:
        return x
    apart = steps.unsqueeze(x.name, [2])
    shape = (batch, x.heads, heads // x.heads, x.length, x.width)
    spread = steps.node("Expand", apart, steps.constant(shape, np.int64))
    return Heads(steps.reshape(spread, (batch, heads, x.length, x.width)), heads, x.length, x.width)


def causal(steps: Steps, q: Heads, k: Heads, forbidden: float, *, earlier: int = 0) -> str:
    """Add a constant that forbids every key behind the query, which stands behind so many ``earlier`` keys."""
    ahead = np.triu(np.ones((q.length, k.length), bool), 1 + earlier)
    return steps.constant(np.where(ahead, forbidden, 0), np.float32)


def by_truth(steps: Steps, mask: str, forbidden: float) -> str:
    """Write what is added for a mask that is true where a key may be seen."""
    value = steps.value(mask)
    if value is not None and value.dtype == bool:
        return steps.constant(np.where(value, 0, forbidden), np.float32)
    return mask


@rewrites("Attention")
def attention(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept(
        "is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"
    )
    if any(steps.operand(place) is not None for place in (4, 5, 6)):
        raise Unwritable("keys and values of earlier steps")
    shapes = [steps.shape(name) for name in node.input[:3]]
    heads = int(steps.attribute("q_num_heads", 0)), int(steps.attribute("kv_num_heads", 0))
    q = split(steps, node.input[0], shapes[0], heads[0])
    k, v = (
        repeated(steps, split(steps, name, shape, heads[1]), q.heads, shape[0])
        for name, shape in zip(node.input[1:3], shapes[1:], strict=True)
    )
    added = []
    mask = steps.operand(3)
    if mask is not None:
        value = steps.value(mask)
        if value is not None and value.shape[-1] < k.length:
            raise Unwritable("a mask for some of the keys only")
        added.append(by_truth(steps, mask, -np.inf))
    if steps.attribute("is_causal", 0):
        added.append(causal(steps, q, k, -np.inf))
    scale = steps.attribute("scale")
    scale = 1 / math.sqrt(q.width) if scale is None else float(scale)
    y = attend(steps, q, k, v, scale, added, float(steps.attribute("softcap", 0.0)))
    return y if len(shapes[0]) == 4 else join(steps, y, q, v, shapes[0][0])


@rewrites("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(node: onnx.NodeProto, steps: Steps) -> str:
    steps.accept("mask_filter_value", "num_heads", "scale", "unidirectional")
    query, key, value, bias, padding, added = (steps.operand(place) for place in range(6))
    if any(steps.operand(place) is not None for place in range(6, len(node.input))):
        raise Unwritable("keys and values of earlier steps")
    assert query is not None
    heads, shape = int(steps.attribute("num_heads")), steps.shape(query)
    if key is None or value is None:
        raise Unwritable("queries, keys and values packed in one tensor")
    names = [query, key, value]
    if bias is not None:
        whole = steps.certain(bias, "its bias")
        wide = whole.size - 2 * shape[-1]
        parts = np.split(whole, [shape[-1], 2 * shape[-1]])
        assert parts[2].size == wide
        for place, part in enumerate(parts):
            if len(steps.shape(names[place])) != 3:
                raise Unwritable("a bias of keys that are in heads already")
            names[place] = steps.node("Add", names[place], steps.constant(part))
    q, k, v = (
        split(steps, name, steps.shape(given), heads) for name, given in zip(names, (query, key, value), strict=True)
    )
    return _of_microsoft(steps, q, k, v, padding, added, shape[0])


@rewrites("Attention", domain=MICROSOFT)
def attention_with_weights(node: onnx.NodeProto, steps: Steps) -> str:
    """Write the projections of queries, keys and values too, each with its part of the weights."""
    steps.accept(
        "do_rotary", "mask_filter_value", "num_heads", "qkv_hidden_sizes", "rotary_embedding_dim", "scale",
        "unidirectional", "past_present_share_buffer",
    )  # fmt: skip
    if steps.attribute("do_rotary", 0) or any(steps.operand(place) is not None for place in (4, 6)):
        raise Unwritable("rotary embeddings, or keys and values of earlier steps")
    x = node.input[0]
    weights = steps.certain(node.input[1], "its weight matrix")
    bias = steps.value(steps.operand(2))
    batch, length, _ = steps.shape(x)
    sizes = steps.attribute("qkv_hidden_sizes") or [weights.shape[1] // 3] * 3
    heads, parts = int(steps.attribute("num_heads")), []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        part = steps.node("MatMul", x, steps.constant(weights[:, end - size : end]))
        part = with_bias(steps, part, None if bias is None else steps.constant(bias[end - size : end]))
        parts.append(split(steps, part, (batch, length, int(size)), heads))
    return _of_microsoft(steps, parts[0], parts[1], parts[2], steps.operand(3), steps.operand(5), batch)


def _of_microsoft(
    steps: Steps, q: Heads, k: Heads, v: Heads, padding: str | None, added: str | None, batch: int
) -> str:
    """Write attention with the masks of onnxruntime's operators."""
    scale = float(steps.attribute("scale", 0.0) or 1 / math.sqrt(q.width))
    forbidden = float(steps.attribute("mask_filter_value", FORBIDDEN))
    terms = [] if added is None else [added]
    if padding is not None:
        seen = steps.certain(padding, "its mask")
        if seen.shape == (batch, k.length):
            seen = seen[:, None, None, :]
        elif seen.shape == (batch, q.length, k.length):
            seen = seen[:, None]
        else:
            raise Unwritable(f"a mask of shape {seen.shape}")
        terms.append(steps.constant(np.where(seen > 0, 0, forbidden), np.float32))
    if steps.attribute("unidirectional", 0):
        terms.append(causal(steps, q, k, forbidden, earlier=k.length - q.length))
    return join(steps, attend(steps, q, k, v, scale, terms), q, v, batch)
