"""The whole way from a file of records to a page and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from heatcli.batch import runner
from heatcli.batch.record_stream import LeftOut, stream
from heatcli.batch.records import SCHEMA, Record
from heatcli.cores import cores
from heatcli.errors import Unwritable, UsageError
from heatcli.limits import Limits
from heatcli.places.outputs import check_writable
from heatcli.replacing import replacing
from heatcli.reporting.entries import Gathered, Source
from heatcli.reporting.fields import text
from heatcli.reporting.members import Members
from heatcli.reporting.page import write_page
from heatcli.reporting.places import Places
from heatcli.reporting.rows import row
from heatcli.reporting.tables import csv_table, parquet_table, require_parquet
from heatcli.reporting.thumbnails import Missing, Thumbnail, thumbnail
from heatcli.visible import visible

Opener = Callable[[Record], Path | bytes | None]
"""Finds an image that a record names: a file, the bytes of one, or None where it is not there."""
Bar = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Shows progress: takes how much there is to do, yields what is called after each."""

PAGE = "report.html"
SUMMARY = "summary"
THUMBNAILS = 160
MOST = 5000
EXAMPLES = 10
"""So many missing images are named."""
JOBS = 4
"""So many images are read at a time: each may take some hundred megabytes."""


@dataclass(frozen=True)
class Written:
    """What was written: the ``page``, the ``tables`` beside it, and what is worth telling of it.

    ``records`` is the number of records that there are, ``held`` of those on the page, ``failed`` of those without a
    heatmap; ``missing`` counts images that were not found or not readable, and ``examples`` names some of them;
    ``left_out`` counts the lines that are no record of this schema.
    """

    page: Path
    tables: tuple[Path, ...]
    records: int
    held: int
    failed: int
    missing: int
    examples: tuple[str, ...]
    left_out: int


def write_report(
    records: Path,
    page: Path,
    *,
    thumbnails: int = THUMBNAILS,
    most: int = MOST,
    max_pixels: int = Limits.pixels,
    parquet: bool = False,
    spreadsheet: bool = False,
    open_input: Opener | None = None,
    open_output: Opener | None = None,
    bar: Bar = lambda total: nullcontext(lambda: None),  # noqa: ARG005 - nothing is shown
) -> Written:
    """Write a ``page`` about the file of ``records``, and all of them as rows in a CSV file beside it.

    The page holds the first ``most`` records, with pictures and heatmaps of at most ``thumbnails`` pixels, made
    of those that have no more than ``max_pixels``. A page
    called report.html has summary.csv beside it, one of another name NAME.csv; with ``parquet`` also the same as
    Parquet; for a ``spreadsheet`` no text of the CSV is a formula. ``open_input`` and ``open_output`` are asked first
    for a record's picture and heatmap; where they give none, it is looked for among files and members of archives. They
    get the record's input, output and model, from several threads. An image that is not found is shown as missing.

    Raises UsageError where there are no records of this schema or pyarrow is missing, Unwritable where a file cannot be
    written. Each file appears whole or not at all.
    """
    tables = summaries(page, parquet=parquet)
    check_writable(page.parent)
    if parquet:
        require_parquet()
    gathered, left_out = Gathered(most), LeftOut()
    try:
        with ExitStack() as stack:
            opened = [stack.enter_context(csv_table(tables[0], spreadsheet=spreadsheet))]
            if parquet:
                opened.append(stack.enter_context(parquet_table(tables[1])))
            for record in _records(records, left_out):
                gathered.add(record)
                cells = row(record)
                for table in opened:
                    table.add(cells)
            if not gathered.records:
                raise UsageError(_nothing(records, left_out))
            missing, examples = _write(gathered, records, page, thumbnails, max_pixels, open_input, open_output, bar)
    except OSError as error:
        raise Unwritable(f"cannot write {page}: {error.strerror or error}; give another -o") from error
    return Written(
        page=page,
        tables=tables,
        records=gathered.records,
        held=gathered.held,
        failed=gathered.failed,
        missing=missing,
        examples=examples,
        left_out=left_out.lines,
    )


def summaries(page: Path, *, parquet: bool) -> tuple[Path, ...]:
    """Return the files of the tables beside ``page``."""
    stem = SUMMARY if page.name == PAGE else page.stem
    return tuple(page.with_name(f"{stem}.{kind}") for kind in ("csv", "parquet")[: 1 + parquet])


def _records(path: Path, left_out: LeftOut) -> Iterator[Record]:
    try:
        yield from stream(path, left_out)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give the output folder of `heatcli explain FOLDER -o OUT`") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error


def _nothing(records: Path, left_out: LeftOut) -> str:
    if left_out.foreign:
        kinds = ", ".join(visible(kind) for kind in list(left_out.foreign)[:3])
        return (
            f"{records}: records of schema {kinds}, and this version of heatcli reads schema {SCHEMA}; update heatcli"
        )
    if left_out.torn:
        return f"{records}: no line of it is a record; give the records.jsonl of `heatcli explain FOLDER -o OUT`"
    return f"{records}: holds no records; explain some pictures first"


def _write(
    gathered: Gathered,
    records: Path,
    page: Path,
    side: int,
    max_pixels: int,
    open_input: Opener | None,
    open_output: Opener | None,
    bar: Bar,
) -> tuple[int, tuple[str, ...]]:
    """Write the page; return how many images are missing, and some of them with the reason."""
    places = Places(records.parent, gathered.outputs())
    members = Members(gathered.inputs(), places)

    def open_picture(record: Record) -> Path | bytes | None:
        name = text(record.get("input"))
        known = open_input(record) if open_input is not None else None
        return known or places.input(name) or members.content(name)

    def open_heatmap(record: Record) -> Path | bytes | None:
        known = open_output(record) if open_output is not None else None
        return known or places.output(text(record.get("output")))

    openers: dict[str, Opener] = {"picture": open_picture, "heatmap": open_heatmap}
    missing = 0
    examples: list[str] = []

    def small(source: Source) -> Thumbnail | Missing:
        kind, record = source
        return thumbnail(openers[kind](record), side, max_pixels)

    def images() -> Iterator[Thumbnail | Missing]:
        nonlocal missing
        for outcome in runner.run(gathered.sources, small, executor, ahead=4 * jobs):
            advance()
            found = outcome.result or Missing(str(outcome.error) or type(outcome.error).__name__)
            if isinstance(found, Missing):
                found = Missing(visible(found.reason))
                kind, record = outcome.item
                if record.get("error") is None:  # what failed has no readable picture, and says so itself
                    missing += 1
                    if len(examples) < EXAMPLES:
                        name = text(record.get("input" if kind == "picture" else "output"))
                        examples.append(f"{visible(name or '')}: {found.reason}")
            yield found

    jobs = min(cores(), JOBS)
    with (
        replacing(page, within=page.parent) as stream,
        ThreadPoolExecutor(jobs) as executor,
        bar(len(gathered.sources)) as advance,
    ):
        write_page(stream, gathered.data(places, page), images())
    return missing, tuple(examples)
