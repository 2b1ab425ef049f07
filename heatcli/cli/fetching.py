"""Known models that are not on this computer yet: offered, and fetched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from heatcli.cli.console import stderr_console

if TYPE_CHECKING:
    from rich.console import Console

    from heatcli.known.registry import Known


def offer(model: str) -> None:
    """Fetch the known model that ``model`` names where it is missing, after asking on a terminal.

    Where nobody can be asked nothing is done: loading the model says then how to fetch it.
    """
    from rich.filesize import decimal

    from heatcli.known.locate import missing

    known = missing(model)
    if known is None or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return
    question = f"{model} is not on this computer yet. Fetch {known.name} ({decimal(known.size)})?"
    if typer.confirm(question, default=True, err=True):
        fetch(known, stderr_console())


def fetch(known: Known, console: Console, *, offline: bool = False) -> str:
    """Fetch ``known`` with a progress bar and return its path."""
    from heatcli.cli.bars import downloading
    from heatcli.known.download import pull as download

    with downloading(known.name, known.size, console) as moved:
        return str(download(known, offline=offline, progress=moved))
