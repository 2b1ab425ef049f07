"""``heatcli models describe``: writes down what is known of a model, and tries what is not on known pictures."""

from __future__ import annotations

import re
import textwrap
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from heatcli.batch.records import json_text
from heatcli.cli import options, telling, values
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.text import count, shorten
from heatcli.errors import HeatcliError, UsageError
from heatcli.opening import read_json
from heatcli.replacing import replacing
from heatcli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from heatcli.describing import Trial
    from heatcli.explainer import Explainer
    from heatcli.pictures.preprocessing import Preprocessing

SHOWN = 10
"""How many of the ways that were tried are listed; --json has all."""
NAMED = 4
"""How many of those that are right are named in the sentence below."""
FEW = 3
"""Fewer pictures than this are weak evidence."""
WIDEST_LABEL = 28
WIDEST_CONTENT = 200
"""How many characters are shown of a file that is there."""


class Activation(StrEnum):
    """What makes probabilities of logits."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


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
    activation: Annotated[
        Activation | None,
        typer.Option(
            "--activation",
            help="What makes probabilities of a network that ends in logits; sigmoid where every class is a yes or no "
            "of its own. Default: softmax.",
            rich_help_panel=options.CLASS,
        ),
    ] = None,
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
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file; - for stdout. Default: beside MODEL.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.", rich_help_panel=options.OUTPUT)
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 - main reads it from the arguments
) -> int:
    """Write MODEL.heatcli.json: preprocessing and labels, so that no option is needed from then on."""
    import heatcli
    from heatcli.describing import chosen, sidecar, trials
    from heatcli.pictures.facts import sidecar_path

    if bool(check) != bool(expect):
        raise UsageError("--check PICTURE and --expect LABEL go together: a picture, and the class that it shows")
    if json and output == "-":
        raise UsageError("--json and --output - would both write to stdout; give one of them")
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
        inputs=input_,
        limit=limit,
        max_pixels=max_pixels,
    )
    explainer = heatcli.load(model, **loading)
    if activation is not None:
        explainer.activation = activation.value
    path = sidecar_path(explainer.model.path) if output is None else Path(output)
    if output != "-":
        _refuse(path, explainer, overwrite=overwrite)
    console = stderr_console(quiet=quiet)
    certain = {name: value for name, value in loading.items() if name not in ("labels", "range", "inputs", "limits")}
    _present(explainer, console, labels=labels, activation=activation)
    settled, found = explainer.preprocessing, []
    if check and expect:
        found = trials(explainer, check, expect, certain)
        settled = chosen(explainer, found, certain)
        _show(found, explainer, console)
        _conclude(found, explainer, settled, len(check), console)
    written = None if found and settled is None else sidecar(explainer, settled)
    if written is not None and output == "-":
        emit(_text(written).rstrip("\n"), lines=True)
    elif written is not None:
        with replacing(path, within=path.parent if output is None else None) as stream:
            stream.write(_text(written).encode("utf-8"))
    if json:
        beside = None if written is None else str(path)
        told = {"path": beside, "content": written, "trials": [_record(trial) for trial in found]}
        emit(json_text(told, indent=2), lines=True)
    elif written is not None and output != "-":
        emit(str(path))
    if written is None:
        raise HeatcliError(
            f"none of {len(found)} ways makes the network right; nothing is written\n"
            "Is --expect its word for this picture? Give what you know by --mean, --std, --pixel-scale, --channels."
        )
    return 0


def _refuse(path: Path, explainer: Explainer, *, overwrite: bool) -> None:
    """Refuse a place where something is that must stay."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; --output needs the name of a file")
    if not path.exists():
        return
    if path.samefile(explainer.model.path):
        raise UsageError(f"{path}: is the model itself; --output needs the name of another file")
    if not overwrite:
        raise UsageError(
            f"{path}: is there already{_says(path)}\n--overwrite replaces it, --output writes to another file"
        )


def _says(path: Path) -> str:
    """Return in a line what a sidecar says, empty where the file is none."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return ""
    if not isinstance(content, dict):
        return ""
    parts: list[str] = []
    for key, value in content.items():
        if key == "labels" and isinstance(value, list):
            parts.insert(0, count(len(value), "label"))
        elif key != "sha256":
            parts.append(f"{key} {_short(value)}")
    return f" and says: {shorten('; '.join(parts), WIDEST_CONTENT)}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _text(content: dict[str, Any]) -> str:
    """Return the sidecar's text."""
    text = dumps(content, indent=2, ensure_ascii=False)
    rows = re.compile(r"\[\s+((?:-?[\d.e+-]+,?\s+)+)\]")  # a few numbers read better in one line
    return rows.sub(lambda match: "[" + ", ".join(match[1].replace(",", " ").split()) + "]", text) + "\n"


def _record(trial: Trial) -> dict[str, Any]:
    return {
        "preset": trial.preset,
        "right": trial.right,
        "ranks": trial.ranks,
        "probabilities": trial.probabilities,
        "tops": trial.tops,
        "preprocessing": trial.preprocessing.record(),
    }


def _present(explainer: Explainer, console: Console, *, labels: str | None, activation: Activation | None) -> None:
    """Say what is known so far, and on whose authority."""
    settled = explainer.preprocessing
    if settled is None:
        _say(console, "Preprocessing: none, the input is no picture")
    else:
        _say(console, f"Preprocessing: {settled.words()}, {settled.fitting()}")
        for place, evidence in enumerate(settled.evidence):
            _say(console, f"{'by' if place == 0 else 'then by'} {evidence}", indent=2)
    if explainer.labels:
        first = "; ".join(explainer.labels[:3]) + ("; …" if len(explainer.labels) > 3 else "")
        _say(console, f"Labels: {len(explainer.labels)}, {_labels_from(explainer, labels)}: {first}")
    else:
        _say(console, "Labels: none; give them with --labels")
    if explainer.network.output.kind == "logits":
        whence = "given: --activation" if activation else "change with --activation"
        _say(console, f"Probabilities: {explainer.activation} of the logits ({whence})")
    elif activation:
        _say(console, "Probabilities: the network's own; --activation changes nothing here")
    telling.assumed(explainer.notes, console)


def _labels_from(explainer: Explainer, given: str | None) -> str:
    """Return who says what the classes are called, in the order that ``heatcli.load`` goes by."""
    from heatcli.pictures.facts import read_sidecar, sidecar_path

    if given:
        return f"given: --labels {given}"
    if read_sidecar(explainer.model.path).get("labels"):
        return f"stated in {sidecar_path(explainer.model.path).name}"
    own = any(note.startswith("labels are the model's own") for note in explainer.notes)
    return "stated in the model's metadata" if own else "on record for this known model"


def _show(found: Sequence[Trial], explainer: Explainer, console: Console) -> None:
    """Print the table of what was tried: the best ways, and the one in force wherever it stands."""
    console.print()
    head = f"  {'preset':9} {'channels':8} {'fit':7} {'rank':>6} {'prob.':>8}  best class"
    console.print(Text(head, style="dim"), no_wrap=True)
    here = [trial.preprocessing == explainer.preprocessing for trial in found]
    shown = [place for place in range(len(found)) if place < SHOWN or here[place]]
    for place in shown:
        line = ("*" if here[place] else " ") + _line(found[place], explainer)
        console.print(Text(line, style="bold" if found[place].right else ""), no_wrap=True)
    left = len(found) - len(shown)
    _say(
        console, "* in force before this check" + (f"; not listed: {count(left, 'way')} that did worse" if left else "")
    )
    console.print()


def _line(trial: Trial, explainer: Explainer) -> str:
    """Return one way in a line: the worst rank, the lowest probability, the best class of the picture it is from."""
    worst = max(range(len(trial.ranks)), key=lambda place: (trial.ranks[place], -trial.probabilities[place]))
    top = trial.tops[worst]
    label = "scores are not finite" if top is None else explainer.labels[top] if explainer.labels else f"class {top}"
    return (
        f" {trial.preset:9} {trial.channels:8} {trial.fit:7} {max(trial.ranks):>6} "
        f"{_percent(min(trial.probabilities)):>8}  {shorten(visible(label), WIDEST_LABEL)}"
    )


def _percent(share: float) -> str:
    """Return a probability; what is not zero does not look like zero."""
    return f"{100 * share:.1f} %" if share >= 0.001 else "<0.1 %"


def _conclude(
    found: Sequence[Trial], explainer: Explainer, settled: Preprocessing | None, pictures: int, console: Console
) -> None:
    """Say which ways are right, how much that means, and which one is written."""
    right = [trial for trial in found if trial.right]
    shown = "the picture" if pictures == 1 else f"all {pictures} pictures"
    if right:
        names = [f"{trial.preset} {trial.channels} {trial.fit}" for trial in right[:NAMED]]
        more = f" and {len(right) - NAMED} more" if len(right) > NAMED else ""
        _say(console, f"Right for {shown}: {', '.join(names)}{more}; {len(right)} of {len(found)} ways.")
    if pictures < FEW:
        _say(
            console,
            f"{'One picture is' if pictures == 1 else 'Two pictures are'} weak evidence; repeat --check with others.",
        )
    present = explainer.preprocessing
    if settled is None:
        return
    said = f"{settled.words()}, channels {settled.channels}, {settled.fitting()}"
    if settled != present:
        _say(console, f"The way in force is not right, so the best that is right is written instead: {said}.")
    elif any(trial.preprocessing == present for trial in right):
        _say(console, f"The way in force is among them and is written: {said}.")
    else:
        _say(console, f"Warning: what the options say is written, though it makes the network wrong: {said}.")


def _say(console: Console, text: str, *, indent: int = 0) -> None:
    """Print a sentence within the width of the terminal."""
    lead = " " * indent
    lines = textwrap.fill(
        visible(text), console.width, initial_indent=lead, subsequent_indent=lead + "  ", break_on_hyphens=False
    )
    console.print(Text(lines))
