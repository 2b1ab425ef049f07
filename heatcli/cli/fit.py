"""``heatcli fit``: trains the relevance models that deep-taylor-minmax goes by (paper 5.1)."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from heatcli.batch.records import json_text, plain
from heatcli.cli import options, telling, values
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.fetching import offer
from heatcli.cli.text import count, shorten, shorten_middle
from heatcli.errors import UsageError
from heatcli.places import sources
from heatcli.places.items import STDIN
from heatcli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from heatcli.cli.bars import Show
    from heatcli.fitting.fitter import Event, Report
    from heatcli.fitting.job import Job

FEW = 100
"""Fewer pictures than this fit a model badly, which is said."""
LISTED = 20
"""How many pictures that could not be read are listed."""
WIDEST = 80
COLUMNS = ("layer", "operation", "neurons", "places", "layers above", "rows", "error", "sum")
WIDTHS = (14, 5, 9, 7, 19, 6, 7, 5)
"""Of the table's columns: 79 with the spaces between."""


def fit(
    model: options.ModelArgument,
    images: Annotated[
        list[str],
        typer.Option(
            "--images",
            metavar="PATH",
            help="Pictures of the kind that will be explained: a folder, a glob, files, or an .npy stack (N, …) of "
            "network inputs. Repeatable.",
        ),
    ],
    target: options.Target = None,
    labels: options.Labels = None,
    epochs: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Passes over the samples of a layer at most; fewer where those held out tell that it is enough.",
            rich_help_panel=options.FITTING,
        ),
    ] = "30",
    seconds: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Time for everything, about: layers share it. Default: as long as it takes.",
            rich_help_panel=options.FITTING,
        ),
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            metavar="MB",
            help="Memory for the samples of a layer; places of pictures are drawn so that they fit.",
            rich_help_panel=options.FITTING,
        ),
    ] = "512",
    seed: Annotated[
        str,
        typer.Option(
            metavar="N", help="What places, pictures and their order are drawn from.", rich_help_panel=options.FITTING
        ),
    ] = "0",
    preprocess: options.Preprocess = "auto",
    size: options.Size = None,
    fit_: options.FitOption = None,
    mean: options.Mean = None,
    std: options.Std = None,
    pixel_scale: options.PixelScale = None,
    channels: options.ChannelsOption = None,
    layout: options.LayoutOption = None,
    input_: options.Inputs = None,
    limit: options.Limit = None,
    max_pixels: options.MaxPixels = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file of relevance models. Default: MODEL.relevance.npz beside the model, where explain looks.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace a file that is there, and leave aside what an interrupted run with other settings has left.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    json: options.Json = False,
    provider: options.Provider = "cpu",
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more: every pass.", rich_help_panel=options.RUN)
    ] = False,
    debug: options.Debug = False,  # noqa: ARG001 - main reads it from the arguments
) -> int:
    """Train a relevance model for every detection layer of a network, for explain --method deep-taylor-minmax."""
    time_limit = math.inf if seconds is None else values.number(seconds, "--seconds")
    if time_limit <= 0:
        raise UsageError(f"--seconds {seconds}: a number above 0 is needed")
    if output == "-":
        raise UsageError("--output -: relevance models are a file; give it a name")
    passes, room = values.whole(epochs, "--epochs"), values.whole(memory, "--memory") << 20
    drawn_from = values.whole(seed, "--seed", least=0)
    loading = values.loading(
        preprocess=preprocess,
        labels=labels,
        size_=size,
        fit=fit_,
        mean=mean,
        std=std,
        pixel_scale=pixel_scale,
        channels=channels,
        layout=layout,
        range_=None,
        inputs=input_,
        limit=limit,
        max_pixels=max_pixels,
    )
    files = _files(images)
    offer(model)
    import heatcli
    from heatcli.fitting.fitter import Budget
    from heatcli.fitting.job import Job

    explainer = heatcli.load(model, **loading, provider=provider)
    targets = tuple(target or ("top",))
    budget = Budget(memory=room, seconds=time_limit, epochs=passes, seed=drawn_from)
    job = Job(explainer, files, output=output, targets=targets, budget=budget, overwrite=overwrite)
    console = stderr_console(quiet=quiet)
    tensors = all(path.suffix.lower() == ".npy" for path in files)
    telling.assumed(telling.for_tensors(explainer.notes) if tensors else explainer.notes, console)
    failed = job.fitter.failed
    try:
        _fit(job, console, verbose=verbose)
    finally:  # where too few pictures are left, these say why
        _list(failed)
    if json:
        emit(json_text(_record(job), indent=2), lines=True)
    else:
        emit(str(job.output))
    return 1 if failed else 0


def _files(images: Sequence[str]) -> list[Path]:
    """Return the pictures that are named, those of folders and globs included."""
    if STDIN in images:
        raise UsageError("--images -: pictures are gone through several times; give a folder or files")
    items = sources.expand(images).items
    for item in items:
        if item.problem:
            raise UsageError(f"{item.name}: {item.problem}")
        if item.path is None:
            raise UsageError(
                f"--images {item.name}: pictures are gone through several times; give files of this machine"
            )
    pictures = (item.picture() for item in items)
    return [picture for picture in pictures if isinstance(picture, Path)]


def _fit(job: Job, console: Console, *, verbose: bool) -> None:
    """Run ``job``: show how far it is, print a line for every layer, and at the end what is to be known."""
    pictures, begun = len(job.fitter.pictures), time.perf_counter()
    if pictures < FEW:
        console.print(f"{count(pictures, 'picture')}: so few fit a model badly; some thousand are better.")
    _head(job, console)
    try:
        with _stages(console) as show:
            for event in job.run():
                _tell(event, job, console, show, verbose=verbose)
    except KeyboardInterrupt as stop:
        done = sum(job.reports.get(name) is not None for name in job.reports)
        kept = f" and kept in {job.checkpoint}; the same command goes on from there" if done else ""
        stop.args = (f"Interrupted: {done} of {count(job.layers, 'layer')} fitted{kept}.",)
        stderr_console().print(*stop.args, soft_wrap=True)
        raise
    seconds = time.perf_counter() - begun
    used = pictures - len(job.fitter.failed)
    took = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    console.print()
    said = (
        f"Fitted to {count(used, 'picture')} in {took}. error: ⟨(R̂−R)²⟩/⟨R²⟩ of pictures that were held out, sum: "
        "ΣR̂/ΣR of the same; what differs is booked as lost. In brackets: how much of a layer above a place sees, "
        "kernel/stride. `heatcli explain --method deep-taylor-minmax` goes by these models."
    )
    console.print(textwrap.fill(said, min(console.width, WIDEST), break_on_hyphens=False))


def _tell(event: Event, job: Job, console: Console, show: Show, *, verbose: bool) -> None:
    """Show how far a layer is; print what became of it."""
    from heatcli.fitting.fitter import Collecting, Training

    place = f"{len(job.reports) + 1}/{job.layers}"
    name = shorten_middle(visible(event.detection.layer.name), 20)
    if isinstance(event, Collecting):
        show(f"{place} {name}: collecting", event.done, event.pictures)
    elif isinstance(event, Training):
        epochs = job.fitter.budget.epochs
        show(f"{place} {name}: training, error {_share(event.fit.error)}", event.epoch, epochs)
        if verbose:
            console.print(
                f"  pass {event.epoch:3}  error {_share(event.fit.error)}  sum {event.fit.ratio:.3f}  "
                f"silent neurons {event.fit.silent}"
            )
    else:
        console.print(_row(event.detection.layer.name, event.report), no_wrap=True, crop=False)


def _head(job: Job, console: Console) -> None:
    """Print the head of the table, and the layers that were done before."""
    console.print(_line(COLUMNS), style="dim", no_wrap=True, crop=False)
    for name, found in job.reports.items():
        console.print(_row(name, found), no_wrap=True, crop=False)
    if job.resumed:
        console.print(f"  {count(job.resumed, 'layer')} of {job.layers} from {job.checkpoint}", style="dim")


def _row(name: str, found: Report | None) -> Text:
    """Return what became of a layer in a line."""
    if found is None:
        return Text(f"{shorten_middle(visible(name), WIDTHS[0]):{WIDTHS[0]}} too little relevance arrives: it keeps z+")
    grouped = found.groups != found.neurons
    neurons = f"{found.groups}×{found.neurons // found.groups}" if grouped else f"{found.neurons:,}"
    first, *others = found.uppers
    uppers = f"{first} +{len(others)}" if others else first
    if others and len(uppers) > WIDTHS[4]:
        uppers = f"{shorten_middle(visible(first), WIDTHS[4] - 3 - len(str(len(others))))} +{len(others)}"
    cells = (name, found.operation, neurons, f"{found.places:,}", uppers, _thousands(found.samples))
    return Text(_line((*cells, _share(found.error), f"{found.ratio:.2f}")))


def _line(cells: Sequence[str]) -> str:
    """Return cells in their columns: words to the left, numbers to the right."""
    parts = []
    for place, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True)):
        text = shorten_middle(visible(cell), width) if place in (0, 4) else shorten(visible(cell), width)
        parts.append(text.ljust(width) if place in (0, 1, 4) else text.rjust(width))
    return " ".join(parts)


def _share(share: float) -> str:
    return f"{share:.1%}" if math.isfinite(share) else "–"


def _thousands(number: int) -> str:
    return f"{number:,}" if number < 10_000 else f"{number / 1000:.0f}k"


def _list(failed: dict[str, str]) -> None:
    """Print the pictures that could not be read."""
    console = stderr_console()
    if failed:
        console.print(Text(f"{count(len(failed), 'picture')} left out:", style="red"))
    for name, message in list(failed.items())[:LISTED]:
        console.print(Text(f"  {telling.in_a_line(message, name)}"), soft_wrap=True)
    if len(failed) > LISTED:
        console.print(f"  … and {len(failed) - LISTED:,} more.")


def _record(job: Job) -> dict[str, Any]:
    """Return for scripts how every layer was fitted."""
    layers = [
        {"name": name, "fitted": False} if found is None else {**asdict(found), "fitted": True}
        for name, found in job.reports.items()
    ]
    record: dict[str, Any] = plain(
        {
            "path": str(job.output),
            "model": {"path": job.explainer.model.path, "sha256": job.explainer.model.sha256},
            "settings": job.settings,
            "layers": layers,
            "failed": job.fitter.failed,
        }
    )
    return record


@contextmanager
def _stages(console: Console) -> Iterator[Show]:
    """Yield what shows a stage, how far it is and how long; nothing is shown where stderr is no terminal."""
    if not console.is_terminal or console.quiet:
        yield _nothing
        return
    from heatcli.cli.bars import stages

    with stages(console) as show:
        yield show


def _nothing(what: str, done: int, total: int) -> None:
    """Show nothing."""
