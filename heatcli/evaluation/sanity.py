"""Sanity: whether a map changes when the network forgets what it learned, layer after layer from the scores down.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt & Kim, Sanity checks for saliency maps, NeurIPS 2018. A map that stays as it
was does not depend on the weights that were put in disorder. Maps of positive rules are known to change little (Sixt,
Granz & Landgraf, When explanations lie, ICML 2020): what they show is much decided by the lower layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatcli import network
from heatcli.errors import UnsupportedModel
from heatcli.evaluation.similarity import spearman, ssim
from heatcli.explainer import Explainer
from heatcli.methods import METHODS
from heatcli.network.shuffling import Shuffle, weighted

Array = np.ndarray
MOST_STAGES = 12


@dataclass(frozen=True)
class Stage:
    """The network with the weights of its ``layers`` topmost layers in disorder, down to the one called ``name``."""

    layers: int
    name: str


@dataclass(frozen=True)
class Sanity:
    """How alike the maps of one method stay, over ``pictures``: a figure a stage, the mean over pictures.

    ``spearman`` is the rank correlation and ``ssim`` the structural similarity of |R| before and after. A map that is
    empty can be compared with none: ``compared`` says how many pictures went into each mean, which is NaN for none.
    """

    method: str
    pictures: int
    stages: tuple[Stage, ...]
    spearman: tuple[float, ...]
    ssim: tuple[float, ...]
    compared: tuple[int, ...]


def stages(explainer: Explainer, *, most: int = MOST_STAGES) -> tuple[Stage, ...]:
    """Return the stages, at most so many, from the topmost layer alone to all of them.

    Raises UnsupportedModel for a network without weights.
    """
    names = weighted(explainer.network)
    if not names:
        raise UnsupportedModel("the network has no weights that could be put in disorder")
    depths = np.unique(np.rint(np.linspace(1, len(names), min(most, len(names)))).astype(int))
    return tuple(Stage(int(depth), names[depth - 1]) for depth in depths)


def forgetful(explainer: Explainer, stage: Stage, *, seed: int = 0) -> Explainer:
    """Return an explainer of the same network at ``stage``, read anew from its file; all else stays as it is."""
    spec, layout = explainer.network.input, explainer.network.input.layout
    sides = tuple(spec.shape[layout.index(side)] for side in "HW") if spec.free else None
    read = network.read(
        explainer.model.path,
        size=None if sides is None else (sides[0], sides[1]),
        layout=None if layout == "tensor" else layout,
        inputs={name: entry.value for name, entry in explainer.inputs.items()},
        shuffled=Shuffle(stage.layers, seed),
        limits=explainer.limits,
    )
    return Explainer(
        read,
        model=explainer.model,
        preprocessing=explainer.preprocessing,
        labels=explainer.labels,
        range=explainer.range,
        threads=explainer.threads,
        precision=explainer.precision,
        activation=explainer.activation,
        engine=explainer.engine,
        provider=explainer.provider,
        inputs=explainer.inputs,
        limits=explainer.limits,
    )


def unit(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``settings`` of a method so that its map does not end where a network in disorder has no evidence.

    Methods that share out the score start with relevance 1 in its place, which only scales the map.
    """
    return {**settings, "evidence": "one"} if METHODS[settings["method"]].conserves else dict(settings)


def alike(before: Array, after: Array) -> tuple[float, float]:
    """Return Spearman's correlation and SSIM of |R| of two heatmaps."""
    one, other = np.abs(before), np.abs(after)
    return spearman(one, other), ssim(one, other)


def sanity(method: str, steps: Sequence[Stage], found: Sequence[Sequence[tuple[float, float]]]) -> Sanity:
    """Return the means of what ``alike`` found: for every picture one pair a stage."""
    pairs = np.asarray(found, np.float64).reshape(len(found), len(steps), 2)
    comparable = np.isfinite(pairs).all(axis=2, keepdims=True)
    counts = comparable.sum(axis=0)
    totals = np.where(comparable, pairs, 0).sum(axis=0)
    means = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    one, other = means.T.tolist()
    return Sanity(method, len(pairs), tuple(steps), tuple(one), tuple(other), tuple(counts[:, 0].tolist()))
