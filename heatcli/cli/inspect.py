"""``heatcli inspect``: what a model is made of, which rule every layer gets, what was guessed about its input."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from heatcli.batch.records import json_text, plain
from heatcli.cli import options, unsupported, values
from heatcli.cli.console import emit, stdout_console
from heatcli.cli.fetching import offer
from heatcli.cli.text import count, shorten, shorten_middle
from heatcli.errors import ModelError, UnsupportedModel
from heatcli.visible import visible

if TYPE_CHECKING:
    from heatcli.explainer import Explainer

MOST_LABELS = 200
"""How many characters of the labels, and of each entry of the metadata, are shown."""
WIDEST_OPERATION, NARROWEST_NAME = 13, 8
FRAME = 6
"""Lines around the list of layers: its head, what sums it up, the prompt."""
COLUMNS = ("name", "operation", "family", "rule", "output", "parameters")


def inspect(
    model: options.ModelArgument,
    labels: options.Labels = None,
    method: options.Method = "deep-taylor",
    input_rule: options.InputRule = None,
    rule: options.Rule = None,
    range_: options.Range = None,
    pool: options.PoolOption = None,
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
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.VerboseInspect = False,
    debug: options.Debug = False,  # noqa: ARG001 - main reads it from the arguments
) -> int:
    """Print the layer list: operation, family, rule, shapes; the input, the output, and what was guessed."""
    import heatcli

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
    offer(model)
    try:
        explainer = heatcli.load(model, **loading)
        explainer.network.require_layers()
    except ModelError as error:
        if not json:
            raise
        emit(json_text(unsupported.described(model, error), indent=2), lines=True)
        if isinstance(error, UnsupportedModel):
            raise UnsupportedModel(unsupported.summary(error), error.nodes, error.hint) from error
        raise
    rules = explainer.assigned_rules(
        method=method, input_rule=input_rule, rules=tuple(rule or ()), pool=pool and pool.value
    )
    description = describe(explainer, rules)
    if json:
        emit(json_text(description, indent=2), lines=True)
    else:
        _print(description, stdout_console(), _preprocessing(explainer), quiet=quiet, verbose=verbose)
    return 0


def describe(explainer: Explainer, rules: dict[str, str]) -> dict[str, Any]:
    """Return the whole description as plain data, as ``--json`` prints it."""
    network = explainer.network
    preprocessing = explainer.preprocessing
    description: dict[str, Any] = plain(
        {
            "model": {
                "path": explainer.model.path,
                "sha256": explainer.model.sha256,
                "producer": explainer.model.producer,
                "opset": network.opset,
                "metadata": network.metadata,
            },
            "input": {
                "name": network.input.name,
                "shape": network.input.shape,
                "dtype": network.input.dtype,
                "layout": network.input.layout,
                "size_is_open": network.input.free,
                "raw_pixels": network.input.raw_pixels,
            },
            "constants": [
                {
                    "name": spec.name,
                    "shape": spec.shape,
                    "dtype": spec.dtype,
                    **explainer.inputs[spec.name].record(),
                }
                for spec in network.constants
            ],
            "output": {
                "name": network.output.declared,
                "kind": network.output.kind,
                "classes": network.output.classes,
                "logits": network.output.logits,
                **({"single": True} if network.output.single else {}),
            },
            "preprocessing": None if preprocessing is None else preprocessing.record(),
            "range": _range(explainer),
            "labels": explainer.labels,
            "notes": explainer.notes,
            "layers": [
                {
                    "name": layer.name,
                    "operation": layer.operation,
                    "family": layer.family,
                    "rule": rules.get(layer.name),
                    "inputs": layer.inputs,
                    "output": network.shapes[layer.name],
                    "parameters": layer.parameters,
                }
                for layer in network.layers
            ],
            "totals": {
                "layers": len(network.layers),
                "linear": sum(layer.family == "linear" for layer in network.layers),
                "parameters": sum(layer.parameters for layer in network.layers),
            },
        }
    )
    return description


def _preprocessing(explainer: Explainer) -> str:
    """Return in words how a picture becomes the input, and on whose authority."""
    settled = explainer.preprocessing
    if settled is None:
        return "none: the input is no picture"
    return f"{settled.words()}, {settled.fitting()} (source: {settled.source})"


def _range(explainer: Explainer) -> list[list[float]] | None:
    """Return the lowest and the highest value of the input, one a channel or one for all; None where not known."""
    if explainer.range is not None:
        ends: list[Any] = list(explainer.range)
    elif explainer.preprocessing is not None:
        ends = [end.ravel().tolist() for end in explainer.preprocessing.bounds()]
    else:
        return None
    return [[end] if isinstance(end, int | float) else list(end) for end in ends]


def _print(description: dict[str, Any], console: Console, words: str, *, quiet: bool, verbose: bool) -> None:
    """Print the description: tables within the width of a terminal, or whole lines where piped.

    A list of layers that is longer than the terminal is high is summed up by family, unless ``verbose``.
    """
    header = [(name, visible(text)) for name, text in _header(description, words, verbose=verbose)]
    header += [("assumed", visible(note)) for note in description["notes"]]
    rows = [_row(layer) for layer in description["layers"]]
    totals = description["totals"]
    summary = f"{totals['layers']:,} layers, {totals['linear']:,} of them linear; {totals['parameters']:,} parameters"
    if not console.is_terminal:
        if not quiet:
            for name, text in header:
                console.print(f"{name:14}{text}", soft_wrap=True)
            console.print()
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        for row in (COLUMNS, *rows):
            cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
            console.print("  ".join([*cells, row[-1].rjust(widths[-1])]), soft_wrap=True)
    else:
        if not quiet:
            grid = Table.grid(Column(style="bold", no_wrap=True), padding=(0, 1))
            for name, text in header:
                grid.add_row(Text(name), Text(text))
            console.print(grid)
            console.print()
        if verbose or quiet or len(rows) + len(header) + FRAME <= console.height:
            console.print(_table(rows, console.width, whole=verbose))
        else:
            console.print(_overview(description["layers"]))
            summary += "; -v lists every layer"
    if not quiet:
        console.print(summary)


def _overview(layers: list[dict[str, Any]]) -> Table:
    """Return how many layers of each family there are, by rule and operation."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("family", "rule"):
        table.add_column(name, no_wrap=True)
    table.add_column("layers", justify="right", no_wrap=True)
    table.add_column("operations")
    table.add_column("params", justify="right", no_wrap=True)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for layer in layers:
        groups.setdefault((layer["family"], layer["rule"] or ""), []).append(layer)
    for (family, rule), members in groups.items():
        counted = Counter(visible(layer["operation"]) for layer in members).most_common()
        operations = ", ".join(f"{name} {times}" if times > 1 else name for name, times in counted)
        parameters = sum(layer["parameters"] for layer in members)
        cells = (family, rule, f"{len(members):,}", operations, _rounded(f"{parameters:,}" if parameters else ""))
        table.add_row(*map(Text, cells))
    return table


def _header(description: dict[str, Any], words: str, *, verbose: bool) -> list[tuple[str, str]]:
    """Return what stands above the table, a name and a text a line."""
    model, entry, output = description["model"], description["input"], description["output"]
    produced = f" by {model['producer']}" if model["producer"] else ""
    lines = [
        (
            "model",
            f"{model['path']}, opset {model['opset']}{produced}, sha256 {model['sha256'][: None if verbose else 12]}",
        ),
        ("input", f"{entry['name']} {_shape(entry['shape'])} {entry['dtype']}, layout {entry['layout']}"),
    ]
    if entry["size_is_open"]:
        lines.append(("", "height and width are open in the file (--size)"))
    if entry["raw_pixels"]:
        lines.append(("", f"takes raw pixels: {entry['raw_pixels']}"))
    for place, other in enumerate(description["constants"]):
        held = f"{other['name']} {_shape(other['shape'])} {other['dtype']}, from {other['file'] or 'an array'}"
        lines.append(("" if place else "constants", held))
    lines.append(("preprocessing", words))
    if verbose and description["preprocessing"]:
        lines += [("", evidence) for evidence in description["preprocessing"]["evidence"]]
    if description["range"]:
        low, high = (", ".join(f"{value:g}" for value in dict.fromkeys(end)) for end in description["range"])
        lines.append(("range", f"from {low} to {high}"))
    kinds = {
        "logits": "logits",
        "softmax": f"softmax; explained before it, at {output['logits']}",
        "log-softmax": f"log-softmax; explained before it, at {output['logits']}",
        "sigmoid": f"sigmoid; explained before it, at {output['logits']}",
    }
    what = f"{count(output['classes'], 'class', 'classes')}, {kinds[output['kind']]}"
    if output.get("single"):
        what = f"one number f for 2 classes: 1 has the score f, 0 has −f; explained at {output['logits']}"
    lines.append(("output", f"{output['name']}, {what}"))
    if description["labels"]:
        lines.append(("labels", shorten("; ".join(description["labels"]), MOST_LABELS)))
    if verbose:
        lines += [("metadata", f"{key}: {shorten(value, MOST_LABELS)}") for key, value in model["metadata"].items()]
    return lines


def _row(layer: dict[str, Any]) -> tuple[str, ...]:
    return (
        visible(layer["name"]),
        visible(layer["operation"]),
        layer["family"],
        layer["rule"] or "",
        _shape(layer["output"]),
        f"{layer['parameters']:,}" if layer["parameters"] else "",
    )


def _table(rows: list[tuple[str, ...]], width: int, *, whole: bool) -> Table:
    """Return the layer list as a table that fits ``width``: long names lose their middle, or go on where ``whole``."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("name", overflow="fold")
    for name in ("operation", "family", "rule", "output"):
        table.add_column(name, no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    cells = [(row[0], shorten_middle(row[1], WIDEST_OPERATION), *row[2:-1], _rounded(row[-1])) for row in rows]
    others = [
        max(len(name), *(len(cell) for cell in column))
        for name, column in zip(
            ("operation", "family", "rule", "output", "params"), [*zip(*cells, strict=True)][1:], strict=True
        )
    ]
    room = max(NARROWEST_NAME, width - sum(others) - 2 * len(others))
    for row in cells:
        table.add_row(*(Text(cell) for cell in (row[0] if whole else shorten_middle(row[0], room), *row[1:])))
    return table


def _rounded(parameters: str) -> str:
    """Return a count in at most five characters, such as 110.8k."""
    value = float(parameters.replace(",", "") or 0)
    for sign, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return parameters


def _shape(shape: list[int]) -> str:
    return "×".join(str(side) for side in shape) or "scalar"
