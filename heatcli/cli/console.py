"""What eyes see on stderr: the console, and the progress bar of a batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

UNBROKEN = 10_000
"""The width of a console that breaks no lines."""


def stderr_console(*, quiet: bool = False) -> Console:
    """Return a console on stderr that takes text literally: no markup, no emoji codes, no guessed highlights.

    Where stderr is no terminal, lines are left as long as they are.
    """
    console = Console(stderr=True, quiet=quiet, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = UNBROKEN
    return console


def stdout_console() -> Console:
    """Return the same on stdout."""
    return Console(markup=False, emoji=False, highlight=False)


def draws_blocks(console: Console) -> bool:
    """Whether what reads the console knows block characters."""
    return console.encoding.lower().startswith("utf")


def emit(text: str, console: Console | None = None) -> None:
    """Print a line of data on stdout, above the progress bar of ``console`` where both are on one terminal.

    What is piped is UTF-8 whatever the terminal knows, and names of files that are no text keep their bytes.
    """
    if not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", errors="surrogateescape") + b"\n")
        sys.stdout.buffer.flush()
    elif console is not None and console.is_terminal and not console.quiet:
        console.print(text, soft_wrap=True)
    else:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


@contextmanager
def progress(total: int, console: Console, *, what: str = "Explaining") -> Iterator[Callable[[], None]]:
    """Show a bar with count, rate and time left while the block runs; yield what moves it on by one.

    There is no bar where stderr is no terminal, or for a ``total`` of 0.
    """
    if not total or not console.is_terminal or console.quiet:
        yield lambda: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


class _Rate(ProgressColumn):
    """How many are done a second, or the seconds that one takes."""

    def render(self, task: Task) -> Text:
        """Return the rate of ``task``, measured over its last steps."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("  –/s", style="progress.data.speed")
        text = f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"
        return Text(text, style="progress.data.speed")
