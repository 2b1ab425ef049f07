"""Linear layers, rectifiers and pools in a row or side by side: classifiers for which zennit has rules like ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.peers.classifier import Catalogue, Classifier, seeded

ladder = Catalogue()


@ladder
def perceptron() -> Classifier:
    module = nn.Sequential(nn.Linear(60, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 10))
    return seeded(module, (1, 60), ("0",), seed=1)


@ladder
def perceptron_on_picture() -> Classifier:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 40), nn.ReLU(), nn.Linear(40, 10))
    return seeded(module, (1, 3, 8, 8), ("1",), seed=2, opset=13)


@ladder
def vgg() -> Classifier:
    layers: list[nn.Module] = []
    channels = 3
    for width in (8, 16, 24):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    layers += [nn.Flatten(), nn.Linear(24 * 4 * 4, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10)]
    return seeded(nn.Sequential(*layers), (1, 3, 32, 32), ("0",), seed=3, opset=13)


class LocalResponseNormalization(nn.Module):
    """torch's own, but exported as the LRN operation; torch's exporter writes it out in a dozen nodes."""

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.settings = (size, alpha, beta, k)

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            return ExportedNormalization.apply(x, *self.settings)
        return nn.functional.local_response_norm(x, *self.settings)


class ExportedNormalization(torch.autograd.Function):
    """Stands for LRN in the exported graph."""

    @staticmethod
    def forward(_: object, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        return nn.functional.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def symbolic(graph, x, size: int, alpha: float, beta: float, k: float):
        normalised = graph.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k)
        normalised.setType(x.type())
        return normalised


class Inception(nn.Module):
    """Four branches side by side, the last behind a 3×3 max pool of stride 1."""

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pool: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(channels, one, 1), nn.ReLU())
        self.three = nn.Sequential(
            nn.Conv2d(channels, three[0], 1), nn.ReLU(), nn.Conv2d(three[0], three[1], 3, padding=1), nn.ReLU()
        )
        self.five = nn.Sequential(
            nn.Conv2d(channels, five[0], 1), nn.ReLU(), nn.Conv2d(five[0], five[1], 5, padding=2), nn.ReLU()
        )
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(channels, pool, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


@ladder
def googlenet() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(3, 16, 7, 2, 3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        LocalResponseNormalization(5, 0.1, 0.75, 1.0),
        nn.Conv2d(16, 16, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        LocalResponseNormalization(5, 0.1, 0.75, 1.0),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Inception(32, 8, (8, 12), (4, 8), 8),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Inception(36, 8, (8, 12), (4, 8), 8),
        nn.AvgPool2d(3, 1),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(36, 10),
    )
    return seeded(module, (1, 3, 47, 47), ("0",), seed=4, opset=13)


@ladder
def parallel_stems() -> Classifier:
    return seeded(ParallelStems(), (1, 3, 16, 16), ("narrow", "wide"), seed=5, opset=15)


class ParallelStems(nn.Module):
    """Two first convolutions that both look at the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(3, 6, 3, 2, 1)
        self.wide = nn.Conv2d(3, 6, 7, 2, 3)
        self.relu = nn.ReLU()
        self.rest = nn.Sequential(
            nn.Conv2d(12, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.relu(torch.cat([self.narrow(x), self.wide(x)], dim=1)))


@ladder
def mobilenet() -> Classifier:
    layers: list[nn.Module] = [nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU6()]
    channels = 12
    for width, stride, rectifier in ((16, 1, nn.ReLU6), (24, 2, nn.ReLU), (32, 2, nn.ReLU6)):
        layers += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), rectifier()]
        layers += [nn.Conv2d(channels, width, 1), rectifier()]
        channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
    return seeded(nn.Sequential(*layers), (1, 3, 32, 32), ("0",), seed=6)


@ladder
def dilated_and_grouped() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1, groups=4),
        nn.ReLU(),
        nn.Conv2d(24, 24, (3, 1), padding=(3, 0), dilation=(3, 1), groups=2),
        nn.ReLU(),
        nn.Conv2d(24, 16, (2, 5), stride=(1, 2), padding=(0, 2), bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 9 * 5, 10),
    )
    return seeded(module, (1, 3, 19, 19), ("0",), seed=7, opset=14)


@ladder
def ceil_mode_pools() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.Conv2d(12, 12, 2),
        nn.ReLU(),
        nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False),
        nn.Flatten(),
        nn.Linear(12 * 3 * 3, 10),
    )
    return seeded(module, (1, 1, 24, 24), ("0",), seed=8, opset=16)


@ladder
def padded_average_pools() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.AvgPool2d(3, 2, 1, count_include_pad=True),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.Flatten(),
        nn.Linear(12 * 8 * 8, 10),
    )
    return seeded(module, (1, 3, 18, 18), ("0",), seed=9)
