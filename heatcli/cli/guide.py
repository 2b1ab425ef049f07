"""The page that ``heatcli explain --help-methods`` prints."""

from __future__ import annotations

import shutil
import textwrap

import typer

WIDEST = 100


def print_methods(asked: bool) -> None:
    """Print the page and leave, where it was asked for."""
    if asked:
        typer.echo(page(min(WIDEST, shutil.get_terminal_size().columns)))
        raise typer.Exit


def page(width: int) -> str:
    """Return what is to be known of every method, in lines of ``width``."""
    from heatcli.methods import METHODS
    from heatcli.methods.guide import ADVICE, GUIDES

    parts = []
    for name, method in METHODS.items():
        lines = [f"{name}: {method.summary}"]
        for title, text in GUIDES[name]._asdict().items():
            lead = f"  {title:9} "
            lines.append(
                textwrap.fill(
                    text, width, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
                )
            )
        parts.append("\n".join([textwrap.fill(lines[0], width, break_on_hyphens=False), *lines[1:]]))
    return "\n\n".join([*parts, textwrap.fill(ADVICE, width, break_on_hyphens=False)])
