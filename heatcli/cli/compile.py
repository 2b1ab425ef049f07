"""``heatcli compile``: the network and its explanation as one ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from heatcli.batch.records import json_text
from heatcli.cli import options, telling, values
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.fetching import offer
from heatcli.errors import UsageError
from heatcli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from heatcli.exporting import Written


def compile_(
    model: options.ModelArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The explainer, an ONNX file.", rich_help_panel=options.OUTPUT
        ),
    ],
    labels: options.Labels = None,
    evidence: options.EvidenceOption = options.Evidence.LOGIT,
    method: options.Method = "deep-taylor",
    input_rule: options.InputRule = None,
    rule: options.Rule = None,
    range_: options.Range = None,
    pool: options.PoolOption = None,
    biases: options.BiasesOption = options.Biases.NEURONS,
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.", rich_help_panel=options.OUTPUT)
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 - main reads it from the arguments
) -> int:
    """Write the network and its explanation as one ONNX model, which needs nothing but a runtime for ONNX."""
    path = Path(output)
    if output == "-":
        raise UsageError("--output -: an explainer is a file; give it a name")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: is there already; --overwrite replaces it, --output writes to another file")
    import heatcli

    offer(model)
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
    )
    explainer = heatcli.load(model, **loading)
    if path.exists() and path.samefile(explainer.model.path):
        raise UsageError(f"{path}: is the model itself; --output needs the name of another file")
    console = stderr_console(quiet=quiet)
    telling.assumed(explainer.notes, console)
    written = explainer.compile(
        path,
        method=method,
        input_rule=input_rule,
        rules=tuple(rule or ()),
        pool=pool and pool.value,
        biases=biases.value,
        evidence=evidence.value,
        relevance_model=relevance_model,
    )
    _show(written, Path(explainer.model.path).stat().st_size, console)
    if json:
        emit(json_text(_record(written), indent=2), lines=True)
    else:
        emit(str(path))
    return 0


def _show(written: Written, model: int, console: Console) -> None:
    """Print what goes in and comes out, how large the file is, and how far it can be trusted."""
    for title, tensors in (("inputs", written.inputs), ("outputs", written.outputs)):
        for place, (name, kind, shape) in enumerate(tensors):
            sides = "×".join(map(str, shape))
            kind = kind.removeprefix("tensor(").removesuffix(")")
            console.print(Text(f"{title if place == 0 else '':8} {visible(name)}  {kind} {sides}"))
    share = f"{written.size / model:.2f} × the model" if model else ""
    console.print(Text(f"{'size':8} {written.size / 1e6:.1f} MB, {share}"))
    if written.difference is not None:
        console.print(Text(f"{'checked':8} differs from the NumPy engine by {written.difference:.0e} of the maximum"))
    for note in written.notes:
        console.print(Text(f"Note: {visible(note)}"))


def _record(written: Written) -> dict[str, Any]:
    return {
        "path": str(written.path),
        "bytes": written.size,
        "difference": written.difference,
        "inputs": [{"name": name, "type": kind, "shape": list(shape)} for name, kind, shape in written.inputs],
        "outputs": [{"name": name, "type": kind, "shape": list(shape)} for name, kind, shape in written.outputs],
        "notes": list(written.notes),
    }
