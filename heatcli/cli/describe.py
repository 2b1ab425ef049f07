"""``heatcli models describe``: writes down what is known of a model, and tries what is not on known pictures."""

from __future__ import annotations

import re
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heatcli.batch.writing import replacing
from heatcli.cli import options, report, values
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.text import clean, shorten
from heatcli.errors import HeatcliError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from heatcli.describing import Trial
    from heatcli.explainer import Explainer
    from heatcli.pictures.preprocessing import Preprocessing

SHOWN = 10
"""How many of the ways that were tried are listed."""
WIDEST_LABEL = 24


def describe(
    model: options.ModelArgument,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="PICTURE", help="Try the usual ways on a picture of known class. Repeatable."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="The class of that picture, by label or index; once for all, or for each."),
    ] = None,
    labels: options.Labels = None,
    preprocess: options.Preprocess = "auto",
    size: options.Size = None,
    fit: options.FitOption = None,
    mean: options.Mean = None,
    std: options.Std = None,
    pixel_scale: options.PixelScale = None,
    channels: options.ChannelsOption = None,
    layout: options.LayoutOption = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file; - for stdout. Default: beside MODEL."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 - main reads it from the arguments
) -> int:
    """Write MODEL.heatcli.json: preprocessing and labels, so that no option is needed from then on."""
    import heatcli
    from heatcli.pictures.facts import sidecar_path

    if bool(check) != bool(expect):
        raise UsageError("--check PICTURE and --expect LABEL go together: a picture, and the class that it shows")
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
        range_=None,
    )
    explainer = heatcli.load(model, **loading)
    path = sidecar_path(explainer.model.path) if output is None else Path(output)
    if output != "-" and path.exists() and not overwrite:
        raise UsageError(f"{path}: is there already; --overwrite replaces it, --output writes elsewhere")
    console = stderr_console(quiet=quiet)
    settled = explainer.preprocessing
    _present(explainer, console)
    if check and expect:
        certain = {name: value for name, value in loading.items() if name not in ("labels", "range")}
        settled = _tried(explainer, check, expect, certain, console)
    text = written(explainer, settled)
    if output == "-":
        emit(text.rstrip("\n"))
    else:
        with replacing(path) as stream:
            stream.write(text.encode("utf-8"))
        emit(str(path))
    return 0


def written(explainer: Explainer, settled: Preprocessing | None) -> str:
    """Return the sidecar's text: what was settled as numbers, which mean the same whatever presets become."""
    content: dict[str, Any] = {"sha256": explainer.model.sha256}
    if settled is not None:
        network = explainer.network.input
        if network.free or network.layout == "flat":
            content["size"] = list(settled.size)
        content |= {
            "fit": settled.fit,
            "resize": settled.resize,
            "scale": settled.scale,
            "mean": list(settled.mean),
            "std": list(settled.std),
            "channels": settled.channels,
        }
        if settled.layout.startswith("flat"):
            content["layout"] = settled.layout
    content["activation"] = explainer.activation
    if explainer.labels:
        content["labels"] = list(explainer.labels)
    text = dumps({name: value for name, value in content.items() if value is not None}, indent=2, ensure_ascii=False)
    rows = re.compile(r"\[\s+((?:-?[\d.e+-]+,?\s+)+)\]")  # a few numbers read better in one line
    return rows.sub(lambda match: "[" + ", ".join(match[1].replace(",", " ").split()) + "]", text) + "\n"


def _present(explainer: Explainer, console: Console) -> None:
    """Say what is known so far, and on whose authority."""
    settled = explainer.preprocessing
    if settled is None:
        console.print("The input is no picture: there is no preprocessing to describe.")
        return
    console.print(f"Preprocessing: {settled.words()}, {settled.fitting()} (source: {settled.source})")
    report.assumed(explainer.notes, console)
    if not explainer.labels:
        console.print("Labels: none; give them with --labels")


def _tried(
    explainer: Explainer, check: list[str], expect: list[str], certain: dict[str, Any], console: Console
) -> Preprocessing:
    """Try, show what came of it, and return the preprocessing to write. Raises HeatcliError where none is right."""
    from heatcli.describing import trials

    found = trials(explainer, check, expect, certain)
    console.print()
    console.print(f"  {'preset':9} {'channels':8} {'fit':7} {'rank':>7} {'prob.':>8}  best class", style="dim")
    for trial in found[:SHOWN]:
        console.print(_line(trial, explainer), style="bold" if trial.right else None, no_wrap=True)
    right = [trial for trial in found if trial.right]
    if not right:
        raise HeatcliError(
            f"none of {len(found)} ways makes the network right; nothing is written\n"
            "Is --expect its word for this picture? Give what you know by --mean, --std, --pixel-scale, --channels."
        )
    console.print()
    console.print(f"{len(right)} of {len(found)} ways make the network right. ", end="")
    few = len(check) < 3
    console.print("A picture or two is weak evidence; repeat --check with others." if few else "")
    present = explainer.preprocessing
    for trial in right:
        if present is not None and _same(trial.preprocessing, present):
            console.print(
                f"What was settled before is among them, and is kept: {present.words()}, {present.fitting()}."
            )
            return present
    best = right[0].preprocessing
    console.print(f"What was settled before is not; the surest is written instead: {best.words()}, {best.fitting()}.")
    return best


def _same(one: Preprocessing, other: Preprocessing) -> bool:
    names = ("scale", "mean", "std", "channels", "fit", "resize")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _line(trial: Trial, explainer: Explainer) -> str:
    """Return one way in a line: the worst rank, the lowest probability, the first picture's best class."""
    label = explainer.labels[trial.tops[0]] if explainer.labels else f"class {trial.tops[0]}"
    return (
        f"  {trial.preset:9} {trial.channels:8} {trial.fit:7} {max(trial.ranks):>7} "
        f"{100 * min(trial.probabilities):>6.1f} %  {shorten(clean(label), WIDEST_LABEL)}"
    )
