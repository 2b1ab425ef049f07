"""The tables of an evaluation: what was measured of every method, within the width of a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from heatcli.cli.text import count, shorten_middle
from heatcli.visible import visible

if TYPE_CHECKING:
    from heatcli.evaluation.perturbation import Perturbation
    from heatcli.evaluation.results import Evaluation
    from heatcli.evaluation.sanity import Sanity

NAME, STAGE = 22, 18
"""How wide names of methods and of layers are, at most."""
ABREAST = 5
"""So many methods stand side by side where stages are rows."""
FILLED = {"mean": "the mean colour", "blur": "a blur of the picture", "noise": "noise"}


def show(found: Evaluation, console: Console, *, output: str, quiet: bool) -> None:
    """Print a table for every check that was made, each with what its figures mean unless ``quiet``.

    ``output`` is what perturbation watched.
    """
    tables = [*_conservation(found), *_perturbation(found, output), *_localisation(found), *_sanity(found)]
    for place, (title, table, words) in enumerate(tables):
        if place:
            console.print()
        console.print(Text(title, style="bold"), soft_wrap=not console.is_terminal)
        console.print(table)
        if words and not quiet:
            console.print(Text(words), soft_wrap=not console.is_terminal)


Section = tuple[str, Table, str]


def _conservation(found: Evaluation) -> Iterator[Section]:
    """Yield the paper's Table 1, filled by measurement."""
    if not found.conservation:
        return
    first = found.conservation[0]
    title = f"Conservation and positivity, {count(first.pictures, 'picture')}"
    if first.empty:
        title += f" ({first.empty:,} without evidence, f(x) ≤ 0, left out)"
    headers = (
        "conser-\nvative",
        "posi-\ntive",
        "consis-\ntent",
        "mean\nΣR/f",
        "worst\n|ΣR−f|/f",
        "to\nbiases",
        "R<0",
        "s each",
    )
    table = _table("method", *headers, gap=1)
    for entry in found.conservation:
        known = entry.pictures > 0
        _row(
            table,
            entry.method,
            _yes(entry.conservative) if known else "–",
            _yes(entry.positive),
            _yes(entry.consistent) if known else "–",
            _figure(entry.ratio, 3),
            _small(entry.worst),
            "" if entry.biases is None else _share(entry.biases),
            _share(entry.negative),
            "" if entry.seconds is None else f"{entry.seconds:.2g}",
        )
    words = "Conservative: |ΣR − f|/f below 0.001 on every picture, by the pixels alone."
    closing = [entry for entry in found.conservation if entry.closes and not entry.conservative]
    if closing:
        names, verb = ", ".join(visible(entry.method) for entry in closing), "closes" if len(closing) == 1 else "close"
        worst = _small(max(entry.missing or 0.0 for entry in closing))
        words += f" With what biases drew, {names} {verb} to {worst}; --biases ignore leaves all to the pixels."
    yield title, table, words


def _perturbation(found: Evaluation, output: str) -> Iterator[Section]:
    """Yield one table a filling: the areas over both curves, and their difference."""
    for filling in dict.fromkeys(entry.filling for entry in found.perturbation):
        entries = [entry for entry in found.perturbation if entry.filling == filling]
        first = entries[0]
        title = f"Perturbation, {count(first.pictures, 'picture')}: regions give way to {FILLED[filling]}"
        table = _table("order", "most relevant\nfirst", "least relevant\nfirst", "difference")
        for entry in entries:
            spread = "" if math.isnan(entry.error) else f" ± {entry.error:.3f}"
            _row(
                table,
                entry.name,
                _figure(entry.area_most, 3),
                _figure(entry.area_least, 3),
                f"{_figure(entry.difference, 3)}{spread}",
            )
        counts = ", ".join(f"{round(share * found.regions)}" for share in first.shares)
        words = f"Mean drop of the class's {output} without {counts} of {found.regions} regions"
        words += "; ± is the standard error." if first.pictures > 1 else "."
        if output == "probability" and all(_still(entry) for entry in entries):
            words += " It hardly changed; --drop score watches the score."
        yield title, table, words


def _still(entry: Perturbation) -> bool:
    """Whether what was watched never changed by as much as the table shows."""
    return max(map(abs, (*entry.most, *entry.least))) < 0.0005


def _localisation(found: Evaluation) -> Iterator[Section]:
    if not found.localisation:
        return
    first = found.localisation[0]
    title = f"Localisation, {count(first.pictures, 'picture')}; objects take {_share(first.area)} of the area"
    table = _table("map", "points at the object", "relevance inside")
    for entry in found.localisation:
        _row(table, entry.name, f"{entry.hits:,} of {entry.pictures:,}", _figure(entry.inside, 3))
    box = "the strongest pixel" if found.window == 1 else f"the box of {found.window}×{found.window} pixels with most"
    yield title, table, f"A map points at the middle of {box}; inside is the share of positive relevance."


def _sanity(found: Evaluation) -> Iterator[Section]:
    """Yield tables whose rows are stages and whose columns are methods, some at a time."""
    for begin in range(0, len(found.sanity), ABREAST):
        entries = found.sanity[begin : begin + ABREAST]
        title = f"Sanity, {count(entries[0].pictures, 'picture')}: weights in disorder from the scores down"
        table = _table("layers, down to", *(_folded(visible(entry.method)) for entry in entries))
        for place, stage in enumerate(entries[0].stages):
            name = f"{stage.layers:>3} {shorten_middle(visible(stage.name), STAGE)}"
            _row(table, name, *(_pair(entry, place) for entry in entries))
        yield title, table, _of_sanity(found) if begin + ABREAST >= len(found.sanity) else ""


def _of_sanity(found: Evaluation) -> str:
    """Say what the figures of the sanity check mean, and where they rest on few pictures."""
    fewest = min(compared for entry in found.sanity for compared in entry.compared)
    few = f" Where maps became empty the means are over fewer, {fewest:,} at least."
    return (
        "Rank correlation and structural similarity of |R| with the map before: the lower, the more a map depends on "
        "what was learned. Maps of positive rules are known to change little."
    ) + (few if fewest < found.sanity[0].pictures else "")


def _pair(entry: Sanity, place: int) -> str:
    return f"{_figure(entry.spearman[place], 2)} {_figure(entry.ssim[place], 2)}"


def _folded(name: str, width: int = 10) -> str:
    """Return a method's name in lines, broken behind its hyphens."""
    lines = [""]
    for part in name.replace("-", "-\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _table(first: str, *others: str, gap: int = 2) -> Table:
    """Return an empty table, numbers to the right; columns are ``gap`` characters apart."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, gap - 1, 0, 0))
    table.add_column(Text(first), no_wrap=True)
    for other in others:
        table.add_column(Text(other, justify="right"), justify="right", no_wrap=True, vertical="bottom")
    return table


def _row(table: Table, name: str, *cells: str) -> None:
    table.add_row(Text(shorten_middle(visible(name), NAME)), *map(Text, cells))


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _figure(value: float, digits: int) -> str:
    """Return a figure with so many digits behind the point, – for what is no number."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.3g}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def _small(value: float) -> str:
    """Return a deviation in at most seven characters."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if 0.001 <= value < 1000 else f"{value:.0e}" if value else "0"


def _share(value: float) -> str:
    """Return a share in per cent; what is not zero does not look like zero."""
    if not math.isfinite(value):
        return "–"
    return "<1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %".replace("-", "−")
