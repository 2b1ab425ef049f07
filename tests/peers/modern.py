"""Networks of today that are no transformers, in small: gates, normalisation over channels, branches, token mixers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.peers.blocks import CLASSES, Mean, Patches, Residual, Scale, Turn, drawn, free, perceptron
from tests.peers.classifier import Catalogue, Classifier
from tests.peers.detached import bypassed

modern = Catalogue()


def pooled(width: int) -> nn.Sequential:
    """Return the end of a convolutional classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


# blocks like those of transformers ------------------------------------------------------------------------------------


class PoolLess(nn.Module):
    """The mean of the neighbours less the pixel itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) - x


@modern
def poolformer() -> Classifier:
    def layers():
        for width in (8, 12):
            wide = nn.Conv2d(width, 2 * width, 1), nn.GELU(), nn.Conv2d(2 * width, width, 1)
            yield Residual(nn.GroupNorm(1, width), PoolLess(), Scale(width, 2))
            yield Residual(nn.GroupNorm(1, width), *wide, Scale(width, 2))
            if width == 8:
                yield nn.Conv2d(8, 12, 3, 2, 1)

    norm = Turn(0, 2, 3, 1), nn.LayerNorm(12), Turn(0, 3, 1, 2)
    return drawn(nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), *layers(), *norm, pooled(12)), 40)


class ResponseNorm(nn.Module):
    """Channels (N, H, W, C) by how large each is over the whole picture, compared with the others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = free(1, 1, 1, width), free(1, 1, 1, width)

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(p=2, dim=(1, 2), keepdim=True)
        return x + torch.addcmul(self.shift, self.scale, x * (size / (size.mean(-1, keepdim=True) + 1e-6)))


def convnext_block(width: int, *, response: bool) -> Residual:
    inner = nn.Linear(width, 3 * width), nn.GELU(), *([ResponseNorm(3 * width)] if response else [])
    near = nn.Conv2d(width, width, 5, 1, 2, groups=width)
    end = Turn(0, 3, 1, 2), *([] if response else [Scale(width, 2)])
    return Residual(near, Turn(0, 2, 3, 1), nn.LayerNorm(width), *inner, nn.Linear(3 * width, width), *end)


def convnext_like(seed: int, *, response: bool) -> Classifier:
    def norm(width: int):
        return Turn(0, 2, 3, 1), nn.LayerNorm(width), Turn(0, 3, 1, 2)

    stem = nn.Conv2d(3, 8, 4, 4), *norm(8), convnext_block(8, response=response)
    rest = *norm(8), nn.Conv2d(8, 12, 2, 2), convnext_block(12, response=response)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, CLASSES)
    return drawn(nn.Sequential(*stem, *rest, *head), seed, side=32)


@modern
def convnext() -> Classifier:
    return convnext_like(60, response=False)


@modern
def convnext_v2() -> Classifier:
    return convnext_like(91, response=True)


# gates ----------------------------------------------------------------------------------------------------------------


class Excitation(nn.Module):
    """Each channel times a gate computed from all channels' means."""

    def __init__(self, width: int, activation: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 4, 1), activation, nn.Conv2d(4, width, 1), gate
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def inverted(width: int, activation: type[nn.Module], gate: type[nn.Module]) -> Residual:
    """Return a block that is wide inside, where channels are gated."""
    wide, inner = nn.Conv2d(width, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width)
    near = nn.Conv2d(2 * width, 2 * width, 3, 1, 1, groups=2 * width, bias=False)
    return Residual(
        wide,
        inner,
        activation(),
        near,
        nn.BatchNorm2d(2 * width),
        activation(),
        Excitation(2 * width, activation(), gate()),
        nn.Conv2d(2 * width, width, 1, bias=False),
        nn.BatchNorm2d(width),
    )


@modern
def efficientnet() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU()
    return drawn(nn.Sequential(*stem, *(inverted(8, nn.SiLU, nn.Sigmoid) for _ in range(2)), pooled(8)), 43)


@modern
def mobilenetv3() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish()
    return drawn(nn.Sequential(*stem, *(inverted(8, nn.Hardswish, nn.Hardsigmoid) for _ in range(2)), pooled(8)), 44)


class SpatialGate(nn.Module):
    """u · (W v + b), where W mixes places: two signals."""

    def __init__(self, inner: int, places: int) -> None:
        super().__init__()
        self.norm, self.places = nn.LayerNorm(inner), nn.Linear(places, places)

    def forward(self, x: Tensor) -> Tensor:
        u, v = x.chunk(2, -1)
        return u * self.places(self.norm(v).transpose(1, 2)).transpose(1, 2)


@modern
def gmlp() -> Classifier:
    def layers():
        for _ in range(2):
            gate = SpatialGate(12, 16)
            yield Residual(nn.LayerNorm(12), nn.Linear(12, 24), nn.GELU(), gate, nn.Linear(12, 12))

    return drawn(nn.Sequential(Patches(12, 4), *layers(), nn.LayerNorm(12), Mean(), nn.Linear(12, CLASSES)), 45)


@modern
def mixer_with_gated_units() -> Classifier:
    def layers():
        for _ in range(2):
            yield Residual(nn.LayerNorm(12), Turn(0, 2, 1), perceptron(16, 24), Turn(0, 2, 1))
            yield Residual(nn.LayerNorm(12), nn.Linear(12, 32), nn.GLU(), nn.Linear(16, 12))

    return drawn(nn.Sequential(Patches(12, 4), *layers(), nn.LayerNorm(12), Mean(), nn.Linear(12, CLASSES)), 46)


class SeparableAttention(nn.Module):
    """One context for all places, expanded to them: values times a gate of broadcast shape (N, C, P, T)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.qkv, self.join = width, nn.Conv2d(width, 1 + 2 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = torch.split(self.qkv(x), [1, self.width, self.width], 1)
        context = (key * query.softmax(-1)).sum(-1, keepdim=True)
        return self.join(functional.relu(value) * context.expand_as(value))


@modern
def mobilevit_v2() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU()
    cut = nn.Unflatten(2, (4, 2)), nn.Unflatten(4, (4, 2)), Turn(0, 1, 3, 5, 2, 4), nn.Flatten(4), nn.Flatten(2, 3)

    def layers():
        for _ in range(2):
            yield Residual(nn.GroupNorm(1, 8), SeparableAttention(8))
            yield Residual(nn.Conv2d(8, 16, 1), nn.SiLU(), nn.Conv2d(16, 8, 1))

    return drawn(nn.Sequential(*stem, *cut, *layers(), pooled(8)), 50)


class SplitAttention(nn.Module):
    """Two groups of channels, each channel of the sum taken from both by weights that add up to one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.two = nn.Conv2d(width, 2 * width, 3, 1, 1, groups=2)
        self.choose = nn.Sequential(nn.Conv2d(width, 4, 1), nn.ReLU(), nn.Conv2d(4, 2 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        parts = functional.relu(self.two(x)).unflatten(1, (2, -1))
        weights = self.choose(parts.sum(1).mean((2, 3), keepdim=True)).unflatten(1, (2, -1)).softmax(1)
        return (parts * weights).sum(1)


class PlaceGate(nn.Module):
    """Each place times ``gates``, one or one for each channel, from the mean and the largest of its channels."""

    def __init__(self, gates: int, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Conv2d(2, gates, 3, 1, 1), gate)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)) * x


@modern
def resnest_with_place_gates() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()
    gates = PlaceGate(1, nn.Sigmoid()), PlaceGate(8, nn.Hardsigmoid()), PlaceGate(8, nn.Sigmoid())
    return drawn(nn.Sequential(*stem, Residual(SplitAttention(8)), *gates, SplitAttention(8), pooled(8)), 54)


# attention without softmax --------------------------------------------------------------------------------------------


class LinearAttention(nn.Module):
    """relu(Q) (relu(K)ᵀ V) over its sum of weights (N, C, H, W): products of signals, and a divisor."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.join = heads, nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(x).reshape(n, self.heads, 3 * c // self.heads, h * w).transpose(-1, -2).chunk(3, -1)
        q, k = functional.relu(q), functional.relu(k)
        mixed = torch.matmul(q, torch.matmul(k.transpose(-1, -2), functional.pad(v, (0, 1), value=1.0)))
        mixed = mixed[..., :-1] / (mixed[..., -1:] + 1e-6)
        return self.join(mixed.transpose(-1, -2).reshape(n, c, h, w))


@modern
def efficientvit() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish()
    rest = Residual(LinearAttention(8, 2)), inverted(8, nn.Hardswish, nn.Sigmoid), Residual(LinearAttention(8, 1))
    return drawn(nn.Sequential(*stem, *rest, pooled(8)), 47)


# scales and shifts by themselves --------------------------------------------------------------------------------------


class Affine(nn.Module):
    """A scale and a shift for each channel; ``alone`` where no linear layer stands beside it."""

    def __init__(self, width: int, *, alone: bool) -> None:
        super().__init__()
        self.alone, self.layer_scale, self.shift = alone, free(width), free(width)

    def scaled(self, x: Tensor) -> Tensor:
        return self.layer_scale * x + self.shift

    def forward(self, x: Tensor) -> Tensor:
        return bypassed(self.scaled, x) if self.alone else self.scaled(x)


@modern
def resmlp() -> Classifier:
    def layers():
        for _ in range(2):
            yield Residual(Affine(12, alone=True), Turn(0, 2, 1), nn.Linear(16, 16), Turn(0, 2, 1), Scale(12))
            yield Residual(Affine(12, alone=False), perceptron(12, 24), Scale(12))

    return drawn(nn.Sequential(Patches(12, 4), *layers(), Mean(), nn.Linear(12, CLASSES)), 52)


class ChannelNorm(nn.Module):
    """The normalisation of every place over its channels, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_scale, self.shift = free(width, 1, 1), free(width, 1, 1)

    def written(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        deviation = torch.sqrt(centred.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.layer_scale * (centred / deviation) + self.shift

    def forward(self, x: Tensor) -> Tensor:
        return bypassed(self.written, x)


@modern
def channel_norms() -> Classifier:
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), ChannelNorm(8), nn.GELU()),
        *(nn.Conv2d(8, 8, 3, 1, 1), nn.GroupNorm(2, 8), nn.SiLU()),
        *(nn.Conv2d(8, 8, 3, 1, 1), ChannelNorm(8), pooled(8)),
    )
    return drawn(module, 53)


# branches, other activations ------------------------------------------------------------------------------------------


class Branches(nn.Module):
    """A convolution, a pointwise one and the input itself, each normalised, summed before the activation.

    It is no rectifier: where x is 0 and y is not, no quotient y/x says that relevance goes on unchanged.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.point = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.same = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.near(x) + self.point(x) + bypassed(self.same, x))


@modern
def repvgg() -> Classifier:
    stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU()
    return drawn(nn.Sequential(*stem, Branches(8), Branches(8), pooled(8)), 48)


@modern
def signed_activations() -> Classifier:
    """PReLU by channel, leaky ReLU, ELU, Mish, tanh, and a normalisation of each channel by itself."""

    def layers():
        for width, activation in ((6, nn.PReLU(6)), (6, nn.LeakyReLU(0.2)), (6, nn.ELU()), (6, nn.Mish())):
            yield from (nn.Conv2d(width, width, 3, 1, 1), activation)

    norm = nn.InstanceNorm2d(6, affine=True), nn.Tanh(), nn.MaxPool2d(2)
    return drawn(nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), *layers(), *norm, pooled(6)), 49)
