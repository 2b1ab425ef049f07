"""``heatcli compare``: a sheet of pictures × methods, and one of a map enlarged (the paper's Fig. 5, 7 and 8)."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heatcli.batch import outputs, sources
from heatcli.cli import complete, options, values
from heatcli.cli.comparison import Asked, Looks, over
from heatcli.cli.fetching import offer
from heatcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heatcli.batch.items import Item

DEFAULT = "comparison.png"
SCALES = ("per-method", "per-image")
SMALLEST = 8
"""The longer side of a cell in pixels at least."""


class Style(StrEnum):
    """Whether a cell is the map alone, or lies over the picture."""

    HEATMAP = "heatmap"
    OVERLAY = "overlay"


def compare(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES",
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
            help="Methods with commas between, a column each; --help-methods names them.",
            autocompletion=complete.several_methods,
        ),
    ] = "deep-taylor,sensitivity",
    help_methods: options.HelpMethods = False,  # noqa: ARG001 - answered before anything else is read
    target: options.Target = None,
    versus: options.Versus = None,
    labels: options.Labels = None,
    evidence: options.EvidenceOption = options.Evidence.LOGIT,
    input_rule: options.InputRule = None,
    rule: options.Rule = None,
    range_: options.Range = None,
    pool: options.PoolOption = None,
    biases: options.BiasesOption = options.Biases.NEURONS,
    window: options.Window = None,
    steps: options.Steps = None,
    baseline: options.Baseline = None,
    noise: options.Noise = None,
    seed: options.Seed = None,
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
    style: Annotated[
        Style, typer.Option("--style", help="The map alone, or over the picture.", rich_help_panel=options.DRAWING)
    ] = Style.HEATMAP,
    colormap: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|COLOURS",
            help="As for explain. Default: red on white, seismic for maps with negative values. A map of colours that "
            "starts at zero leaves those as they are.",
            rich_help_panel=options.DRAWING,
        ),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Relevance of the strongest colour: per-method (one for all maps of a method), per-image or a number.",
            rich_help_panel=options.DRAWING,
        ),
    ] = "per-method",
    transpose: Annotated[
        bool,
        typer.Option(
            "--transpose", help="Methods are the rows, pictures the columns.", rich_help_panel=options.DRAWING
        ),
    ] = False,
    cell: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Longer side of a cell in pixels. Default: the network's, enlarged by a whole factor to 224 or more.",
            rich_help_panel=options.DRAWING,
        ),
    ] = None,
    zoom: Annotated[
        str | None,
        typer.Option(
            metavar="auto|X,Y,W,H",
            help="Also write NAME.zoom.png: the first map at full resolution and a region of it enlarged, in pixels of "
            "the network; auto is the third of each side that holds most relevance.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A .png file, a folder, or - for stdout.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = DEFAULT,
    json: options.Json = False,
    provider: options.Provider = "cpu",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> int:
    """Draw pictures × methods as one sheet: every method explains the same class of a picture."""
    found = sources.expand(pictures)
    named = tuple(word.strip() for word in methods.split(",") if word.strip())
    classes = tuple(target or ("top",))
    if len(classes) > 1:
        raise UsageError(f"--target was given {len(classes)} times; one class of each picture is compared")
    path = _output(output)
    region = None if zoom is None else values.region(zoom)
    _check_stdio(found.items, path, zoomed=zoom is not None, json=json)
    enlarged = None if path is None or zoom is None else path.with_name(f"{path.stem}.zoom{path.suffix}")
    _check_files(found.items, [file for file in (path, enlarged) if file is not None])
    side = None if cell is None else values.whole(cell, "--cell")
    if side is not None and side < SMALLEST:
        raise UsageError(f"--cell {side}: cells of at least {SMALLEST} pixels are needed")
    looks = Looks(style.value, values.colour_scale(scale, SCALES), colormap, transpose, side)
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
    settings = values.settings(
        method=named[0] if named else "",
        input_rule=input_rule,
        rule=rule,
        pool=pool,
        biases=biases,
        evidence=evidence,
        window=window,
        steps=steps,
        baseline=baseline,
        noise=noise,
        seed=seed,
        time_limit=time_limit,
        relevance_model=relevance_model,
    )
    asked = Asked(named, classes[0], versus, settings, {**loading, "provider": provider})
    offer(model)
    return over(
        model,
        found,
        asked,
        looks,
        path=path,
        enlarged=enlarged,
        region=region,
        json=json,
        quiet=quiet,
        verbose=verbose,
        debug=debug,
    )


def _output(text: str) -> Path | None:
    """Return the file of the sheet, None for stdout."""
    if text == outputs.STDOUT:
        return None
    if not text:
        raise UsageError("-o is empty; give a .png file, a folder, or - for stdout")
    path = Path(text)
    if os.path.isdir(path) or text.endswith(("/", os.sep)) or not path.suffix:  # noqa: PTH112 - closed folders raise
        return path / DEFAULT
    if path.suffix.lower() != ".png":
        raise UsageError(f"-o {text}: a sheet is written as PNG; give a name that ends in .png, or a folder")
    return path


def _check_stdio(items: Sequence[Item], path: Path | None, *, zoomed: bool, json: bool) -> None:
    """Raise UsageError where stdin or stdout is asked to be two things, or binary data would go to a terminal."""
    if any(item.is_stdin for item in items) and sys.stdin.isatty():
        raise UsageError("- reads a picture from stdin, which is this terminal; pipe one in: cat cat.jpg | heatcli …")
    if path is not None:
        return
    if json:
        raise UsageError("-o - and --json both write to stdout; give -o a file")
    if zoomed:
        raise UsageError("--zoom writes a second picture beside the sheet, and -o - makes no file; give -o a file")
    if sys.stdout.isatty():
        raise UsageError("-o - writes a PNG to stdout, which is this terminal; redirect it: … -o - > grid.png")


def _check_files(items: Sequence[Item], files: Sequence[Path]) -> None:
    """Raise UsageError where a file would overwrite a picture that goes in, or cannot be written."""
    given = {os.path.normcase(item.path.absolute()): item for item in items if item.path is not None}
    for file in files:
        item = given.get(os.path.normcase(file.absolute()))
        if item is not None:
            raise UsageError(f"{file} would overwrite the picture {item.name}; give another -o")
        outputs.check_writable(file.parent)
