"""``heatcli evaluate``: is the heatmap true? Every method is measured on many pictures."""

from __future__ import annotations

import sys
import traceback
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from heatcli.batch import sources
from heatcli.batch.records import json_text, plain
from heatcli.batch.versions import versions
from heatcli.batch.work import stdin_bytes
from heatcli.cli import complete, findings, options, report, values
from heatcli.cli.abreast import MOST_JOBS, abreast
from heatcli.cli.comparison import Asked
from heatcli.cli.console import UNBROKEN, emit, stderr_console, stdout_console
from heatcli.cli.fetching import offer
from heatcli.cli.text import clean, count, number
from heatcli.errors import HeatcliError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from heatcli.batch.sources import Sources
    from heatcli.evaluation import Annotation, Evaluation
    from heatcli.explainer import Explainer

CHECKS = ("conservation", "perturbation", "localisation", "sanity")
FILLINGS = ("mean", "blur", "noise")
NAMED = 3
"""How many files are named where some are left out."""
MEASURED = "What is measured"


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS", help="Pictures, folders, globs, .npy tensors, or - for stdin.", show_default=False
        ),
    ],
    model: options.Model,
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            metavar="NAME,NAME",
            help="Methods with commas between; `heatcli explain --help-methods` tells about them.",
            autocompletion=complete.several_methods,
            rich_help_panel=MEASURED,
        ),
    ] = "deep-taylor,sensitivity,gradient-x-input",
    checks: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="conservation, perturbation, localisation, sanity. Default: the first two, and localisation with "
            "--boxes or --masks; sanity takes long.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Where the objects are: a folder of Pascal VOC .xml files, a COCO .json file, or JSON such as "
            '{"cat.jpg": [[x0, y0, x1, y1]]}, in pixels of the picture.',
            rich_help_panel=MEASURED,
        ),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The same by a folder of masks, called like their pictures: cat.png, or cat.LABEL.png for one class.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    fillings: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="What regions that are taken away become: mean (the picture's mean colour), blur, noise.",
            rich_help_panel=MEASURED,
        ),
    ] = "mean",
    seed: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Decides all that is left to chance; the same seed gives the same numbers.",
            rich_help_panel=MEASURED,
        ),
    ] = "0",
    target: options.Target = None,
    labels: options.Labels = None,
    input_rule: options.InputRule = None,
    rule: options.Rule = None,
    range_: options.Range = None,
    pool: options.PoolOption = None,
    biases: options.BiasesOption = options.Biases.NEURONS,
    window: options.Window = None,
    steps: options.Steps = None,
    baseline: options.Baseline = None,
    noise: options.Noise = None,
    time_limit: options.TimeLimit = None,
    preprocess: options.Preprocess = "auto",
    size: options.Size = None,
    fit: options.FitOption = None,
    mean: options.Mean = None,
    std: options.Std = None,
    pixel_scale: options.PixelScale = None,
    channels: options.ChannelsOption = None,
    layout: options.LayoutOption = None,
    input_: options.Inputs = None,
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Also draw what was measured, as PNG and SVG, into this folder (needs matplotlib).",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    json: options.Json = False,
    provider: options.Provider = "cpu",
    jobs: options.Jobs = None,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for every picture too.", rich_help_panel=options.RUN)
    ] = False,
    debug: options.Debug = False,
) -> int:
    """Measure whether heatmaps are true: do they add up, find what matters, lie on the object."""
    found = _without_masks(sources.expand(inputs), masks)
    if any(item.path is None for item in found.items) and sys.stdin.isatty():
        raise UsageError("- reads a picture from stdin, which is this terminal; pipe one in: cat cat.jpg | heatcli …")
    classes = tuple(target or ("top",))
    if len(classes) > 1:
        raise UsageError(f"--target was given {len(classes)} times; one class of each picture is evaluated")
    if boxes is not None and masks is not None:
        raise UsageError("--boxes and --masks both say where objects are; give one of them")
    chosen = _checks(checks, boxes or masks)
    named = _words(methods)
    chance = values.whole(seed, "--seed", least=0)
    settings = values.settings(
        method=named[0] if named else "",
        input_rule=input_rule,
        rule=rule,
        pool=pool,
        biases=biases,
        evidence=options.Evidence.LOGIT,
        window=window,
        steps=steps,
        baseline=baseline,
        noise=noise,
        seed=None,
        time_limit=time_limit,
    )
    loading = values.loading(
        preprocess=preprocess,
        labels=labels,
        size_=size,
        fit=fit,
        mean=mean,
        std=std,
        pixel_scale=pixel_scale,
        channels=channels,
        layout=layout,
        range_=range_,
        inputs=input_,
    )
    asked = Asked(named, classes[0], None, settings, {**loading, "provider": provider})
    filled = tuple(dict.fromkeys(_words(fillings)))
    values.choices(fillings, "--fillings", FILLINGS)
    workers, threads = abreast(None if jobs is None else values.whole(jobs, "--jobs"), MOST_JOBS)
    offer(model)

    import heatcli
    from heatcli import evaluation

    if figures is not None:
        evaluation.figures.require()
    explainer = heatcli.load(model, **asked.loading, threads=threads)
    console, errors = stderr_console(quiet=quiet), stderr_console()
    pictures: dict[str, Path | bytes] = {
        "stdin" if item.path is None else item.name: stdin_bytes() if item.path is None else item.path
        for item in found.items
        if not item.problem
    }
    report.left_out(found, console)
    tensors = all(item.is_tensor for item in found.items)
    report.assumed(report.for_tensors(explainer.notes) if tensors else explainer.notes, console)
    fitting = _fitting(explainer, asked, chance, console)
    objects = _objects(boxes, masks, list(pictures), console)
    measured = evaluation.evaluate(
        explainer,
        pictures,
        fitting,
        target=classes[0],
        checks=chosen,
        objects=objects,
        fillings=filled,
        seed=chance,
        jobs=workers,
        watch=lambda what, total: _bar(what, total, console),
    )
    failed = [f"{item.name}: {item.problem}" for item in found.items if item.problem]
    failed += [_failure(entry.name, entry.error, debug=debug) for entry in measured.failures]
    if verbose:
        _each(measured, console)
    _say_of_objects(measured, console)
    drawn = [] if figures is None or not measured.pictures else _draw(measured, Path(figures))
    for path in drawn:
        console.print(Text(f"Wrote {clean(str(path))}"), soft_wrap=True)
    if json:
        emit(json_text(_record(measured, explainer, asked, chance, filled, chosen, drawn, found), indent=2))
    elif measured.pictures:
        out = stdout_console()
        if not out.is_terminal:
            out.width = UNBROKEN
        findings.show(measured, out, quiet=quiet)
    report.failures(failed, errors)
    return 1 if failed else 0


def _without_masks(found: Sources, masks: str | None) -> Sources:
    """Return the inputs without those that lie in the folder of masks, which may stand beside the pictures."""
    if masks is None:
        return found
    folder = Path(masks).absolute()
    items = tuple(item for item in found.items if item.path is None or folder not in item.path.absolute().parents)
    if not items:
        raise UsageError(f"--masks {masks}: all inputs lie in this folder; give the pictures that the masks are for")
    return replace(found, items=items)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _checks(text: str | None, objects: str | None) -> tuple[str, ...]:
    """Return what is measured; raises UsageError where that and what is known of objects do not go together."""
    if text is None:
        return CHECKS[:3] if objects is not None else CHECKS[:2]
    chosen = values.choices(text, "--checks", CHECKS)
    if not chosen:
        raise UsageError(f"--checks names nothing; known: {', '.join(CHECKS)}")
    if "localisation" in chosen and objects is None:
        raise UsageError("--checks localisation needs to know where the objects are; give --boxes or --masks")
    if "localisation" not in chosen and objects is not None:
        raise UsageError("--boxes and --masks go with the check localisation, which --checks leaves out")
    return tuple(name for name in CHECKS if name in chosen)


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
    report.takers(asked.given(), fitting, console)
    return {
        method: {**settings, "seed": seed} if "seed" in METHODS[method].own else {**settings}
        for method, settings in fitting.items()
    }


def _objects(
    boxes: str | None, masks: str | None, pictures: Sequence[str], console: Console
) -> Mapping[str, Annotation] | None:
    """Return what is known of the objects in ``pictures``, and say which pictures and annotations are left out."""
    from heatcli.evaluation import assigned, read_boxes, read_masks

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
            Text(clean(f"Localisation leaves out {_some(found.missing, 'picture')} without {known}.")), soft_wrap=True
        )
    if found.unused:
        console.print(
            Text(clean(f"Not among the inputs, but in {said}: {_some(found.unused, 'file')}.")), soft_wrap=True
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
        console.print(Text(clean(text)), soft_wrap=True)


def _failure(name: str, error: Exception, *, debug: bool) -> str:
    """Return in a line why a picture was left out."""
    if debug:
        traceback.print_exception(error)
    message = str(error) or type(error).__name__
    if not isinstance(error, HeatcliError):
        message = f"unexpected {type(error).__name__}: {message}"
    return message if name in message else f"{name}: {message}"


def _bar(what: str, total: int, console: Console) -> AbstractContextManager[Callable[[], None]]:
    """Return a progress bar on a terminal, if there is more than one thing to do."""
    if total > 1 and console.is_terminal:
        from heatcli.cli.bars import progress

        return progress(total, console, what=what)
    return nullcontext(lambda: None)


def _each(measured: Evaluation, console: Console) -> None:
    """Print a line for every picture: its class, and what every map of it adds up to and was worth."""
    for entry in measured.pictures:
        label = f" {clean(entry.label)}" if entry.label else ""
        line = f"{clean(entry.name)}: class {entry.target}{label}, {report.percent(entry.probability)}"
        line += f", f(x) {number(entry.score)}"
        for method, map in entry.measured.items():
            line += f"; {method} ΣR {number(map.pixels)}"
            line += "".join(f", {filling} {orders[method].difference:+.3f}" for filling, orders in entry.drops.items())
            if map.located is not None:
                line += f", inside {map.located.inside:.2f}{'' if map.located.hit else ', misses'}"
        console.print(Text(line), soft_wrap=True)


def _draw(measured: Evaluation, folder: Path) -> list[Path]:
    """Draw a figure for every check that has one; return the files."""
    from heatcli.evaluation import figures

    drawn = []
    if measured.conservation:
        scores = {name: [entry.score for entry in measured.pictures] for name in measured.methods}
        sums = {name: [entry.measured[name].pixels for entry in measured.pictures] for name in measured.methods}
        drawn += figures.save(figures.conservation_figure(scores, sums, measured.histograms), folder, "conservation")
    if measured.perturbation:
        drawn += figures.save(figures.perturbation_figure(measured.perturbation), folder, "perturbation")
    if measured.sanity:
        drawn += figures.save(figures.sanity_figure(measured.sanity), folder, "sanity")
    return drawn


def _record(
    measured: Evaluation,
    explainer: Explainer,
    asked: Asked,
    seed: int,
    fillings: Sequence[str],
    checks: Sequence[str],
    drawn: Sequence[Path],
    found: Sources,
) -> dict[str, Any]:
    """Return all of it as one JSON object."""
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
            "settings": {"target": asked.target, "checks": checks, "fillings": fillings, "seed": seed},
            "versions": versions(),
            "notes": explainer.notes,
            "figures": drawn,
        }
    )
    return {**values, **about}
