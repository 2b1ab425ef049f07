"""Try ways of preprocessing on pictures whose class is known, to see which make the network right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatcli.errors import UsageError
from heatcli.explainer import Explainer
from heatcli.forward import Forward
from heatcli.inputs import Picture, prepare
from heatcli.pictures.preprocessing import PRESETS, Preprocessing, resolve
from heatcli.targets import probabilities, resolve_target

LEAST = 1e-30
"""Probabilities below are counted as this."""


@dataclass(frozen=True)
class Trial:
    """What the network said to every picture under one preprocessing.

    ``ranks`` holds the place of the expected class among all, 1 for the best; ``probabilities`` its probability;
    ``tops`` the index of the best class.
    """

    preset: str
    channels: str
    fit: str
    preprocessing: Preprocessing
    ranks: tuple[int, ...]
    probabilities: tuple[float, ...]
    tops: tuple[int, ...]

    @property
    def right(self) -> bool:
        """Whether every picture got the class that was expected."""
        return all(rank == 1 for rank in self.ranks)


def trials(
    explainer: Explainer, pictures: Sequence[Picture], expected: Sequence[str], given: Mapping[str, Any]
) -> list[Trial]:
    """Run ``pictures`` through every plausible preprocessing and return what came of each, the best first.

    ``expected`` names the class of each picture, by label or index, or one class for all. ``given`` holds settings
    that are certain, with the keywords of ``heatcli.load``; only presets, channels and fits that leave them as they are
    get tried. Raises UsageError where a class is not known or the numbers do not match.
    """
    names = list(expected) * len(pictures) if len(expected) == 1 else list(expected)
    if len(names) != len(pictures):
        raise UsageError(
            f"--expect was given {len(names)} times for {len(pictures)} pictures; give it once, or for each"
        )
    network = explainer.network
    blank = np.zeros(network.output.classes)
    classes = [resolve_target((name,), blank, explainer.labels)[0] for name in names]
    forward = Forward(network, threads=explainer.threads)
    found = []
    for preset, settled in _plausible(explainer, given):
        ranks, chances, tops = [], [], []
        for picture, index in zip(pictures, classes, strict=True):
            x = prepare(picture, network.input, settled, None).x
            values = forward.run(x)
            scores = values[network.output.logits].reshape(-1)
            every = probabilities(scores, values[network.output.name], network.output.kind, explainer.activation)
            ranks.append(1 + int((scores > scores[index]).sum()))
            chances.append(max(float(every[index]), LEAST))
            tops.append(int(scores.argmax()))
        found.append(Trial(preset, settled.channels, settled.fit, settled, tuple(ranks), tuple(chances), tuple(tops)))
    return sorted(found, key=lambda trial: (sum(trial.ranks), -float(np.log(trial.probabilities).sum())))


def _plausible(explainer: Explainer, given: Mapping[str, Any]) -> Iterator[tuple[str, Preprocessing]]:
    """Yield presets with both orders of colour and both usual fits, each different numbers."""
    spec, present = explainer.network.input, explainer.preprocessing
    if present is None:
        raise UsageError(f"the input {spec.name} {spec.shape} is no picture; there is nothing to try")
    said = {name: value for name, value in given.items() if value is not None and value != "auto"}
    orders = (None,) if present.channels == "grey" or "channels" in said else ("rgb", "bgr")
    fits = (said["fit"],) if "fit" in said else ("crop", "squash")
    seen = set()
    for preset in (said["preprocess"],) if "preprocess" in said else PRESETS:
        for order in orders:
            for fit in fits:
                settings = {**said, "preprocess": preset, "fit": fit} | ({"channels": order} if order else {})
                try:
                    settled, _ = resolve(spec, **settings)
                except UsageError:  # an input of whole numbers takes no fractions
                    continue
                if settled is None:
                    continue
                key = (settled.scale, settled.mean, settled.std, settled.channels, settled.fit)
                if key not in seen:
                    seen.add(key)
                    yield preset, settled
