"""Vision transformers in small, with the habits in which those in use differ.

How queries, keys and values are made and where they are scaled, which tokens stand beside the picture's, where
positions come in, what is done to attention weights, what stands for the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.peers.blocks import (
    CLASSES,
    Mean,
    Patches,
    Positions,
    Residual,
    Scale,
    Take,
    Tokens,
    Turn,
    block,
    drawn,
    free,
    perceptron,
)
from tests.peers.classifier import Catalogue, Classifier

transformers = Catalogue()


# attention ------------------------------------------------------------------------------------------------------------


def fused_indexed(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    n, t, c = qkv.shape
    qkv = qkv.reshape(n, t, 3, heads, c // (3 * heads)).permute(2, 0, 3, 1, 4)
    return qkv[0], qkv[1], qkv[2]


def fused_unbound(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    n, t, c = qkv.shape
    return qkv.reshape(n, t, 3, heads, c // (3 * heads)).permute(2, 0, 3, 1, 4).unbind(0)


def fused_chunked(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    return tuple(x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in qkv.chunk(3, -1))


def fused_split_inside_heads(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    n, t, c = qkv.shape
    return torch.split(qkv.view(n, t, heads, c // heads).transpose(1, 2), c // (3 * heads), -1)


Parted = Callable[[Tensor, int], tuple[Tensor, ...]]
Mixed = Callable[..., Tensor]
Scores = Callable[[Tensor, Tensor], Tensor]


def mixed(scores: Scores) -> Mixed:
    """Return attention that is written out, with its ``scores`` of queries and turned keys (…, D, T)."""

    def mix(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        found = scores(q, k.transpose(-2, -1))
        return (found if bias is None else found + bias).softmax(-1) @ v

    return mix


def scaled(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k) * q.shape[-1] ** -0.5


written = mixed(scaled)
divided = mixed(lambda q, k: torch.matmul(q, k) / q.shape[-1] ** 0.5)
queries_scaled = mixed(lambda q, k: (q * q.shape[-1] ** -0.5) @ k)
keys_scaled = mixed(lambda q, k: q @ (k * q.shape[-1] ** -0.5))
both_scaled = mixed(lambda q, k: (q * q.shape[-1] ** -0.25) @ (k * q.shape[-1] ** -0.25))


def by_einsum(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    scores = torch.einsum("nhqd,nhkd->nhqk", q, k) * q.shape[-1] ** -0.5
    a = functional.softmax(scores if bias is None else scores + bias, -1)
    return torch.einsum("nhqk,nhkd->nqhd", a, v).transpose(1, 2)


def built_in(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, bias)


class Attention(nn.Module):
    """Attention among tokens (N, T, C) whose queries, keys and values are made by one layer."""

    def __init__(
        self, width: int, heads: int, parted: Parted = fused_unbound, mixed: Mixed = written, *, biased: bool = True
    ) -> None:
        super().__init__()
        self.heads, self.parted, self.mixed = heads, parted, mixed
        self.qkv, self.join = nn.Linear(width, 3 * width, bias=biased), nn.Linear(width, width)

    def bias(self) -> Tensor | None:
        """Return what is added to the scores."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parted(self.qkv(x), self.heads)
        return self.join(self.mixed(q, k, v, self.bias()).transpose(1, 2).reshape(x.shape))


class SeparateAttention(nn.Module):
    """Attention of tokens (N, T, C) to others, or to themselves, with a layer each for queries, keys and values."""

    def __init__(self, width: int, heads: int, mixed: Mixed = written) -> None:
        super().__init__()
        self.heads, self.mixed = heads, mixed
        self.query, self.key, self.value, self.join = (nn.Linear(width, width) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.heads, x.shape[-1] // self.heads).permute(0, 2, 1, 3)

    def forward(self, x: Tensor, others: Tensor | None = None) -> Tensor:
        others = x if others is None else others
        q, k, v = self.split(self.query(x)), self.split(self.key(others)), self.split(self.value(others))
        return self.join(self.mixed(q, k, v).permute(0, 2, 1, 3).contiguous().view(x.shape[0], -1, x.shape[-1]))


# a class token and learned positions ---------------------------------------------------------------------------------


def plain(attentions: Callable[[], nn.Module], seed: int, activation: nn.Module | None = None) -> Classifier:
    """Return a vision transformer of two blocks with a class token and learned positions."""
    module = nn.Sequential(
        Patches(12, 4),
        Tokens(12, 1, 16),
        *(block(12, attentions(), activation) for _ in range(2)),
        nn.LayerNorm(12),
        Take(),
        nn.Linear(12, CLASSES),
    )
    return drawn(module, seed)


FORMS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "vit": (lambda: Attention(12, 3, fused_indexed, written), nn.GELU),
    "vit_unbound_queries_scaled": (lambda: Attention(12, 2, fused_unbound, queries_scaled), lambda: nn.GELU("tanh")),
    "vit_chunked_keys_scaled": (lambda: Attention(12, 3, fused_chunked, keys_scaled), nn.SiLU),
    "vit_split_both_scaled": (lambda: Attention(12, 3, fused_split_inside_heads, both_scaled), nn.GELU),
    "vit_built_in": (lambda: Attention(12, 3, fused_unbound, built_in, biased=False), nn.GELU),
    "vit_by_einsum": (lambda: Attention(12, 3, fused_unbound, by_einsum), nn.GELU),
    "vit_separate_divided": (lambda: SeparateAttention(12, 2, divided), nn.Hardswish),
    "vit_separate_built_in": (lambda: SeparateAttention(12, 1, built_in), nn.ReLU),
}
for place, (form, (attentions, activation)) in enumerate(FORMS.items()):
    transformers.builders[form] = lambda a=attentions, f=activation, seed=place: plain(a, seed, f())


@transformers
def vit_of_operator_set_13() -> Classifier:
    """Its normalisations are written out."""
    return replace(plain(lambda: Attention(12, 3), 7, nn.GELU()), opset=13)


class TwoHeads(nn.Module):
    """The mean of two class scores, of the first token and of the second."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head, self.distilled = nn.Linear(width, CLASSES), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return (self.head(x[:, 0]) + self.distilled(x[:, 1])) / 2


@transformers
def deit_distilled() -> Classifier:
    blocks = (block(12, Attention(12, 3)) for _ in range(2))
    return drawn(nn.Sequential(Patches(12, 4), Tokens(12, 2, 16), *blocks, nn.LayerNorm(12), TwoHeads(12)), 122)


# positions among tokens -----------------------------------------------------------------------------------------------


def differences(side: int) -> Tensor:
    """Return for every two places of a square how they lie to each other, as a number from 0 to (2·side − 1)² − 1."""
    places = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
    apart = places[:, :, None] - places[:, None, :] + side - 1
    return apart[0] * (2 * side - 1) + apart[1]


class RelativeAttention(Attention):
    """Attention with a learned score for how two places lie to each other, with a class token if ``tokens`` is 1."""

    def __init__(self, width: int, heads: int, side: int, tokens: int = 0, mixed: Mixed = queries_scaled) -> None:
        super().__init__(width, heads, fused_unbound, mixed, biased=tokens == 0)
        count = (2 * side - 1) ** 2
        index = torch.full((side**2 + tokens, side**2 + tokens), count)
        index[tokens:, tokens:] = differences(side)
        if tokens:
            index[0, :], index[:, 0], index[0, 0] = count, count + 1, count + 2
        self.table = free(count + 3 * tokens, heads)
        self.register_buffer("index", index)

    def bias(self) -> Tensor:
        length = self.index.shape[0]
        return self.table[self.index.view(-1)].view(length, length, -1).permute(2, 0, 1).contiguous().unsqueeze(0)


class BiasedRelativeAttention(RelativeAttention):
    """Queries and values have biases, keys have none."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__(width, heads, side, tokens=1)
        self.q_bias, self.v_bias = free(width), free(width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        q, k, v = self.parted(functional.linear(x, self.qkv.weight, bias), self.heads)
        return self.join(self.mixed(q, k, v, self.bias()).transpose(1, 2).reshape(x.shape))


@transformers
def beit() -> Classifier:
    def layers():
        for _ in range(2):
            yield Residual(nn.LayerNorm(12), BiasedRelativeAttention(12, 3, 4), Scale(12))
            yield Residual(nn.LayerNorm(12), perceptron(12, 24), Scale(12))

    module = nn.Sequential(Patches(12, 4), Tokens(12, 1), *layers(), Mean(1), nn.LayerNorm(12), nn.Linear(12, CLASSES))
    return drawn(module, 106)


def cosine(q: Tensor, k: Tensor) -> Tensor:
    return functional.normalize(q, dim=-1) @ functional.normalize(k, dim=-2) * 5.0


class Windows(nn.Module):
    """Attention inside windows of a picture (N, H, W, C) that was rolled by ``shift``."""

    def __init__(self, width: int, heads: int, side: int, window: int, shift: int, scores: Scores = scaled) -> None:
        super().__init__()
        self.side, self.window, self.shift, self.heads, self.scores = side, window, shift, heads, scores
        self.attention = RelativeAttention(width, heads, window, mixed=self.masked)
        if shift:
            regions = torch.zeros(1, side, side, 1)
            parts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
            for place, (rows, columns) in enumerate((rows, columns) for rows in parts for columns in parts):
                regions[:, rows, columns] = place
            of_window = self.cut(regions).squeeze(-1)
            apart = of_window[:, None, :] != of_window[:, :, None]
            self.register_buffer("mask", torch.zeros(apart.shape).masked_fill(apart, -100.0))

    def masked(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        scores = self.scores(q, k.transpose(-2, -1)) + bias
        if self.shift:
            windows, places = self.mask.shape[0], self.mask.shape[1]
            scores = scores.view(-1, windows, self.heads, places, places) + self.mask[None, :, None]
            scores = scores.view(-1, self.heads, places, places)
        return scores.softmax(-1) @ v

    def cut(self, x: Tensor) -> Tensor:
        """Return the windows one after the other (N · windows, places, C)."""
        n, h, w, c = x.shape
        x = x.view(n, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, self.window**2, c)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = self.attention(self.cut(x)).view(n, h // self.window, w // self.window, self.window, self.window, c)
        x = x.permute(0, 1, 3, 2, 4, 5).contiguous().view(n, h, w, c)
        return torch.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x


class Fewer(nn.Module):
    """Four neighbouring tokens become one with twice the channels (N, H, W, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduce(self.norm(torch.cat(parts, -1)))


class Swin(nn.Module):
    """Windows, shifted windows, and one window at half the size; ``blocks`` makes one of (width, attention)."""

    def __init__(self, blocks: Callable[[int, nn.Module], nn.Module], scores: Scores) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.stages = nn.Sequential(
            *(blocks(8, Windows(8, 2, 4, 2, shift, scores)) for shift in (0, 1)),
            Fewer(8),
            blocks(16, Windows(16, 4, 2, 2, 0, scores)),
        )
        self.last, self.head = nn.LayerNorm(16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.norm(self.patches(x).permute(0, 2, 3, 1)))
        return self.head(functional.adaptive_avg_pool2d(self.last(x).permute(0, 3, 1, 2), 1).flatten(1))


@transformers
def swin() -> Classifier:
    return drawn(Swin(block, scaled), 152)


@transformers
def swin_v2() -> Classifier:
    """Normalisation behind each branch, and scores of directions alone."""

    def normalised_behind(width: int, attention: nn.Module) -> nn.Sequential:
        return nn.Sequential(
            Residual(attention, nn.LayerNorm(width)), Residual(perceptron(width, 2 * width), nn.LayerNorm(width))
        )

    return drawn(Swin(normalised_behind, cosine), 114)


class ChannelAttention(nn.Module):
    """Attention of channels to each other by how they agree over the tokens (N, T, C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.temperature = heads, free(heads, 1, 1)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.transpose(-2, -1) for part in fused_unbound(self.qkv(x), self.heads))
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        a = (q @ k.transpose(-2, -1) * self.temperature).softmax(-1)
        return self.join((a @ v).permute(0, 3, 1, 2).reshape(x.shape))


@transformers
def xcit() -> Classifier:
    blocks = (block(12, ChannelAttention(12, 3)) for _ in range(2))
    return drawn(nn.Sequential(Patches(12, 4), *blocks, nn.LayerNorm(12), Mean(), nn.Linear(12, CLASSES)), 66)


# fewer keys than queries ----------------------------------------------------------------------------------------------


class ReducedAttention(nn.Module):
    """Attention of all tokens (N, T, C) to those of a smaller picture."""

    def __init__(self, width: int, heads: int, side: int, ratio: int) -> None:
        super().__init__()
        self.side = side
        self.reduce, self.norm = nn.Conv2d(width, width, ratio, ratio), nn.LayerNorm(width)
        self.attention = SeparateAttention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        n, _, c = x.shape
        picture = x.permute(0, 2, 1).reshape(n, c, self.side, self.side)
        others = self.norm(self.reduce(picture).reshape(n, c, -1).permute(0, 2, 1))
        return self.attention(x, others)


class MixedPerceptron(nn.Module):
    """A perceptron that looks at neighbours by a depthwise convolution."""

    def __init__(self, width: int, inner: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.wide, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.near = nn.Conv2d(inner, inner, 3, 1, 1, groups=inner)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(x)
        n, _, c = x.shape
        picture = self.near(x.transpose(1, 2).view(n, c, self.side, self.side))
        return self.narrow(functional.gelu(picture.flatten(2).transpose(1, 2)))


@transformers
def segformer() -> Classifier:
    def layers():
        for _ in range(2):
            yield Residual(nn.LayerNorm(12), ReducedAttention(12, 2, 8, 2))
            yield Residual(nn.LayerNorm(12), MixedPerceptron(12, 24, 8))

    embedding = nn.Conv2d(3, 12, 3, 2, 1), nn.Flatten(2), Turn(0, 2, 1), nn.LayerNorm(12)
    return drawn(nn.Sequential(*embedding, *layers(), nn.LayerNorm(12), Mean(), nn.Linear(12, CLASSES)), 71)


# other tokens, other ends ---------------------------------------------------------------------------------------------


class SwiGLU(nn.Module):
    """silu(a) · b, both from one layer: two signals."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(width, 2 * inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.wide(x).chunk(2, -1)
        return self.narrow(functional.silu(a) * b)


class Registers(nn.Module):
    """Learned tokens between the class token and the others, which have their positions already."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.registers = free(1, count, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], self.registers.expand(x.shape[0], -1, -1), x[:, 1:]], 1)


class ClassAndMean(nn.Module):
    """The class token beside the mean of the patches."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, 0], x[:, 3:].mean(1)], 1)


@transformers
def dinov2_with_registers() -> Classifier:
    def layers():
        for perceptrons in (perceptron(12, 24), SwiGLU(12, 16)):
            yield Residual(nn.LayerNorm(12), Attention(12, 3, fused_unbound, built_in), Scale(12))
            yield Residual(nn.LayerNorm(12), perceptrons, Scale(12))

    embedding = Patches(12, 4), Tokens(12, 1, 16), Registers(12, 2)
    return drawn(nn.Sequential(*embedding, *layers(), nn.LayerNorm(12), ClassAndMean(), nn.Linear(24, CLASSES)), 24)


class QuickGELU(nn.Module):
    """x · sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


@transformers
def clip() -> Classifier:
    blocks = (block(12, SeparateAttention(12, 3), QuickGELU()) for _ in range(2))
    module = nn.Sequential(
        Patches(12, 4),
        Tokens(12, 1, 16),
        nn.LayerNorm(12),
        *blocks,
        Take(),
        nn.LayerNorm(12),
        nn.Linear(12, 10, bias=False),
        nn.Linear(10, CLASSES, bias=False),
    )
    return drawn(module, 25)


class PoolingHead(nn.Module):
    """A learned question to all tokens; its answer stands for the picture."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.question = free(1, 1, width)
        self.attention = SeparateAttention(width, heads)
        self.rest = Residual(nn.LayerNorm(width), perceptron(width, 2 * width, nn.GELU("tanh")))

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.attention(self.question.expand(x.shape[0], -1, -1), x))[:, 0]


@transformers
def siglip() -> Classifier:
    blocks = (block(12, SeparateAttention(12, 3, built_in), nn.GELU("tanh")) for _ in range(2))
    head = nn.LayerNorm(12), PoolingHead(12, 2), nn.Linear(12, CLASSES)
    return drawn(nn.Sequential(Patches(12, 4), Positions(16, 12), *blocks, *head), 26)


# weights that are computed on -----------------------------------------------------------------------------------------


class TalkingHeads(nn.Module):
    """Attention whose heads mix their scores, and then their weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.join = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.scores, self.weights = nn.Linear(heads, heads), nn.Linear(heads, heads)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = fused_unbound(self.qkv(x), self.heads)
        scores = self.scores((q @ k.transpose(-2, -1)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        a = self.weights(scores.softmax(-1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.join((a @ v).transpose(1, 2).reshape(x.shape))


class ClassAttention(nn.Module):
    """Attention of the first token alone to all of them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SeparateAttention(width, heads, queries_scaled)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.attention(x[:, :1], x), x[:, 1:]], 1)


@transformers
def cait() -> Classifier:
    def layers():
        for _ in range(2):
            yield Residual(nn.LayerNorm(12), TalkingHeads(12, 3), Scale(12))
            yield Residual(nn.LayerNorm(12), perceptron(12, 24), Scale(12))

    end = Tokens(12, 1), Residual(nn.LayerNorm(12), ClassAttention(12, 3), Scale(12)), nn.LayerNorm(12), Take()
    return drawn(nn.Sequential(Patches(12, 4), Positions(16, 12), *layers(), *end, nn.Linear(12, CLASSES)), 146)


class PositionalAttention(nn.Module):
    """Weights that are partly those of places, as far as a gate says, and add up to one again."""

    def __init__(self, width: int, heads: int, places: int) -> None:
        super().__init__()
        self.heads, self.gate, self.places = heads, free(heads), free(heads, places, places)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = fused_unbound(self.qkv(x), self.heads)
        of_content = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        gate = torch.sigmoid(self.gate).view(1, -1, 1, 1)
        a = (1.0 - gate) * of_content + gate * self.places.softmax(-1)
        a = a / a.sum(-1, keepdim=True)
        return self.join((a @ v).transpose(1, 2).reshape(x.shape))


@transformers
def convit() -> Classifier:
    blocks = (block(12, PositionalAttention(12, 3, 16)) for _ in range(2))
    return drawn(nn.Sequential(Patches(12, 4), *blocks, nn.LayerNorm(12), Mean(), nn.Linear(12, CLASSES)), 70)


# torch's own layers ---------------------------------------------------------------------------------------------------


class BuiltInAttention(nn.Module):
    """torch's own attention of tokens to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


@transformers
def torch_attention() -> Classifier:
    return plain(lambda: BuiltInAttention(12, 3), 30)


@transformers
def torch_encoder() -> Classifier:
    """One block with normalisation before each branch, one with normalisation behind each sum."""
    blocks = (
        nn.TransformerEncoderLayer(12, 3, 24, activation=functional.gelu, batch_first=True, norm_first=first)
        for first in (True, False)
    )
    return drawn(nn.Sequential(Patches(12, 4), Tokens(12, 1, 16), *blocks, Take(), nn.Linear(12, CLASSES)), 31)


# tokens that are pixels of windows ------------------------------------------------------------------------------------


class Unfolded(nn.Module):
    """A transformer over the pixels that lie at the same place of every 2×2 patch (N, C, H, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(block(width, Attention(width, heads), nn.SiLU()) for _ in range(2)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n * c * h // 2, 2, w // 2, 2).transpose(1, 2)
        x = x.reshape(n, c, h * w // 4, 4).transpose(1, 3).reshape(4 * n, h * w // 4, c)
        x = self.norm(self.blocks(x))
        x = x.contiguous().view(n, 4, h * w // 4, c).transpose(1, 3)
        x = x.reshape(n * c * h // 2, w // 2, 2, 2).transpose(1, 2)
        return x.reshape(n, c, h, w)


class MobileViTBlock(nn.Module):
    """Convolutions, a transformer, and both side by side through another convolution."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.local = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
            nn.Conv2d(channels, width, 1, bias=False),
        )
        self.whole = Unfolded(width, 2)
        self.back = nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.SiLU())
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(torch.cat([x, self.back(self.whole(self.local(x)))], 1))


@transformers
def mobilevit() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU()
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)
    return drawn(nn.Sequential(*stem, MobileViTBlock(8, 12), *head), 97)
