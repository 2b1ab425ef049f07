"""``heatcli report``: a page to look at, and a table, of the records that ``heatcli explain`` left in a folder."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heatcli.cli import options, values
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.text import count, lines_in_bounds
from heatcli.errors import UsageError
from heatcli.limits import Limits
from heatcli.places.outputs import RECORDS, check_writable
from heatcli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from heatcli.reporting import Written

PAGE = "report.html"
SUFFIXES = (".html", ".htm")
MOST_HELD = 50_000
"""Browsers draw no page that is much longer than so many pictures in two columns."""


def report(
    explained: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Output folder of `heatcli explain FOLDER -o OUT`, or the file of records itself.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The page, or its folder. Default: report.html in OUT. The table is written beside it.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    thumbnails: Annotated[
        str,
        typer.Option(
            metavar="PIXELS",
            help="Longer side of the pictures in the page: 160 take about 7 kB for a picture with its heatmap.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = "160",
    most: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="So many heatmaps are on the page, the first of the run; the table always has all.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = "5000",
    max_pixels: Annotated[
        str | None,
        typer.Option(
            "--max-pixels",
            metavar="N",
            help="Pictures with more pixels are not shown; default 80M. `explain` takes the same.",
            rich_help_panel=options.STRANGERS,
        ),
    ] = None,
    parquet: Annotated[
        bool,
        typer.Option(
            "--parquet", help="Also write the table as Parquet (needs pyarrow).", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet",
            help="Put an apostrophe before texts of the CSV that a spreadsheet would compute, such as =1+1.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Print more: which pictures are missing.", rich_help_panel=options.RUN),
    ] = False,
    debug: options.Debug = False,  # noqa: ARG001 - what shows the error reads it from the command line
) -> int:
    """Write a page to look at, and a table, of what was explained: to search, sort and compare."""
    records = _records(explained)
    page = records.with_name(PAGE) if output is None else page_at(output)
    check_writable(page.parent)
    side, held = values.whole(thumbnails, "--thumbnails"), values.whole(most, "--most")
    if held > MOST_HELD:
        raise UsageError(f"--most {held}: a page holds at most {MOST_HELD:,} heatmaps; the table has all")
    from heatcli.reporting.thumbnails import LARGEST, SMALLEST

    if not SMALLEST <= side <= LARGEST:
        raise UsageError(f"--thumbnails {side}: sides from {SMALLEST} to {LARGEST} pixels are possible")
    console = stderr_console(quiet=quiet)
    tables = {"parquet": parquet, "spreadsheet": spreadsheet}
    pixels = Limits.of(values.limits(None, max_pixels)).pixels
    written = write(records, page, console, verbose=verbose, thumbnails=side, most=held, max_pixels=pixels, **tables)
    if json:
        from heatcli.batch.records import json_text

        told = {
            "page": str(written.page),
            "tables": [str(path) for path in written.tables],
            **{name: getattr(written, name) for name in ("records", "held", "failed", "missing", "left_out")},
        }
        emit(json_text(told), console)
    else:
        for path in (written.page, *written.tables):
            emit(str(path), console)
    return 0


def page_at(output: str) -> Path:
    """Return the file of the page that ``output`` names, itself or by its folder; raises UsageError for other files."""
    if output in ("", "-"):
        raise UsageError(f"-o {output}: a page is written to a file; give a name that ends in .html, or a folder")
    if os.path.isdir(output) or output.endswith(("/", os.sep)):  # noqa: PTH112 - closed folders raise
        return Path(output) / PAGE
    page = Path(output)
    if page.suffix.lower() not in SUFFIXES:
        raise UsageError(f"-o {output}: a page is written as HTML; give a name that ends in .html, or a folder")
    return page


def write(records: Path, page: Path, console: Console, *, verbose: bool = False, **options: Any) -> Written:
    """Write the page and its tables with a progress bar, and print what there is to know of them.

    ``options`` are those of ``reporting.write_report``; its errors are raised.
    """
    from heatcli.reporting import write_report

    written = write_report(records, page, bar=lambda total: _bar(total, console), **options)
    _tell(written, console, verbose=verbose)
    return written


def _records(explained: str) -> Path:
    """Return the file of records."""
    path = Path(explained)
    if not os.path.lexists(path):
        raise UsageError(f"{explained}: no such folder; give the output folder of `heatcli explain FOLDER -o OUT`")
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib raises where a folder above is closed to us
        return path
    records = path / RECORDS
    if not os.path.lexists(records):
        raise UsageError(
            f"{explained}: holds no {RECORDS}; `heatcli explain FOLDER -o OUT` writes one where a folder is explained"
        )
    return records


def _bar(total: int, console: Console) -> AbstractContextManager[Callable[[], None]]:
    """Return a progress bar on a terminal."""
    if not console.is_terminal:
        return nullcontext(lambda: None)
    from heatcli.cli.bars import progress

    return progress(total, console, what="Making small pictures")


def _tell(written: Written, console: Console, *, verbose: bool) -> None:
    """Print what there is to know of the page."""
    made = count(written.records - written.failed, "heatmap")
    failed = f" and {count(written.failed, 'failure')}" if written.failed else ""
    console.print(f"{made}{failed} in a page of {_size(written.page)}: {visible(str(written.page))}", soft_wrap=True)
    if written.held < written.records:
        console.print(
            f"The page holds the first {written.held:,} of {written.records:,} records (--most); "
            f"{visible(written.tables[0].name)} has all."
        )
    if written.missing:
        were = "was" if written.missing == 1 else "were"
        console.print(
            f"{count(written.missing, 'picture')} {were} not found or not readable; the page says so in their place."
        )
        for example in written.examples if verbose else ():
            console.print(f"  {lines_in_bounds(visible(example))}", soft_wrap=True)
    if written.left_out:
        console.print(f"Left out: {count(written.left_out, 'line')} of the records that this version cannot read.")


def _size(path: Path) -> str:
    """Return how large a file is."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
