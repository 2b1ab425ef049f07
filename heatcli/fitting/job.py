"""One run of ``heatcli fit``: pictures in, the file of relevance models out, and a checkpoint after every layer.

The checkpoint is the same kind of file, MODEL.relevance.part.npz beside the output: a run that was interrupted goes on
from it, and ends with the same models, as long as network, pictures and settings are the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from heatcli import __version__
from heatcli.errors import UsageError
from heatcli.explainer import Explainer
from heatcli.fitting.fitter import Budget, Event, Fitted, Fitter, Report
from heatcli.fitting.pictures import Pictures
from heatcli.inputs import Picture
from heatcli.relevance import stored
from heatcli.relevance.detection import detections
from heatcli.relevance.models import RelevanceModel
from heatcli.replacing import replacing
from heatcli.targets import wanted

Array = np.ndarray


class Job:
    """Fits the relevance models of the network in ``explainer`` to ``sources`` and writes them to ``output``.

    ``sources`` are pictures, or .npy files and arrays that hold many network inputs; ``targets`` the classes that are
    explained of each, as for ``explain``. ``output`` is beside the model unless given; with ``overwrite`` it may be
    there, and a checkpoint of other settings is left aside. Raises UsageError for what does not fit, UnsupportedModel
    for a network that was not read into layers.
    """

    def __init__(
        self,
        explainer: Explainer,
        sources: Sequence[Picture],
        *,
        output: str | Path | None = None,
        targets: Sequence[str | int] = ("top",),
        budget: Budget = Budget(),  # noqa: B008 - frozen
        overwrite: bool = False,
    ) -> None:
        """Look at what is there already; nothing is computed yet."""
        explainer.network.require_layers()
        network = explainer.network
        self.explainer = explainer
        self.output = stored.beside(explainer.model.path) if output is None else Path(output)
        self._typed = None if output is None else self.output
        self.checkpoint = self.output.with_name(f"{self.output.name.removesuffix('.npz')}.part.npz")
        self.layers = len(detections(network))
        self.reports: dict[str, Report | None] = {}
        pictures = Pictures(sources, network.input)
        self.fitter = Fitter(
            network,
            pictures,
            lambda place: explainer.network_input(pictures[place]).x,
            wanted(targets, network.output.classes, explainer.labels),
            budget,
            threads=explainer.threads,
            provider=explainer.provider,
        )
        self.settings = {
            "target": [str(target) for target in targets],
            "pictures": len(pictures),
            "pictures_sha256": pictures.digest,
            "epochs": budget.epochs,
            "seed": budget.seed,
            "memory": budget.memory,
            "preprocessing": explainer.preprocessing.record() if explainer.preprocessing else None,
            "inputs": {name: entry.sha256 for name, entry in explainer.inputs.items()},
        }
        if self.output.is_dir():
            raise UsageError(f"{self.output}: is a folder; --output needs the name of a file")
        if self.output.exists() and self.output.samefile(explainer.model.path):
            raise UsageError(f"{self.output}: is the model itself; --output needs the name of another file")
        if self.output.exists() and not overwrite:
            raise UsageError(f"{self.output}: is there already; --overwrite replaces it, --output writes another file")
        self._done = self._resumed(overwrite=overwrite)

    @property
    def resumed(self) -> int:
        """How many layers an earlier run has finished."""
        return len(self._done)

    def run(self) -> Iterator[Event]:
        """Yield what happens; in the end the file is there. Reports of layers done before come from the checkpoint."""
        begun = time.monotonic()
        models = dict(self._done)
        for event in self.fitter.run(self._done):
            if isinstance(event, Fitted):
                name = event.detection.layer.name
                models[name], self.reports[name] = event.model, event.report
                self._write(self.checkpoint, models)
            yield event
        if not any(self.reports.values()):
            raise UsageError("no relevance arrives at any layer that could have a relevance model; nothing is written")
        self._write(self.output, models, seconds=round(time.monotonic() - begun, 1))
        self.checkpoint.unlink(missing_ok=True)

    def _write(self, path: Path, models: Mapping[str, RelevanceModel | None], **more: Any) -> None:
        """Write the models so far, whole or not at all."""
        reports = [report for report in self.reports.values() if report is not None]
        present = [models[report.name] for report in reports]
        description = {
            "heatcli": __version__,
            "model": {"name": Path(self.explainer.model.path).name, "sha256": self.explainer.model.sha256},
            "settings": self.settings,
            "layers": [asdict(report) for report in reports],
            "left_out": [name for name, report in self.reports.items() if report is None],
            "failed": len(self.fitter.failed),
            **more,
        }
        try:
            with replacing(path, within=None if path == self._typed else path.parent) as stream:
                stored.write(stream, [model for model in present if model is not None], description)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}") from error

    def _resumed(self, *, overwrite: bool) -> dict[str, RelevanceModel | None]:
        """Return the layers that a checkpoint of the same settings holds, None for one that no relevance arrives at."""
        path = self.checkpoint
        if not path.exists():
            return {}
        try:
            held = stored.read(path, self.explainer.network, self.explainer.model.sha256)
            if differing := self._differing(held.description["settings"]):
                raise UsageError(f"{path}: was begun otherwise ({'; '.join(differing)})")
            self.reports = {entry["name"]: _report(entry) for entry in held.description["layers"]}
            left_out = {str(name): None for name in held.description["left_out"]}
        except (UsageError, KeyError, TypeError, AttributeError) as error:
            if overwrite:
                return {}
            said = str(error) if isinstance(error, UsageError) else str(stored.damaged(path))
            first = said.partition("\n")[0]
            raise UsageError(f"{first}\n--overwrite begins anew; so does deleting that file.") from error
        self.reports |= left_out
        return {**held.models, **left_out}

    def _differing(self, before: Mapping[str, Any]) -> list[str]:
        """Return which settings of an earlier run were others."""
        found = []
        for name, now in self.settings.items():
            if before.get(name) != now:
                plain = isinstance(now, int | list) and name in before
                found.append(f"{name} {_words(before[name])}, now {_words(now)}" if plain else f"other {name}")
        return found


def _report(entry: Mapping[str, Any]) -> Report:
    return Report(**{**entry, "uppers": tuple(entry["uppers"])})


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value:,}"
