"""What a person is told about an explanation: the best classes, the class explained, the account, what was assumed."""

from __future__ import annotations

import sys
import textwrap
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from heatcli.cli.console import draws_blocks
from heatcli.cli.text import ROUNDING, bar, count, lines_in_bounds, number, shorten, shorten_middle
from heatcli.errors import shown
from heatcli.visible import visible

if TYPE_CHECKING:
    from heatcli.batch.work import Made
    from heatcli.explanation import ClassScore, Explanation
    from heatcli.places.sources import Sources
    from heatcli.relevance.ledger import Ledger

BAR = 20
WIDEST = 100
LISTED = 20
"""How many failures, and how many warnings, are listed at the end; the records have all."""
CLOSES = 1e-3
"""Up to which share of the start the account counts as closed."""


def show(
    made: Sequence[Made],
    *,
    name: str,
    notes: Sequence[str],
    console: Console,
    verbose: bool = False,
    wrote: bool = True,
) -> None:
    """Print everything about one picture: its classes, then each class explained with its account.

    ``wrote`` says the heatmap's file too; it is left out where stdout says the same on the same terminal.
    """
    explained = [entry.explanation for entry in made if entry.explanation is not None]
    first = explained[0]
    console.print(Text(visible(name), style="bold"), soft_wrap=True)
    console.print()
    for line in classes(first.top, {explanation.target for explanation in explained}, console):
        console.print(line, no_wrap=True, overflow="ellipsis", crop=False)
    for entry, explanation in zip(made, explained, strict=True):
        console.print()
        console.print(choice(explanation))
        if explanation.ledger.start != 0 or not explanation.warnings:  # else a warning says the same
            console.print(account(explanation))
        for warning in explanation.warnings:
            console.print(Text.assemble(("Warning: ", "yellow"), visible(warning)))
        if verbose:
            layers(explanation.ledger, console)
        for path in (entry.output if wrote else None, *entry.also):
            if path is not None:
                console.print(Text(f"Wrote {visible(path)}"), soft_wrap=True)
    if notes:
        console.print()
        assumed(notes, console)
    if verbose:
        times = {**first.seconds, "write": made[0].record["seconds"]["write"] or 0.0}
        console.print("Seconds: " + ", ".join(f"{step} {seconds:.3f}" for step, seconds in times.items()))


def classes(top: Sequence[ClassScore], explained: set[int], console: Console) -> list[Text]:
    """Return a line a class: index, label, a bar of its probability, the probability and the score f(x)."""
    rows = [(str(entry.index), visible(entry.label or ""), entry) for entry in top]
    index_width = max(len("class"), *(len(index) for index, _, _ in rows))
    widest = max(len(label) for _, label, _ in rows)
    label_width = min(widest, max(0, min(console.width, WIDEST) - index_width - BAR - 25))
    gap = 2 if label_width else 0
    lines = [
        Text(f"  {'class':>{index_width}}{'':{gap + label_width + BAR + 2}}  {'prob.':>7}  {'f(x)':>8}", style="dim")
    ]
    for index, label, entry in rows:
        line = Text(f"  {index:>{index_width}}{'':{gap}}{shorten(label, label_width):{label_width}}  ")
        line.append(bar(entry.probability, BAR, unicode=draws_blocks(console)), style="red")
        line.append(f"  {percent(entry.probability):>7}  {number(entry.score):>8}")
        if entry.index in explained:
            line.stylize("bold")
        lines.append(line)
    return lines


def choice(explanation: Explanation) -> Text:
    """Return which class is explained, and why that one."""
    best = explanation.top[0].index
    name = f"class {explanation.target}"
    if explanation.label:
        name = f"{shown(explanation.label)} ({name})"
    if explanation.target == best:
        why = ", the class with the highest score; --target explains another"
    else:
        place = next((str(n) for n, entry in enumerate(explanation.top, 1) if entry.index == explanation.target), None)
        why = f", number {place} by score" if place else f", probability {percent(explanation.probability)}"
    rival = explanation.versus
    if rival is not None:
        other = f"{shown(rival.label)} (class {rival.index})" if rival.label else f"class {rival.index}"
        return Text.assemble("Explained: ", (name, "bold"), why.split(";")[0], ", against ", (other, "bold"))
    return Text.assemble("Explained: ", (name, "bold"), why)


def summary(entry: Made) -> str:
    """Return one heatmap of many in a line: the class, the account."""
    target, rival = entry.record["target"], entry.record["settings"].get("versus")
    label = f" {target['label']}" if target["label"] else ""
    line = ledger_line(entry.ledger, entry.record["method"], rival=None if rival is None else rival["index"])
    return f"class {target['index']}{label}; {line}"


def account(explanation: Explanation) -> str:
    """Return the account of an explanation in one line; against a rival it is that of the difference."""
    rival = explanation.versus
    return ledger_line(explanation.ledger, explanation.method, rival=None if rival is None else rival.index)


def ledger_line(ledger: Ledger, method: str, *, rival: int | None = None) -> str:
    """Return the account in one line, such as ``f(x) 17.61 = pixels 15.87 + biases 1.74 + constants 0 + lost 0``."""
    score = f"f(x) {number(ledger.score)}"
    if rival is not None:
        score = f"f(x) − f(x) of class {rival}: {number(ledger.score)}"
    if ledger.biases is None or ledger.constants is None or ledger.lost is None:
        return f"{score}; the map sums to {number(ledger.pixels)} ({method} promises no account)"
    if ledger.start == 0 and rival is None:
        return f"{score} is not positive: no evidence for this class, the map is empty"
    parts = {
        "pixels": ledger.pixels,
        "biases": ledger.biases,
        "constants": ledger.constants,
        "lost": ledger.lost,
    }
    start = ledger.start if ledger.turnover is None else ledger.turnover
    put_in = ledger.start
    head = score if abs(put_in - ledger.score) <= 1e-6 * start else f"{score}; relevance {number(put_in)}"
    line = f"{head} ="
    for place, (name, value) in enumerate(parts.items()):
        negative = value < -ROUNDING * start
        sign = " −" if negative else " +" if place else ""
        line += f"{sign} {'gained' if name == 'lost' and negative else name} {number(abs(value), like=start)}"
    if ledger.error is not None and abs(ledger.error) > CLOSES:
        line += f" (does not close: {number(ledger.error * start)} is missing)"
    return line


def layers(ledger: Ledger, console: Console) -> None:
    """Print the account of every layer, from the class score down to the pixels."""
    if not ledger.layers:
        return
    console.print(f"  {'layer':32} {'rule':13} {'incoming':>9} {'biases':>9} {'lost':>9}", style="dim")
    for row in ledger.layers:
        amounts = " ".join(f"{number(value):>9}" for value in (row.incoming, row.biases, row.lost))
        name = shorten_middle(visible(row.name), 32)
        console.print(f"  {name:32} {shorten(row.rule, 13):13} {amounts}", no_wrap=True, crop=False)


def assumed(notes: Sequence[str], console: Console) -> None:
    """Print what was guessed, each with the option that changes it."""
    if not notes:
        return
    console.print("Assumed:")
    for note in notes:
        lines = textwrap.fill(
            visible(note), console.width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
        console.print(Text(lines))


def left_out(found: Sources, console: Console) -> None:
    """Print which files were there and are not taken."""
    if found.skipped:
        console.print(f"Left out: {count(found.skipped, 'heatmap')} that heatcli wrote.")
    if found.others:
        end = "does not end" if found.others == 1 else "do not end"
        console.print(f"Left out: {count(found.others, 'file')} whose name {end} like a picture's.")


def takers(given: Iterable[str], settings: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Print which of the settings that were ``given`` go to some of the methods only; ``settings`` are by method."""
    for name in given:
        methods = [method for method, fitting in settings.items() if name in fitting]
        if len(methods) < len(settings):
            option = "--rule" if name == "rules" else f"--{name.replace('_', '-')}"
            console.print(f"{option} goes to {', '.join(methods)}; the others have no such setting.")


def failures(messages: Sequence[str], console: Console, *, what: str = "input", total: int | None = None) -> None:
    """Print what failed, the first of them where there are many; ``what`` is one of them.

    ``total`` is how many there are, where ``messages`` holds the first of them.
    """
    total = len(messages) if total is None else total
    if total > 1:
        console.print(Text(f"{count(total, what)} failed:", style="red"))
    for message in messages[:LISTED]:
        lead = "  " if total > 1 else "heatcli: "
        console.print(Text(lead + in_a_line(message)), soft_wrap=True)
    if total > LISTED:
        console.print(f"  … and {total - LISTED:,} more.")


def in_a_line(message: str, name: str = "") -> str:
    """Return a message in one line, as text that can be seen; it is about the input ``name``, and begins with it."""
    if name and name not in message:
        message = f"{name}: {message}"
    if name:
        message = message.replace(name, visible(name))
    return lines_in_bounds(visible(message.replace("\n", " ")))


def trace(error: BaseException) -> None:
    """Print the traceback of ``error`` on stderr."""
    sys.stderr.write(visible("".join(traceback.format_exception(error)), keep_lines=True))


def for_tensors(notes: Sequence[str]) -> list[str]:
    """Return the notes that concern a tensor too: not those on preprocessing, which it does not go through."""
    return [note for note in notes if "--preprocess" not in note and "--pixel-scale" not in note]


def percent(share: float) -> str:
    """Return a probability; what is not zero does not look like zero."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return f"{100 * share:.1f} %"
