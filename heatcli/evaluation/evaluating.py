"""Evaluation: an explainer, pictures and methods go in, and what was measured of each method comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from heatcli.choosing import one_of
from heatcli.errors import UsageError
from heatcli.evaluation.fillings import FILLINGS
from heatcli.evaluation.objects import Annotation
from heatcli.evaluation.perturbation import OUTPUTS, SHARES, checked
from heatcli.evaluation.protocol import BASELINES, Advance, Protocol, Watch
from heatcli.evaluation.results import Evaluation
from heatcli.explainer import Explainer
from heatcli.inputs import Picture
from heatcli.methods import METHODS

CHECKS = ("conservation", "perturbation", "localisation", "sanity")
METHODS_BY_DEFAULT = ("deep-taylor", "sensitivity", "gradient-x-input")


def unwatched(what: str, total: int) -> AbstractContextManager[Advance]:  # noqa: ARG001 - the signature of Watch
    """Show nothing."""
    return nullcontext(lambda: None)


def evaluate(
    explainer: Explainer,
    pictures: Sequence[Picture] | Mapping[str, Picture],
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]] = METHODS_BY_DEFAULT,
    *,
    target: str | int = "top",
    checks: Sequence[str] = ("conservation", "perturbation"),
    objects: Mapping[str, Annotation] | None = None,
    fillings: Sequence[str] = ("mean",),
    shares: Sequence[float] = SHARES,
    output: str = "probability",
    seed: int = 0,
    jobs: int = 1,
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure ``methods`` on ``pictures`` and return every figure.

    ``pictures`` may have names; those of paths are the paths. ``methods`` are names, or names of your own with the
    settings that ``explainer.explain`` takes, such as ``{"winner": {"method": "deep-taylor", "pool": "winner"}}``. All
    explain the same class, ``target``. ``checks`` are some of ``CHECKS``; localisation needs ``objects``, the
    annotations by picture's name. ``fillings`` replace ``shares`` of the regions in perturbation, which watches the
    ``output`` probability or score. ``seed`` decides all that is left to chance; ``jobs`` runs go on at the same time.
    A picture that fails anywhere is left out of every figure. Raises UsageError or ModelError where it is no matter of
    single pictures.
    """
    protocol = Protocol(explainer, named(pictures), settled(methods), objects or {}, watch, jobs=jobs, seed=seed)
    chosen = [name for name in CHECKS if name in checks]
    for name in checks:
        one_of("checks", name, CHECKS)
    for name in fillings:
        one_of("fillings", name, FILLINGS)
    one_of("output", output, OUTPUTS)
    checked(shares)
    for settings in protocol.methods.values() if "sanity" in chosen else ():
        if METHODS[settings["method"]].fitted:
            raise UsageError(
                f"sanity does not go with {settings['method']}: its relevance models belong to the network as it is "
                "and would not change with its weights"
            )
    if "localisation" in chosen and not objects:
        raise UsageError("localisation needs to know where the objects are: boxes or masks")
    protocol.classify(target)
    protocol.explain(tally="conservation" in chosen, located="localisation" in chosen)
    if "perturbation" in chosen:
        protocol.perturb(fillings, shares, output)
    forgotten = protocol.forget() if "sanity" in chosen else ()
    return protocol.conclude(chosen, fillings, shares, forgotten)


def named(pictures: Sequence[Picture] | Mapping[str, Picture]) -> Mapping[str, Picture]:
    """Return ``pictures`` by name: their paths, or their places in the sequence; a mapping may read them on asking."""
    if isinstance(pictures, Mapping):
        return pictures
    if isinstance(pictures, str | bytes | Path):
        raise UsageError("several pictures are evaluated; give a list of them")
    return {
        str(picture) if isinstance(picture, str | Path) else f"picture {place}": picture
        for place, picture in enumerate(pictures, 1)
    }


def settled(methods: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of every method by the name that it is reported under; raises UsageError for none."""
    if isinstance(methods, Mapping):
        found = {name: {"method": name, **settings} for name, settings in methods.items()}
    else:
        found = {name: {"method": name} for name in methods}
        if twice := [name for name in methods if list(methods).count(name) > 1]:
            raise UsageError(f"the method {twice[0]} is named twice")
    for name, settings in found.items():
        one_of("methods", settings["method"], tuple(METHODS))
        if name in BASELINES:
            raise UsageError(f"the name {name} is that of a baseline; call the method otherwise")
    if not found:
        raise UsageError("no method was given")
    return found
