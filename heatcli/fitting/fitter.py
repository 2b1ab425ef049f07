"""Fits the relevance models of a network layer by layer from the top, since R_k hangs on the models above.

For every detection layer the pictures are gone through once: each is sent forwards and its relevance down to the layer,
and rows of what the neurons see are kept, as many as fit the memory (``samples``). Then the layer's model is trained.
Everything is drawn from one seed, so that a run that goes on from a checkpoint ends with the same models.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from heatcli.errors import PictureError, UsageError
from heatcli.fitting import samples, training
from heatcli.fitting.descent import Descent
from heatcli.fitting.pictures import Pictures
from heatcli.fitting.samples import View
from heatcli.fitting.training import Fit, Samples, Schedule
from heatcli.network.layers import Convolution, Network
from heatcli.relevance.detection import Detection, Upper, detections
from heatcli.relevance.models import RelevanceModel

Array = np.ndarray

HELD_OUT = 10
"""One picture of so many is held out: it decides when training ends, and tells how well a model fits."""
COLLECTING = 0.5
"""Which part of the time for a layer may go to collecting, where time is short."""


@dataclass(frozen=True)
class Budget:
    """How much may be used: ``memory`` in bytes for the rows of a layer, ``seconds`` for everything.

    ``epochs`` passes over the rows of a layer at most; ``seed`` is what everything is drawn from.
    """

    memory: int = 512 << 20
    seconds: float = math.inf
    epochs: int = 30
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """How the model of one layer was fitted, and how it fits the pictures that were held out.

    ``error`` is ⟨(R̂ − R)²⟩ / ⟨R²⟩ and ``begun`` that of the start; ``ratio`` is ΣR̂ / ΣR. ``groups`` counts the k,
    ``places`` the positions that share a model, ``silent`` the neurons that never spoke. ``uppers`` are the layers
    above, each with the window that is seen of it.
    """

    name: str
    operation: str
    neurons: int
    groups: int
    places: int
    uppers: tuple[str, ...]
    samples: int
    held_out: int
    error: float
    ratio: float
    begun: float
    silent: int
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Collecting:
    """So many of the ``pictures`` have been gone through for a layer."""

    detection: Detection
    done: int
    pictures: int


@dataclass(frozen=True)
class Training:
    """A pass over the rows of a layer is made."""

    detection: Detection
    epoch: int
    fit: Fit


@dataclass(frozen=True, eq=False)
class Fitted:
    """A layer is done: its model and report; both are None where too little relevance arrives, and it keeps z⁺."""

    detection: Detection
    model: RelevanceModel | None
    report: Report | None


Event = Collecting | Training | Fitted


@dataclass
class Fitter:
    """Fits the relevance models of ``network`` to ``pictures``.

    ``prepared`` makes a picture the network's input; those for which it raises PictureError are left out, and kept in
    ``failed`` with the reason. ``wanted`` are the classes to explain of every picture, −k for the k-th best.
    """

    network: Network
    pictures: Pictures
    prepared: Callable[[int], Array]
    wanted: Sequence[int] = (-1,)
    budget: Budget = Budget()
    threads: int | None = None
    provider: str = "cpu"
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, done: Mapping[str, RelevanceModel | None]) -> Iterator[Event]:
        """Yield what happens, one layer after the other from the top; ``done`` are layers that were fitted before.

        Raises UsageError where no layer can have a model, or the pictures are too few.
        """
        found = detections(self.network)
        if not found:
            raise UsageError(
                "no layer of this network can have a relevance model: none is a convolution or dense layer with a "
                "rectifier behind it and another such layer above"
            )
        if len(self.pictures) < 2:
            raise too_few()
        models = {name: model for name, model in done.items() if model is not None}
        begun = time.monotonic()
        left = [place for place, detection in enumerate(found) if detection.layer.name not in done]
        while left:
            place = left[-1]
            share = (self.budget.seconds - (time.monotonic() - begun)) / len(left)
            for event in self._layer(found[place], place, models, share):
                yield event
                if isinstance(event, Fitted) and event.model is not None:
                    models[found[place].layer.name] = event.model
            left.pop()

    def _layer(
        self, detection: Detection, place: int, models: Mapping[str, RelevanceModel], seconds: float
    ) -> Iterator[Event]:
        """Collect rows and train the model of one layer in about so many ``seconds``."""
        begun = time.monotonic()
        random = np.random.default_rng([self.budget.seed, place])
        view = View(detection, self.network.shapes)
        rows, held_out = yield from self._collect(view, models, random, COLLECTING * seconds)
        size = _size(rows, detection.groups)
        if not size or not held_out.relevance.any():
            yield Fitted(detection, None, None)
            return
        for part in (rows, held_out):
            np.divide(part.relevance, size, out=part.relevance)
            np.divide(part.upper, size, out=part.upper)
        own = samples.own_bias(detection.layer, detection.neurons)
        start = training.start(
            rows, samples.parameters(detection.layer.weights, detection.layer), own, detection.groups
        )
        schedule = Schedule(epochs=self.budget.epochs, seconds=seconds - (time.monotonic() - begun))
        first = last = None
        for step in training.train(rows, held_out, start, detection.groups, schedule, random):
            first, last = first or step, step
            yield Training(detection, step.epoch, step.fit)
        assert first is not None
        assert last is not None
        best = last.parameters
        here = training.fitted(best, rows, detection.groups)
        if here.ratio > 0:
            best = best.times(1 / here.ratio)
        fit = training.fitted(best, held_out, detection.groups)
        yield Fitted(
            detection,
            samples.model(detection, best.in_units(size)),
            Report(
                name=detection.layer.name,
                operation=detection.layer.operation,
                neurons=detection.neurons,
                groups=len(detection.groups),
                places=view.places,
                uppers=tuple(described(upper, view.places) for upper in detection.uppers),
                samples=len(rows),
                held_out=len(held_out),
                error=fit.error,
                ratio=fit.ratio,
                begun=first.fit.error,
                silent=fit.silent,
                epochs=last.epoch,
                seconds=time.monotonic() - begun,
            ),
        )

    def _collect(
        self, view: View, models: Mapping[str, RelevanceModel], random: np.random.Generator, seconds: float
    ) -> Generator[Event, None, tuple[Samples, Samples]]:
        """Go through the pictures and return rows to train with, and rows that are held out.

        As many places of each picture are drawn as fit the memory; of too many pictures some are left out.
        """
        begun = time.monotonic()
        descent = Descent(self.network, view.detection, models, threads=self.threads, provider=self.provider)
        capacity = max(2, self.budget.memory // (4 * view.width))
        order = random.permutation(len(self.pictures))[: max(2, capacity // len(self.wanted))]
        explained = len(order) * len(self.wanted)
        each = min(max(1, capacity // explained), view.places)
        kept, held_out = Rows(view, explained * each), Rows(view, explained * each)
        readable, evidence = 0, False
        for done, number in enumerate(order.tolist()):
            try:
                arrived = descent.run(self.prepared(number), self.wanted)
            except PictureError as error:
                self.failed[self.pictures.name(number)] = str(error)
                arrived = []
            else:
                readable += 1
            for one in arrived:
                evidence = True
                if one.relevance.any():
                    places = random.choice(view.places, each, replace=False, shuffle=False)
                    store = held_out if readable % HELD_OUT == 2 else kept
                    store.add(view.rows(one.x, one.relevance, one.above, places))
            yield Collecting(view.detection, done + 1, len(order))
            if time.monotonic() - begun > seconds and len(kept) and len(held_out):
                break
        if readable < 2:
            raise too_few()
        if not evidence:
            raise UsageError(
                f"no picture of {len(order):,} has a score above 0 for its class: no relevance to fit models to"
            )
        return kept.samples(), held_out.samples()


def too_few() -> UsageError:
    """Return the error for pictures of which none could be held out."""
    return UsageError("relevance models need many pictures to be fitted to, and one is held out; give more")


class Rows:
    """Rows of a ``view`` that are added one after the other, at most ``most``."""

    def __init__(self, view: View, most: int) -> None:
        """Take the room; memory is used as rows come."""
        self._parts = Samples(
            np.empty((most, *view.shape), np.float32),
            np.empty((most, view.seen), np.float32),
            np.empty((most, view.detection.neurons), np.float32),
        )
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def add(self, rows: Samples) -> None:
        """Append some rows."""
        place = slice(self._count, self._count + len(rows))
        for whole, part in zip(_arrays(self._parts), _arrays(rows), strict=True):
            whole[place] = part
        self._count += len(rows)

    def samples(self) -> Samples:
        """Return all rows that were added."""
        return self._parts.rows(slice(self._count))


def _arrays(rows: Samples) -> tuple[Array, Array, Array]:
    return rows.x, rows.upper, rows.relevance


def described(upper: Upper, places: int) -> str:
    """Return a layer above and what of it is seen: its name, and where there are places the window or ``all``."""
    window = upper.window
    if places == 1:
        return upper.layer.name
    if window is None:
        return f"{upper.layer.name} (all)"
    if not isinstance(upper.layer, Convolution):
        return f"{upper.layer.name} (same)"
    sides = "×".join(map(str, window.kernel))
    steps = "×".join(map(str, dict.fromkeys(window.strides)))
    return f"{upper.layer.name} ({sides}/{steps})"


def _size(rows: Samples, groups: Array) -> float:
    """Return √⟨R_k²⟩, 0 where there is nothing."""
    total = sum(
        float(np.square(training.pooled(rows.relevance[begin : begin + 4096], groups), dtype=np.float64).sum())
        for begin in range(0, len(rows), 4096)
    )
    return math.sqrt(total / (len(rows) * len(groups))) if len(rows) else 0.0
