"""Sends relevance from the class scores down to one detection layer, through the relevance models above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heatcli.forward import Forward
from heatcli.network.layers import Network
from heatcli.planning.infinite import infinite_scores
from heatcli.relevance.composites import COMPOSITES, assign
from heatcli.relevance.detection import Detection
from heatcli.relevance.models import RelevanceModel, with_models
from heatcli.relevance.propagate import Assignment, Propagator
from heatcli.targets import ranked

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Arrived:
    """What arrived at a detection layer for one class of one picture, all at batch 1.

    ``x`` is the layer's input, ``relevance`` that of its output, ``above`` the relevance of the layers above by name.
    """

    x: Array
    relevance: Array
    above: dict[str, Array]


class Descent:
    """The walk by the rules of deep Taylor decomposition, from f(x) down to the output of one detection layer.

    The range of the input does not matter: the walk ends above the layer.
    """

    def __init__(
        self,
        network: Network,
        detection: Detection,
        models: Mapping[str, RelevanceModel],
        *,
        threads: int | None = None,
        provider: str = "cpu",
    ) -> None:
        """Open the session; ``models`` are those of the layers above."""
        self.detection, self.network = detection, network
        names = [layer.name for layer in network.layers]
        above = replace(network, layers=network.layers[names.index(detection.layer.name) + 1 :])
        rules = assign(network, COMPOSITES["deep-taylor"], bounded=False)
        substituted = with_models(above, models)
        assignment = Assignment(substituted, rules, {}, models=models, end=detection.layer.name)
        self._propagator = Propagator(assignment)
        beside, named = self._propagator.denominators()
        wanted = (*assignment.activations, *detection.layer.inputs)
        self._forward = Forward(network, wanted, beside=beside, named=named, threads=threads, provider=provider)

    def run(self, x: Array, wanted: Sequence[int]) -> list[Arrived]:
        """Return what arrives for each class of ``x`` that is ``wanted`` (−k for the k-th best) and scores above 0.

        Raises PictureError where the scores are not finite.
        """
        values = self._forward.run(x)
        scores = np.asarray(values[self.network.output.logits], np.float32).reshape(-1)
        if not np.isfinite(scores).all():
            raise infinite_scores(self.network, x)
        chosen = [index for index in dict.fromkeys(ranked(wanted, scores)) if scores[index] > 0]
        if not chosen:
            return []
        kept: list[dict[str, Array]] = []
        walked = self._propagator.run(values, chosen, [float(scores[index]) for index in chosen], kept=kept)
        source = np.asarray(values[self.detection.layer.inputs[0]], np.float32)
        uppers = [upper.layer.name for upper in self.detection.uppers]
        return [
            Arrived(source, relevance, {name: above[name] for name in uppers if name in above})
            for (relevance, _), above in zip(walked, kept, strict=True)
        ]
