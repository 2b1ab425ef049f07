"""A method settled for a network and an input range, ready to explain one picture after the other.

plan        what every plan is
layerwise   one walk through the layers in NumPy; compiled: in one graph with the forward pass
averages    the gradient at many inputs: integrated gradients, SmoothGrad
roots       the gradient at the nearest root: simple Taylor decomposition
occlusion   runs alone, with a window hidden
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from heatcli.choosing import Choice
from heatcli.network.layers import Network
from heatcli.planning.averages import IntegratedGradients, SmoothGrad
from heatcli.planning.compiled import CompiledPlan
from heatcli.planning.layerwise import LayerPlan
from heatcli.planning.occlusion import Occlusion, Windows
from heatcli.planning.plan import Bounds, Plan
from heatcli.planning.roots import SimpleTaylor
from heatcli.relevance.models import RelevanceModel

__all__ = ["ENGINES", "LayerPlan", "Plan", "plan", "steps"]

ENGINES: dict[str, type[LayerPlan]] = {"numpy": LayerPlan, "compiled": CompiledPlan}


def plan(
    network: Network,
    choice: Choice,
    bounds: Bounds | None,
    windows: Callable[[], Windows],
    *,
    models: Mapping[str, RelevanceModel] | None = None,
    engine: str = "numpy",
    activation: str = "softmax",
    threads: int | None = None,
    provider: str = "cpu",
    dtype: type[np.floating] = np.float32,
) -> Plan:
    """Return the plan of ``choice`` for inputs between ``bounds`` (l, h), None where they are not known.

    ``windows`` lays those of occlusion; ``engine`` is one of ``ENGINES``, ``dtype`` the precision of a walk in NumPy,
    ``activation`` makes probabilities of logits; ``models`` are the relevance models of a fitted method. Raises
    UsageError where these do not go together.
    """
    running: dict[str, Any] = {"threads": threads, "provider": provider}
    if choice.method.way == "windows":
        return Occlusion(network, choice, bounds, windows(), **running)
    walk = ENGINES[engine](network, choice, bounds, models=models, activation=activation, dtype=dtype, **running)
    match choice.method.way:
        case "path":
            return IntegratedGradients(walk, bounds)
        case "copies":
            return SmoothGrad(walk, bounds)
        case "root":
            return SimpleTaylor(walk, bounds)
        case _:
            return walk


def steps(choice: Choice, windows: Callable[[], Windows]) -> int:
    """Return in how many steps a picture is explained: windows of occlusion, inputs or searches of others, else 1."""
    match choice.method.way:
        case "windows":
            return len(windows().places())
        case "walk":
            return 1
        case _:
            return choice.own("steps")
