"""Try ways of preprocessing on pictures whose class is known, and put down the one that is settled."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from heatcli.errors import UsageError
from heatcli.explainer import Explainer
from heatcli.forward import Forward
from heatcli.pictures.preprocessing import PRESETS, Preprocessing, read_sidecar, resolve
from heatcli.pictures.reading import Source, read_picture
from heatcli.targets import probabilities, resolve_target

LEAST = 1e-30
"""Probabilities below are counted as this."""
PEOPLES = ("name", "description", "source", "license", "range")
"""Keys of the sidecar file that nothing here settles: they stay as they are."""


@dataclass(frozen=True)
class Trial:
    """What the network said to every picture under one preprocessing.

    ``ranks`` holds the place of the expected class among all, 1 for the best; ``probabilities`` its probability;
    ``tops`` the index of the best class, None where the scores were not finite.
    """

    preset: str
    channels: str
    fit: str
    preprocessing: Preprocessing
    ranks: tuple[int, ...]
    probabilities: tuple[float, ...]
    tops: tuple[int | None, ...]

    @property
    def right(self) -> bool:
        """Whether every picture got the class that was expected."""
        return all(rank == 1 for rank in self.ranks)


def trials(
    explainer: Explainer, pictures: Sequence[Source], expected: Sequence[str], given: Mapping[str, Any]
) -> list[Trial]:
    """Run ``pictures`` through every plausible preprocessing and return what came of each, the best first.

    ``expected`` names the class of each picture, by label or index, or one class for all. ``given`` holds the settings
    that the explainer was loaded with, by the keywords of ``heatcli.load``: they are certain. Only presets, channels
    and fits that leave them as they are get tried, beside the explainer's own preprocessing. Raises UsageError where a
    class is not known, the numbers do not match or there is nothing to try, PictureError for what is no picture.
    """
    network = explainer.network
    names = list(expected) * len(pictures) if len(expected) == 1 else list(expected)
    if len(names) != len(pictures):
        raise UsageError(
            f"--expect was given {len(names)} times for {len(pictures)} pictures; give it once, or for each"
        )
    if network.output.classes == 1:
        raise UsageError("--check compares classes, but the model has only one; leave it out")
    for picture in pictures:
        if isinstance(picture, str | Path) and str(picture).lower().endswith(".npy"):
            raise UsageError(f"--check {picture}: a tensor goes through no preprocessing; give a picture")
    blank = np.zeros(network.output.classes)
    classes = [_one_class(name, blank, explainer.labels) for name in names]
    ways = _plausible(explainer, given)
    images = [read_picture(picture, explainer.limits.pixels) for picture in pictures]
    forward = Forward(network, threads=explainer.threads)
    found = []
    for preset, settled in ways:
        answers = []
        for image, index in zip(images, classes, strict=True):
            values = forward.run(settled.tensor(image)[0])
            scores = np.asarray(values[network.output.logits], np.float32).reshape(-1)
            answers.append(_answer(explainer, scores, values[network.output.name], index))
        ranks, chances, tops = zip(*answers, strict=True)
        found.append(Trial(preset, settled.channels, settled.fit, settled, ranks, chances, tops))
    return sorted(found, key=lambda trial: (sum(trial.ranks), -float(np.log(trial.probabilities).sum())))


def settles(given: Mapping[str, Any]) -> bool:
    """Whether options say how pixels become numbers, not only single facts about it."""
    named = given.get("preprocess") not in (None, "auto")
    return named or (given.get("mean") is not None and given.get("scale") is not None)


def chosen(explainer: Explainer, found: Sequence[Trial], given: Mapping[str, Any]) -> Preprocessing | None:
    """Return the preprocessing to write after the trials ``found``, None where none is right.

    That is the explainer's own where options settle it or it is right, else the best of those that are right.
    """
    right = [trial.preprocessing for trial in found if trial.right]
    if settles(given) or explainer.preprocessing in right:
        return explainer.preprocessing
    return right[0] if right else None


def sidecar(explainer: Explainer, settled: Preprocessing | None) -> dict[str, Any]:
    """Return the content of the sidecar file: ``settled`` as numbers, which mean the same whatever presets become.

    The size is left out where the network fixes it. What people wrote into a file that is there is kept.
    """
    present = read_sidecar(explainer.model.path)
    content: dict[str, Any] = {key: present[key] for key in PEOPLES if key in present}
    content["sha256"] = explainer.model.sha256
    if settled is not None:
        spec = explainer.network.input
        content |= {
            "size": list(settled.size) if spec.free or spec.layout == "flat" else None,
            "fit": settled.fit,
            "resize": settled.resize,
            "scale": settled.scale,
            "mean": list(settled.mean),
            "std": list(settled.std),
            "channels": settled.channels,
            "layout": settled.layout.lower(),
        }
    content["activation"] = explainer.activation
    content["inputs"] = _files(explainer)
    content["labels"] = list(explainer.labels) if explainer.labels else None
    return {key: value for key, value in content.items() if value is not None}


def _files(explainer: Explainer) -> dict[str, str] | None:
    """Return the files that hold what the network takes beside the picture, as seen from the model."""
    folder = Path(explainer.model.path).absolute().parent
    files = {name: entry.file for name, entry in explainer.inputs.items() if entry.file}
    return {name: os.path.relpath(file, folder) for name, file in files.items()} or None


def _one_class(name: str, scores: np.ndarray, labels: tuple[str, ...] | None) -> int:
    if name.lower() == "top" or name.lower().startswith("top-"):
        raise UsageError(f"--expect {name}: give the class that the picture shows, by label or index")
    return resolve_target((name,), scores, labels)[0]


def _answer(explainer: Explainer, scores: np.ndarray, output: np.ndarray, index: int) -> tuple[int, float, int | None]:
    """Return rank and probability of class ``index``, and the best class.

    A class that shares its score comes after the others; where scores are not finite it comes last.
    """
    if not np.isfinite(scores).all():
        return scores.size, LEAST, None
    chances = probabilities(scores, output, explainer.network.output.kind, explainer.activation)
    return int((scores >= scores[index]).sum()), max(float(chances[index]), LEAST), int(scores.argmax())


def _plausible(explainer: Explainer, given: Mapping[str, Any]) -> list[tuple[str, Preprocessing]]:
    """Return the present preprocessing, then presets with both orders of colour and both usual fits, each only once."""
    spec, present = explainer.network.input, explainer.preprocessing
    if present is None:
        raise UsageError(f"the input {spec.name} {spec.shape} is no picture; there is nothing to try")
    said = {name: value for name, value in given.items() if value is not None and value != "auto"}
    said |= {"size": present.size, "layout": present.layout}
    presets = (said["preprocess"],) if "preprocess" in said else PRESETS
    orders = (None,) if present.channels == "grey" or "channels" in said else ("rgb", "bgr")
    fits = (said["fit"],) if "fit" in said else ("crop", "squash")
    own = {"mean", "std", "scale"} & set(said)
    ways = {_numbers(present): (present.preset, present)}
    for preset, order, fit in product(presets, orders, fits):
        settings = {**said, "preprocess": preset, "fit": fit} | ({"channels": order} if order else {})
        try:
            settled, _ = resolve(spec, **settings)
        except UsageError:  # an input of whole numbers takes no fractions
            continue
        if settled is not None:
            key = _numbers(settled)
            name = settled.preset if own else preset  # with colours the other way round it is the preset's still
            ways[key] = (name, ways[key][1] if key in ways else settled)
    return list(ways.values())


def _numbers(settled: Preprocessing) -> tuple[str | int | None, ...]:
    """Return what tells two ways apart, with numbers rounded: slope and shift of each channel, order and frame."""
    slopes = [f"{settled.scale / std:.6g}" for std in settled.std]
    shifts = [f"{mean / std:.6g}" for mean, std in zip(settled.mean, settled.std, strict=True)]
    return (*slopes, *shifts, settled.channels, settled.fit, settled.resize)
