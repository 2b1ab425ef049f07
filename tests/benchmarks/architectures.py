"""The networks that engines are compared on: VGG-16, GoogLeNet, ResNet-50, MobileNetV2, ViT-Tiny, as in their papers.

Batch normalisations are merged already, so every convolution has a bias and none is followed by another affine layer.
Weights are drawn from a seed: He's normal distribution, with the last convolution of every block that has no rectifier
of its own scaled by ``CALM``, without which activations would double from block to block.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tests.peers.classifier import Catalogue, Classifier, seeded
from tests.peers.ladder import Inception, LocalResponseNormalization
from tests.peers.zennit_maps import Mix, Sum

CALM = 0.5
CLASSES = 1000
BOUNDS = (-2.2, 2.7)
"""The range of the input, about that of a picture less ImageNet's means and by its deviations."""

architectures = Catalogue()


def drawn(module: nn.Module, side: int = 224, seed: int = 1, opset: int = 13) -> Classifier:
    """Give ``module`` its weights in float32; the first layer must be named 0."""
    classifier = seeded(module, (1, 3, side, side), ("0",), seed, opset, dtype=torch.float32)
    module.requires_grad_(False)
    for block in module.modules():
        if isinstance(block, Block):
            block.branch[-1].weight *= CALM
    return classifier


def convolution(channels: int, width: int, side: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the picture's size, but for the stride."""
    return nn.Conv2d(channels, width, side, stride, side // 2, groups=groups)


@architectures
def vgg16() -> Classifier:
    def layers() -> Iterator[nn.Module]:
        channels = 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                yield from (convolution(channels, width, 3), nn.ReLU())
                channels = width
            yield nn.MaxPool2d(2)
        yield from (nn.Flatten(), nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout())
        yield from (nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, CLASSES))

    return drawn(nn.Sequential(*layers()))


@architectures
def googlenet() -> Classifier:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    def normalization() -> nn.Module:
        return LocalResponseNormalization(5, 1e-4, 0.75, 1.0)

    module = nn.Sequential(
        convolution(3, 64, 7, 2),
        nn.ReLU(),
        pool(),
        normalization(),
        convolution(64, 64, 1),
        nn.ReLU(),
        convolution(64, 192, 3),
        nn.ReLU(),
        normalization(),
        pool(),
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        pool(),
        Inception(480, 192, (96, 208), (16, 48), 64),
        Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64),
        Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128),
        pool(),
        Inception(832, 256, (160, 320), (32, 128), 128),
        Inception(832, 384, (192, 384), (48, 128), 128),
        nn.AvgPool2d(7),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(1024, CLASSES),
    )
    return drawn(module)


class Block(nn.Module):
    """A branch, summed with its input where that is asked for; the input goes through ``shortcut`` if there is one."""

    def __init__(
        self, branch: nn.Sequential, *, summed: bool, shortcut: nn.Module | None = None, rectified: bool = False
    ) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut
        self.sum = Sum() if summed else None
        self.relu = nn.ReLU() if rectified else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        if self.sum is not None:
            y = self.sum(y, x if self.shortcut is None else self.shortcut(x))
        return y if self.relu is None else self.relu(y)


def bottleneck(channels: int, width: int, stride: int) -> Block:
    """Return a block of ResNet-50, with 4 × ``width`` channels at its end."""
    branch = nn.Sequential(
        convolution(channels, width, 1),
        nn.ReLU(),
        convolution(width, width, 3, stride),
        nn.ReLU(),
        convolution(width, 4 * width, 1),
    )
    shortcut = None if channels == 4 * width and stride == 1 else convolution(channels, 4 * width, 1, stride)
    return Block(branch, summed=True, shortcut=shortcut, rectified=True)


@architectures
def resnet50() -> Classifier:
    def layers() -> Iterator[nn.Module]:
        yield from (convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        channels = 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for place in range(count):
                yield bottleneck(channels, width, 1 if place else stride)
                channels = 4 * width
        yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))

    return drawn(nn.Sequential(*layers()))


def inverted_residual(channels: int, width: int, stride: int, expansion: int) -> Block:
    """Return a block of MobileNetV2: wider, each channel by itself, narrow again and not rectified."""
    inner = channels * expansion
    wider = (convolution(channels, inner, 1), nn.ReLU6()) if expansion > 1 else ()
    branch = nn.Sequential(
        *wider, convolution(inner, inner, 3, stride, groups=inner), nn.ReLU6(), convolution(inner, width, 1)
    )
    return Block(branch, summed=stride == 1 and channels == width)


@architectures
def mobilenetv2() -> Classifier:
    table = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def layers() -> Iterator[nn.Module]:
        yield from (convolution(3, 32, 3, 2), nn.ReLU6())
        channels = 32
        for expansion, width, count, stride in table:
            for place in range(count):
                yield inverted_residual(channels, width, 1 if place else stride, expansion)
                channels = width
        yield from (convolution(channels, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout())
        yield nn.Linear(1280, CLASSES)

    return drawn(nn.Sequential(*layers()))


class Tokens(nn.Module):
    """Patches (N, C, H, W) as tokens (N, 1 + H·W, C) behind one that belongs to no place, their positions added."""

    def __init__(self, places: int, width: int, seed: int = 2) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("first", 0.5 * torch.randn(1, 1, width, generator=generator))
        self.register_buffer("places", 0.5 * torch.randn(1, 1 + places, width, generator=generator))
        self.sum = Sum()

    def forward(self, x: Tensor) -> Tensor:
        patches = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], 1)
        return self.sum(tokens, self.places.expand(len(x), -1, -1))


class Heads(nn.Module):
    """Attention among tokens (N, T, C) by several heads, without the layer that joins them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = Mix()

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = (
            layer(x).reshape(n, t, self.heads, c // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        a = torch.softmax(q @ k.transpose(2, 3) / (c // self.heads) ** 0.5, -1)
        return self.mix(a, v).transpose(1, 2).reshape(n, t, c)


class First(nn.Module):
    """The token that belongs to no place."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def transformer(depth: int, width: int, heads: int, patch: int, side: int, classes: int) -> Classifier:
    """Return a vision transformer with normalisation before each branch."""

    def layers() -> Iterator[nn.Module]:
        yield from (nn.Conv2d(3, width, patch, patch), Tokens((side // patch) ** 2, width))
        for _ in range(depth):
            yield Block(nn.Sequential(nn.LayerNorm(width), Heads(width, heads), nn.Linear(width, width)), summed=True)
            inner = (nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            yield Block(nn.Sequential(nn.LayerNorm(width), *inner), summed=True)
        yield from (nn.LayerNorm(width), First(), nn.Linear(width, classes))

    return drawn(nn.Sequential(*layers()), side, opset=17)


@architectures
def vit_tiny() -> Classifier:
    return transformer(12, 192, 3, 16, 224, CLASSES)


@architectures
def tiny_transformer() -> Classifier:
    """The same in no time."""
    return transformer(2, 12, 3, 8, 32, 20)


@architectures
def tiny() -> Classifier:
    """Every kind of layer that the others have, in no time."""
    module = nn.Sequential(
        convolution(3, 8, 3, 2),
        nn.ReLU(),
        LocalResponseNormalization(5, 1e-4, 0.75, 1.0),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Inception(8, 4, (4, 4), (4, 4), 4),
        bottleneck(16, 6, 2),
        inverted_residual(24, 24, 1, 2),
        inverted_residual(24, 24, 1, 2),
        convolution(24, 24, 1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(24, 20),
    )
    return drawn(module, side=32)
