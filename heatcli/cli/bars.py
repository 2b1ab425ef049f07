"""Progress bars on stderr. They take a while to import: import this where a bar may be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text


@contextmanager
def progress(total: int, console: Console, *, what: str = "Explaining") -> Iterator[Callable[..., None]]:
    """Show a bar with count, rate, failures and time left while the block runs.

    It yields what moves the bar on by one, and takes how many have failed so far. There is no bar where stderr is no
    terminal, or for a ``total`` of 0.
    """
    if not total or not console.is_terminal or console.quiet:
        yield lambda _failed=0: None
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        MofNCompleteColumn(),
        _Failures(),
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
        task = bar.add_task(what, total=total, failed=0)
        yield lambda failed=0: bar.update(task, advance=1, failed=failed)


Show = Callable[[str, int, int], None]
"""Shows what is going on, how much of it is done, and how much it is in all."""


@contextmanager
def stages(console: Console) -> Iterator[Show]:
    """Show one bar for one thing after the other while the block runs."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True, expand=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=1, visible=False)

        def show(what: str, done: int, total: int) -> None:
            if (done <= 1 and total != bar.tasks[0].total) or done < bar.tasks[0].completed:
                bar.reset(task, total=total)
            bar.update(task, description=what, completed=done, total=total, visible=True)

        yield show


class _Failures(ProgressColumn):
    """How many have failed, nothing as long as none has."""

    def render(self, task: Task) -> Text:
        """Return the count of ``task``."""
        failed = task.fields.get("failed", 0)
        return Text(f"{failed:,} failed" if failed else "", style="red")


class _Rate(ProgressColumn):
    """How many are done a second, or the seconds that one takes."""

    def render(self, task: Task) -> Text:
        """Return the rate of ``task``, measured over its last steps."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("  –/s", style="progress.data.speed")
        text = f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"
        return Text(text, style="progress.data.speed")


@contextmanager
def downloading(name: str, size: int, console: Console) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what takes (bytes here, bytes in all) and shows them; None where stderr is no terminal."""
    if not console.is_terminal or console.quiet:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=size)
        yield lambda here, total: bar.update(task, completed=here, total=total)
