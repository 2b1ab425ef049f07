"""One evaluation under way: pictures are classified, explained by every method, perturbed, and forgotten.

pictures ─ classify ──► class explained ─ explain, by every method ──► sums, orders of regions ─ perturb ──► curves

Whole maps are not kept: memory holds a few hundred numbers for each picture and method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from heatcli.batch import runner
from heatcli.batch.workers import AtOnce
from heatcli.errors import ModelError, UsageError
from heatcli.evaluation.conservation import Conservation, conservation
from heatcli.evaluation.fillings import filled
from heatcli.evaluation.histograms import Histogram, histogram
from heatcli.evaluation.localisation import Located, localisation, locate, window_of
from heatcli.evaluation.objects import Annotation, belonging, class_names, mask_of
from heatcli.evaluation.perturbation import Drops, curves, drops
from heatcli.evaluation.regions import Regions, centre, regions_on
from heatcli.evaluation.results import Evaluation, Failure, Judged, Measured
from heatcli.evaluation.sanity import Sanity, alike, forgetful, sanity, stages, unit
from heatcli.explainer import Explainer
from heatcli.inputs import Picture
from heatcli.pictures.placement import Placement
from heatcli.relevance.ledger import Ledger
from heatcli.targets import ranked, wanted

Array = np.ndarray
ResultT = TypeVar("ResultT")
Advance = Callable[[], None]
Watch = Callable[[str, int], AbstractContextManager[Advance]]
"""Is told what begins and in how many steps; what it yields is called after each."""

RANDOM, CENTRE = BASELINES = ("random", "centre")
"""What every map should beat: an order of chance, and one that begins in the middle whatever is there."""
MOST_IN_SANITY = 24
"""So many pictures, at most, go through the sanity check: their maps are kept, and it is slow."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture as the network sees it, without its pixels: ``place`` among all, the class explained, the geometry."""

    name: str
    place: int
    target: int
    score: float
    probability: float
    placement: Placement | None


class Protocol:
    """One evaluation under way: what is left of the pictures, and what was measured of them so far."""

    def __init__(
        self,
        explainer: Explainer,
        pictures: Mapping[str, Picture],
        methods: Mapping[str, Mapping[str, Any]],
        objects: Mapping[str, Annotation],
        watch: Watch,
        *,
        jobs: int,
        seed: int,
    ) -> None:
        """Begin with ``pictures`` by name; ``methods`` are settings by name, ``objects`` annotations by picture."""
        self.explainer, self.pictures, self.methods, self.objects = explainer, pictures, methods, objects
        self.watch, self.jobs, self.seed = watch, jobs, seed
        settled, spec = explainer.preprocessing, explainer.network.input
        self.regions: Regions = regions_on(
            spec.shape, settled.layout if settled else spec.layout, settled.size if settled else None
        )
        self.names = class_names(explainer.labels)
        self.seen: dict[str, _Seen] = {}
        self.measured: dict[str, dict[str, Measured]] = {}
        self.histograms: dict[str, Histogram] = {}
        self.drops: dict[str, dict[str, dict[str, Drops]]] = {}
        self.failures: list[Failure] = []
        self.unnamed: set[str] = set()
        self.unseen: set[str] = set()

    # what is done with every picture --------------------------------------------------------------------------------

    def classify(self, target: str | int) -> None:
        """Find out which class of every picture is explained."""
        explainer = self.explainer
        (asked, *more) = wanted((target,), explainer.network.output.classes, explainer.labels)
        if more:
            raise UsageError(
                f"--target {target}: one class of each picture is evaluated; give top, an index or a label"
            )
        places = {name: place for place, name in enumerate(self.pictures)}

        def see(name: str) -> _Seen:
            prepared = explainer.network_input(self.pictures[name])
            scores, chances = explainer.classify(prepared.x)
            (index,) = ranked((asked,), scores)
            score, chance = float(scores[index]), float(chances[index])
            return _Seen(name, places[name], index, score, chance, prepared.placement)

        self.seen = self._over("Classifying", list(self.pictures), see)

    def explain(self, *, tally: bool, located: bool) -> None:
        """Explain every picture by every method, one method after the other: an explainer keeps one plan."""
        self.measured = {name: {} for name in self.seen}
        for method, settings in self.methods.items():

            def measure(name: str, settings: Mapping[str, Any] = settings) -> tuple[Measured, Histogram | None]:
                seen = self.seen[name]
                explanation = self.explainer.explain(self.pictures[name], **{**settings, "target": seen.target})
                relevance = explanation.relevance
                heatmap = self.regions.heatmap(relevance)
                total = float(np.abs(relevance).sum(dtype=np.float64))
                below = float(np.minimum(relevance, 0).sum(dtype=np.float64))
                ledger = explanation.ledger
                entry = Measured(
                    pixels=float(relevance.sum(dtype=np.float64)),
                    biases=ledger.biases,
                    missing=_missing(ledger),
                    negative=-below / total if total else 0.0,
                    least=float(relevance.min()),
                    seconds=explanation.seconds["forward"] + explanation.seconds["relevance"],
                    order=self.regions.ranked(heatmap),
                    located=self._located(seen, heatmap) if located else None,
                )
                return entry, histogram(relevance) if tally else None

            for name, (entry, counted) in self._over(f"Explaining: {method}", list(self.seen), measure).items():
                self.measured[name][method] = entry
                if counted is not None:
                    before = self.histograms.get(method)
                    self.histograms[method] = counted if before is None else before + counted

    def perturb(self, fillings: Sequence[str], shares: Sequence[float], output: str) -> None:
        """Take regions away from every picture, by the order of every method and of the baselines."""
        which = ("score", "probability").index(output)  # of what classify returns
        with self._executor() as executor:

            def take_away(name: str) -> dict[str, dict[str, Drops]]:
                seen = self.seen[name]
                prepared = self.explainer.network_input(self.pictures[name])
                orders = {method: entry.order for method, entry in self.measured[name].items()}
                orders |= {name: self.regions.ranked(map) for name, map in self._baselines(seen).items()}

                def watched(x: Array) -> float:
                    return float(self.explainer.classify(x)[which][seen.target])

                random = np.random.default_rng([self.seed, seen.place, 1])
                return {
                    filling: drops(
                        watched,
                        prepared.x,
                        orders,
                        self.regions,
                        filled(filling, prepared.x, self.regions, prepared.bounds, random),
                        before=(seen.score, seen.probability)[which],
                        shares=shares,
                        executor=executor,
                    )
                    for filling in fillings
                }

            self.drops = self._over("Perturbing", list(self.seen), take_away, one_by_one=True)

    def forget(self) -> tuple[Sanity, ...]:
        """Explain some of the pictures again while the network forgets, stage by stage."""
        names, steps = list(self.seen)[:MOST_IN_SANITY], stages(self.explainer)
        methods = {method: unit(settings) for method, settings in self.methods.items()}
        before: dict[str, dict[str, Array]] = {}
        pairs: dict[str, dict[str, list[tuple[float, float]]]] = {method: {} for method in methods}
        for number, step in enumerate((None, *steps)):
            explainer = self.explainer if step is None else forgetful(self.explainer, step, seed=self.seed)
            for method, settings in methods.items():

                def again(name: str, explainer: Explainer = explainer, settings: Mapping[str, Any] = settings) -> Array:
                    explanation = explainer.explain(
                        self.pictures[name], **{**settings, "target": self.seen[name].target}
                    )
                    return self.regions.heatmap(explanation.relevance)

                left = [name for name in names if name in self.seen]
                what = f"Forgetting, stage {number} of {len(steps)}: {method}"
                for name, heatmap in self._over(what, left, again).items():
                    if step is None:
                        before.setdefault(method, {})[name] = heatmap
                    else:
                        pairs[method].setdefault(name, []).append(alike(before[method][name], heatmap))
        left = [name for name in names if name in self.seen]
        return tuple(sanity(method, steps, [pairs[method][name] for name in left]) for method in methods)

    # the account ------------------------------------------------------------------------------------------------------

    def conclude(
        self, checks: Sequence[str], fillings: Sequence[str], shares: Sequence[float], forgotten: tuple[Sanity, ...]
    ) -> Evaluation:
        """Return what all pictures that did not fail add up to."""
        labels = self.explainer.labels
        judged = tuple(
            Judged(
                name,
                seen.target,
                labels[seen.target] if labels else None,
                seen.score,
                seen.probability,
                self.measured[name],
                self.drops.get(name, {}),
            )
            for name, seen in self.seen.items()
        )
        located = self._all_located() if "localisation" in checks else {}
        return Evaluation(
            methods=self.methods,
            pictures=judged,
            failures=tuple(self.failures),
            conservation=tuple(_conserved(name, judged) for name in self.methods) if "conservation" in checks else (),
            histograms=self.histograms,
            perturbation=tuple(
                curves(name, filling, [entry.drops[filling][name] for entry in judged], shares)
                for filling in (fillings if "perturbation" in checks else ())
                for name in (*self.methods, *BASELINES)
            )
            if judged
            else (),
            localisation=tuple(localisation(name, entries) for name, entries in located.items() if entries),
            sanity=forgotten,
            regions=self.regions.count,
            window=window_of(self.regions.sides),
            unnamed=len(self.unnamed & self.seen.keys()),
            unseen=tuple(name for name in self.seen if name in self.unseen),
        )

    def _all_located(self) -> dict[str, list[Located]]:
        """Return by name of method or baseline where each map lies, of all pictures whose objects are seen."""
        found: dict[str, list[Located]] = {name: [] for name in (*self.methods, *BASELINES)}
        for name, seen in self.seen.items():
            for method, entry in self.measured[name].items():
                if entry.located is not None:
                    found[method].append(entry.located)
            for baseline, heatmap in self._baselines(seen).items():
                if (located := self._located(seen, heatmap)) is not None:
                    found[baseline].append(located)
        return found

    def _located(self, seen: _Seen, heatmap: Array) -> Located | None:
        """Compare a map with the objects of its picture, None where none is known or seen."""
        annotation = self.objects.get(seen.name)
        if annotation is None:
            return None
        if seen.placement is None or heatmap.ndim != 2:
            raise UsageError(f"{seen.name} is no picture: objects are found in pictures only")
        things, sure = belonging(annotation.things, self.names, seen.target)
        mask = mask_of(annotation, things, seen.placement)
        if not sure:
            self.unnamed.add(seen.name)
        if not mask.any():
            self.unseen.add(seen.name)
            return None
        return locate(heatmap, mask)

    def _baselines(self, seen: _Seen) -> dict[str, Array]:
        random = np.random.default_rng([self.seed, seen.place, 0])
        return {RANDOM: random.random(self.regions.sides), CENTRE: centre(self.regions.sides)}

    # how it runs ------------------------------------------------------------------------------------------------------

    def _over(
        self, what: str, names: Sequence[str], work: Callable[[str], ResultT], *, one_by_one: bool = False
    ) -> dict[str, ResultT]:
        """Return what ``work`` makes of every picture by name; those for which it fails are left out from now on.

        Raises the first error that is no matter of one picture where none is left.
        """
        found: dict[str, ResultT] = {}
        with self.watch(what, len(names)) as advance, AtOnce() if one_by_one else self._executor() as executor:
            for outcome in runner.run(names, work, executor, ahead=1 if one_by_one else 2 * self.jobs):
                advance()
                if outcome.error is None:
                    found[outcome.item] = outcome.result  # type: ignore[assignment]
                else:
                    self._leave_out(outcome.item, outcome.error)
        if names and not found:
            everyones = (entry.error for entry in self.failures if isinstance(entry.error, UsageError | ModelError))
            if (error := next(everyones, None)) is not None:
                raise error
        return found

    def _leave_out(self, name: str, error: Exception) -> None:
        self.failures.append(Failure(name, error))
        self.seen.pop(name, None)

    def _executor(self) -> Executor:
        return AtOnce() if self.jobs == 1 else ThreadPoolExecutor(self.jobs)


def _missing(ledger: Ledger) -> float | None:
    """Return what neither pixels nor biases got, in parts of the relevance put in; None without an account."""
    if ledger.biases is None:
        return None
    return (ledger.start - ledger.pixels - ledger.biases) / ledger.start if ledger.start else 0.0


def _conserved(method: str, judged: Sequence[Judged]) -> Conservation:
    """Return what the maps of one method add up to."""
    entries = [entry.measured[method] for entry in judged]
    accounted = all(entry.biases is not None for entry in entries)
    return conservation(
        method,
        np.array([entry.score for entry in judged]),
        np.array([entry.pixels for entry in entries]),
        least=np.array([entry.least for entry in entries]),
        negative=np.array([entry.negative for entry in entries]),
        biases=np.array([entry.biases for entry in entries], np.float64) if accounted else None,
        missing=np.array([entry.missing for entry in entries], np.float64) if accounted else None,
        seconds=np.array([entry.seconds for entry in entries]),
    )
