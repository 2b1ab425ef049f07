"""One run of ``heatcli evaluate``: what is measured, what is said of it on both streams, its figures."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from heatcli.batch.records import json_text, plain
from heatcli.batch.versions import versions
from heatcli.cli import findings, telling
from heatcli.cli.console import UNBROKEN, emit, stderr_console, stdout_console
from heatcli.cli.text import count, number
from heatcli.errors import HeatcliError, UsageError, shown
from heatcli.places.reading import Pictures
from heatcli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from heatcli.cli.comparison import Asked
    from heatcli.evaluation import Annotation, Evaluation
    from heatcli.explainer import Explainer
    from heatcli.places.sources import Sources

NAMED = 3
"""How many files are named where some are left out."""


@dataclass(frozen=True)
class Protocol:
    """What is measured and how: the checks, what regions become, what is watched meanwhile, where the objects are."""

    checks: tuple[str, ...]
    fillings: tuple[str, ...]
    output: str
    seed: int
    boxes: str | None
    masks: str | None

    def settings(self) -> dict[str, Any]:
        """Return the keywords of ``evaluation.evaluate``."""
        return {"checks": self.checks, "fillings": self.fillings, "output": self.output, "seed": self.seed}


def over(
    model: str,
    found: Sources,
    asked: Asked,
    protocol: Protocol,
    *,
    jobs: int,
    folder: Path | None,
    json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
) -> int:
    """Measure, print, draw into ``folder`` if there is one; return the exit code."""
    import heatcli
    from heatcli import evaluation

    if folder is not None:
        evaluation.figures.require()
    explainer = heatcli.load(model, **asked.loading)
    console, errors = stderr_console(quiet=quiet), stderr_console()
    pictures = Pictures(item for item in found.items if not item.problem)
    telling.left_out(found, console)
    tensors = all(item.is_tensor for item in found.items)
    telling.assumed(telling.for_tensors(explainer.notes) if tensors else explainer.notes, console)
    measured = evaluation.evaluate(
        explainer,
        pictures,
        _fitting(explainer, asked, protocol.seed, console),
        target=asked.target,
        objects=_objects(protocol, list(pictures), console),
        jobs=jobs,
        watch=lambda what, total: _bar(what, total, console),
        **protocol.settings(),
    )
    failed = [telling.in_a_line(item.problem, item.name) for item in found.items if item.problem]
    failed += [_failure(entry.name, entry.error, debug=debug) for entry in measured.failures]
    if verbose:
        _each(measured, console)
    _say_of_objects(measured, console)
    drawn = [] if folder is None or not measured.pictures else _draw(measured, folder, protocol.output)
    for path in drawn:
        console.print(Text(f"Wrote {visible(str(path))}"), soft_wrap=True)
    if json:
        settings = {"target": asked.target, **protocol.settings()}
        emit(json_text(_record(measured, explainer, settings, drawn, found), indent=2), lines=True)
    elif measured.pictures:
        out = stdout_console()
        if not out.is_terminal:
            out.width = UNBROKEN
        findings.show(measured, out, output=protocol.output, quiet=quiet)
    telling.failures(failed, errors)
    return 1 if failed else 0


def _fitting(explainer: Explainer, asked: Asked, seed: int, console: Console) -> dict[str, dict[str, Any]]:
    """Return for every method the settings that fit it, with the ``seed`` where it draws something itself."""
    from heatcli.comparing import divided
    from heatcli.methods import METHODS

    for place, method in enumerate(asked.methods):
        if method in asked.methods[:place]:
            raise UsageError(f"--methods names {method} twice")
    if not asked.methods:
        raise UsageError("--methods names no method")
    fitting = divided(explainer, asked.methods, asked.given())
    telling.takers(asked.given(), fitting, console)
    return {
        method: {**settings, "seed": seed} if "seed" in METHODS[method].own else {**settings}
        for method, settings in fitting.items()
    }


def _objects(protocol: Protocol, pictures: Sequence[str], console: Console) -> Mapping[str, Annotation] | None:
    """Return what is known of the objects in ``pictures``, and say which pictures and annotations are left out."""
    from heatcli.evaluation import assigned, read_boxes, read_masks

    boxes, masks = protocol.boxes, protocol.masks
    if boxes is None and masks is None:
        return None
    said = f"--boxes {boxes}" if boxes is not None else f"--masks {masks}"
    annotations = read_boxes(boxes) if boxes is not None else read_masks(str(masks), pictures)
    found = assigned(annotations, pictures)
    if not found.by_picture:
        example = f", such as {annotations[0].file}" if annotations else ""
        raise UsageError(f"{said}: none of its {count(len(annotations), 'picture')} is among the inputs{example}")
    if found.missing:
        known = "boxes" if boxes is not None else "masks"
        console.print(
            Text(visible(f"Localisation leaves out {_some(found.missing, 'picture')} without {known}.")), soft_wrap=True
        )
    if found.unused:
        console.print(
            Text(visible(f"Not among the inputs, but in {said}: {_some(found.unused, 'file')}.")), soft_wrap=True
        )
    return found.by_picture


def _some(names: Sequence[str], what: str) -> str:
    """Return how many there are, and what the first are called."""
    listed = ", ".join(Path(name).name for name in names[:NAMED])
    return f"{count(len(names), what)} ({listed}{', …' if len(names) > NAMED else ''})"


def _say_of_objects(measured: Evaluation, console: Console) -> None:
    if measured.unnamed:
        console.print(
            f"In {count(measured.unnamed, 'picture')} all objects are said to be of other classes than the one "
            "explained; all of them count."
        )
    if measured.unseen:
        text = (
            f"The network sees nothing of the objects in {_some(measured.unseen, 'picture')}; --fit squash shows all."
        )
        console.print(Text(visible(text)), soft_wrap=True)


def _failure(name: str, error: Exception, *, debug: bool) -> str:
    """Return in a line why a picture was left out."""
    if debug:
        telling.trace(error)
    message = str(error) or type(error).__name__
    if not isinstance(error, HeatcliError):
        message = f"unexpected {type(error).__name__}: {message}"
    return telling.in_a_line(message, name)


def _bar(what: str, total: int, console: Console) -> AbstractContextManager[Callable[[], None]]:
    """Return a progress bar on a terminal, if there is more than one thing to do."""
    if total > 1 and console.is_terminal:
        from heatcli.cli.bars import progress

        return progress(total, console, what=what)
    return nullcontext(lambda: None)


def _each(measured: Evaluation, console: Console) -> None:
    """Print a line for every picture: its class, and what every map of it adds up to and was worth."""
    for entry in measured.pictures:
        label = f" {shown(entry.label)}" if entry.label else ""
        line = f"{visible(entry.name)}: class {entry.target}{label}, {telling.percent(entry.probability)}"
        line += f", f(x) {number(entry.score)}"
        for method, map in entry.measured.items():
            line += f"; {method} ΣR {number(map.pixels)}"
            line += "".join(f", {filling} {orders[method].difference:+.3f}" for filling, orders in entry.drops.items())
            if map.located is not None:
                line += f", inside {map.located.inside:.2f}{'' if map.located.hit else ', misses'}"
        console.print(Text(line), soft_wrap=True)


def _draw(measured: Evaluation, folder: Path, output: str) -> list[Path]:
    """Draw a figure for every check that has one; return the files."""
    from heatcli.evaluation import figures

    drawn = []
    if measured.conservation:
        scores = {name: [entry.score for entry in measured.pictures] for name in measured.methods}
        sums = {name: [entry.measured[name].pixels for entry in measured.pictures] for name in measured.methods}
        drawn += figures.save(figures.conservation_figure(scores, sums, measured.histograms), folder, "conservation")
    if measured.perturbation:
        drawn += figures.save(figures.perturbation_figure(measured.perturbation, output=output), folder, "perturbation")
    if measured.sanity:
        drawn += figures.save(figures.sanity_figure(measured.sanity), folder, "sanity")
    return drawn


def _record(
    measured: Evaluation,
    explainer: Explainer,
    settings: Mapping[str, Any],
    drawn: Sequence[Path],
    found: Sources,
) -> dict[str, Any]:
    """Return all of it as one JSON object; ``settings`` are those of the protocol."""
    from heatcli.evaluation.records import record

    model, settled = explainer.model, explainer.preprocessing
    values = record(measured)
    values["failures"] += [
        {"input": item.name, "type": "PictureError", "message": item.problem} for item in found.items if item.problem
    ]
    about: dict[str, Any] = plain(
        {
            "model": {"path": model.path, "sha256": model.sha256, "producer": model.producer},
            "preprocessing": None if settled is None else settled.record(),
            "settings": settings,
            "versions": versions(),
            "notes": explainer.notes,
            "figures": drawn,
        }
    )
    return {**values, **about}
