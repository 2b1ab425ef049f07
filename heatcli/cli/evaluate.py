"""``heatcli evaluate``: is the heatmap true? Every method is measured on many pictures."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heatcli.batch import sources
from heatcli.cli import complete, options, values
from heatcli.cli.abreast import MOST_JOBS, abreast
from heatcli.cli.comparison import Asked
from heatcli.cli.fetching import offer
from heatcli.cli.measuring import Protocol, over
from heatcli.errors import UsageError

if TYPE_CHECKING:
    from heatcli.batch.sources import Sources

CHECKS = ("conservation", "perturbation", "localisation", "sanity")
FILLINGS = ("mean", "blur", "noise")
MEASURED = "What is measured"


class Watched(StrEnum):
    """What perturbation watches."""

    PROBABILITY = "probability"
    SCORE = "score"


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Pictures, folders, globs, archives, URLs, .npy tensors, or - for stdin.",
            show_default=False,
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
            show_default="deep-taylor, sensitivity, gradient-x-input",
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
            help="Where the objects are: a folder of Pascal VOC .xml files, a COCO .json file, or JSON that gives each "
            "file's boxes as lists of left, upper, right, lower, in pixels of the picture.",
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
    drop: Annotated[
        Watched,
        typer.Option(
            "--drop",
            help="What is watched while regions go: the class's probability, or its score where probabilities are "
            "saturated.",
            rich_help_panel=MEASURED,
        ),
    ] = Watched.PROBABILITY,
    seed: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Decides all that is left to chance; the same seed gives the same numbers.",
            rich_help_panel=MEASURED,
        ),
    ] = "0",
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Class that all methods explain: top, an index, or a label. Default: top, each picture's own.",
            rich_help_panel=options.CLASS,
        ),
    ] = None,
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
    relevance_model: options.RelevanceModel = None,
    preprocess: options.Preprocess = "auto",
    size: options.Size = None,
    fit: options.FitOption = None,
    mean: options.Mean = None,
    std: options.Std = None,
    pixel_scale: options.PixelScale = None,
    channels: options.ChannelsOption = None,
    layout: options.LayoutOption = None,
    input_: options.Inputs = None,
    limit: options.Limit = None,
    max_pixels: options.MaxPixels = None,
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
    if any(item.is_stdin for item in found.items) and sys.stdin.isatty():
        raise UsageError("- reads a picture from stdin, which is this terminal; pipe one in: cat cat.jpg | heatcli …")
    classes = tuple(target or ("top",))
    if len(classes) > 1:
        raise UsageError(f"--target was given {len(classes)} times; one class of each picture is evaluated")
    if boxes is not None and masks is not None:
        raise UsageError("--boxes and --masks both say where objects are; give one of them")
    chosen = _checks(checks, boxes or masks)
    named = _words(methods)
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
        relevance_model=relevance_model,
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
        limit=limit,
        max_pixels=max_pixels,
    )
    filled = tuple(dict.fromkeys(_words(fillings)))
    values.choices(fillings, "--fillings", FILLINGS)
    if not filled:
        raise UsageError(f"--fillings names nothing; known: {', '.join(FILLINGS)}")
    workers, threads = abreast(None if jobs is None else values.whole(jobs, "--jobs"), MOST_JOBS)
    protocol = Protocol(chosen, filled, drop.value, values.whole(seed, "--seed", least=0), boxes, masks)
    offer(model)
    return over(
        model,
        found,
        Asked(named, classes[0], None, settings, {**loading, "provider": provider, "threads": threads}),
        protocol,
        jobs=workers,
        folder=None if figures is None else Path(figures),
        json=json,
        quiet=quiet,
        verbose=verbose,
        debug=debug,
    )


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
