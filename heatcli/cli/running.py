"""One run of ``heatcli explain``: prints what comes on both streams and counts what failed."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from heatcli.batch import estimating, records
from heatcli.batch.batch import Batch, Defer, Records
from heatcli.batch.remote_records import record_file
from heatcli.batch.runner import Outcome
from heatcli.batch.watching import Arrivals
from heatcli.batch.work import Made
from heatcli.cli import planned, report, telling
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.text import count, duration
from heatcli.errors import ClusterError, Fault, HeatcliError, OutputError
from heatcli.limits import Limits
from heatcli.places import storage
from heatcli.places.items import Item
from heatcli.places.outputs import RECORDS
from heatcli.places.sources import Sources
from heatcli.visible import visible

MOST = 1000
"""So many different warnings are counted; many hold a number of their own."""
EVERY = 60.0
"""Seconds between two lines on how far a long run is, where stderr is no terminal."""


class Run:
    """Takes the outcomes of ``batch`` one by one; what is for eyes goes to stderr, data to stdout."""

    def __init__(
        self,
        batch: Batch,
        *,
        json: bool = False,
        show: bool = False,
        fail_fast: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
    ) -> None:
        """Keep the options; with ``quiet`` only errors go to stderr."""
        self.batch = batch
        self.json, self.show, self.fail_fast, self.verbose, self.debug = json, show, fail_fast, verbose, debug
        self.console, self.errors = stderr_console(quiet=quiet), stderr_console()
        self.failures: list[str] = []
        self.warnings: Counter[str] = Counter()
        self.said: set[str] = set()

    def over(self, found: Sources, *, resume: bool) -> int:
        """Explain all items and return the exit code.

        Raises an error that is no matter of one item: a usage or model error before anything has succeeded, or that
        nothing more can be written.
        """
        place = self.batch.job.plan.records
        many = len(found.items) > 1 or bool(found.folders)
        telling.left_out(found, self.console)
        with nullcontext() if place is None else record_file(place) as file:
            items = found.items if file is None else self.batch.remaining(found.items, file, resume=resume)
            if many:
                self._announce(found, len(items))
            begun = time.perf_counter()
            with _Stoppable(self, len(items), goes_on=file is not None):
                self.explain(items, file, many=many)
        if many:
            self.conclude(len(items), time.perf_counter() - begun)
        telling.failures(self.failures, self.errors, total=self.batch.failed)
        return 1 if self.batch.failed else 0

    def estimate(self, found: Sources, *, resume: bool) -> int:
        """Print what explaining all items will take, and return the exit code; nothing is written."""
        batch, items = self.batch, found.items
        if (place := batch.job.plan.records) is not None and resume:
            items = batch.unfinished(items, place)
        with self._bar(estimating.steps(batch, items), "Measuring") as moved:
            estimate = estimating.estimate(batch, items, inputs=len(found.items), advance=lambda: moved(0))
        if self.json:
            emit(records.json_text(estimate.record(), indent=2), lines=True)
        else:
            for heading, text in planned.rows(estimate, batch, batch.workers.name):
                emit(f"{heading:<9}{text}")
        return 0

    def report(self, found: Sources, page: Path, limits: Limits) -> None:
        """Write the page of all that is on record; pictures and heatmaps behind URLs are fetched for it."""
        options: dict[str, Any] = {"verbose": self.verbose, "max_pixels": limits.pixels}
        place = self.batch.job.plan.records or ""
        by_name = {item.name: item for item in found.items}

        def picture(record: records.Record) -> Path | bytes | None:
            item = by_name.get(record["input"])
            return None if item is None else item.picture()

        def heatmap(record: records.Record) -> Path | bytes | None:
            place = record.get("output")
            return storage.read(place) if isinstance(place, str) and storage.is_remote(place) else None

        if not storage.is_remote(place):
            report.write(Path(place), page, self.console, open_input=picture, **options)
            return
        with tempfile.TemporaryDirectory(prefix="heatcli-report-") as folder:
            copy = Path(folder) / RECORDS
            with copy.open("wb") as stream:
                storage.fetch(place, stream)
            report.write(copy, page, self.console, open_input=picture, open_output=heatmap, **options)

    def watch(self, look: Callable[[], Sources], *, resume: bool, every: float) -> NoReturn:
        """Explain what is there and what arrives, looking every so many seconds, until an interrupt ends it."""
        plan = self.batch.job.plan
        if plan.records is None:
            raise ValueError("a folder that is watched has records")
        with record_file(plan.records) as file, _Stoppable(self, None, goes_on=True):
            first = look()
            telling.left_out(first, self.console)
            left = {item.name for item in self.batch.remaining(first.items, file, resume=resume)}
            arrivals = Arrivals(plan)
            recorded = arrivals.pass_over(item for item in first.items if item.name not in left)
            self._announce(first, len(left))
            self.console.print("Watching for pictures; Ctrl-C ends it.")
            while True:
                items = arrivals.look(look().items)
                again = recorded.intersection(item.name for item in items)
                if again:
                    file.keep(partial(_of_others, again))
                self.explain(items, file, defer=arrivals.defer)
                recorded.update(item.name for item in items if arrivals.has_taken(item))
                telling.failures(self.failures, self.errors)
                self.failures.clear()
                time.sleep(every)

    def explain(
        self, items: Sequence[Item], file: Records | None, *, many: bool = True, defer: Defer | None = None
    ) -> None:
        """Explain ``items`` and print what comes of each; a progress bar says how far it is."""
        batch = self.batch
        if batch.unsettled and items:
            sample = batch.sample(items)
            with self._bar(len(sample), "Colour scale") as moved:
                batch.settle_scale(sample, lambda: moved(0))
        alone = len(items) == 1 and batch.workers.here
        with self._bar(batch.ready.steps if alone else len(items)) as moved:
            step = (lambda: moved(0)) if alone else None
            for outcome in batch.run(items, file, step=step, defer=defer):
                self._take(outcome, many=many)
                if not alone:
                    moved(batch.failed)
                if outcome.error is not None and self.fail_fast:
                    break

    def conclude(self, total: int, seconds: float) -> None:
        """Print the summary of a batch."""
        for warning, times in self.warnings.most_common(telling.LISTED):
            repeated = f" ({times:,} heatmaps)" if times > 1 else ""
            self.console.print(Text.assemble(("Warning: ", "yellow"), visible(warning), repeated))
        if len(self.warnings) > telling.LISTED:
            self.console.print(
                f"… and {len(self.warnings) - telling.LISTED:,} warnings more; the records hold them all."
            )
        if done := self.batch.done:
            folder = self.batch.job.plan.folder
            where = "the current folder" if folder is None or folder == "." else visible(storage.shown(folder))
            rate = f" ({done / seconds:.2g} a second)" if seconds else ""
            self.console.print(
                f"{count(done, 'input')} of {total:,} explained in {duration(seconds)}{rate}; heatmaps are in {where}."
            )

    def _bar(self, total: int, what: str = "Explaining") -> AbstractContextManager[Callable[[int], None]]:
        """Return a progress bar on a terminal, and a line now and then elsewhere, if there is more than one to do.

        What it yields moves it on by one, and takes how many have failed.
        """
        if total > 1 and self.console.is_terminal:
            from heatcli.cli.bars import progress

            return progress(total, self.console, what=what)
        return nullcontext(_Lines(self.console, total, what))

    def _announce(self, found: Sources, remaining: int) -> None:
        finished = len(found.items) - remaining
        if finished:
            was = "was" if finished == 1 else "were"
            self.console.print(
                f"{count(finished, 'input')} of {len(found.items):,} {was} finished before; --overwrite does all again."
            )
        if remaining:
            telling.assumed(self._notes(pictures=any(not item.is_tensor for item in found.items)), self.console)

    def _notes(self, *, pictures: bool) -> Sequence[str]:
        """Return what was guessed and matters to these inputs; without ``pictures`` all are tensors."""
        notes = self.batch.ready.notes
        return notes if pictures else telling.for_tensors(notes)

    def _take(self, outcome: Outcome[Item, tuple[Made, ...]], *, many: bool) -> None:
        item = outcome.item
        if outcome.result is None:
            error = outcome.error or HeatcliError("nothing was made")
            if not many and isinstance(error, Fault):
                raise error
            self._fail(item, error)
            return
        whole = [made.explanation for made in outcome.result if made.explanation is not None]
        if many:
            self._say_once(outcome.result[0].notes)
        elif whole:
            telling.show(
                outcome.result,
                name=item.called,
                notes=[*self._notes(pictures=whole[0].image is not None), *whole[0].notes],
                console=self.console,
                verbose=self.verbose,
                wrote=self.json or not sys.stdout.isatty(),
            )
        for entry in outcome.result:
            if many:
                self.warnings.update(
                    warning
                    for warning in entry.record["warnings"]
                    if len(self.warnings) < MOST or warning in self.warnings
                )
                if self.verbose:
                    self.console.print(Text(visible(f"{item.called}: {telling.summary(entry)}")), soft_wrap=True)
            if self.show:
                self._preview(entry)
            self._hand_over(entry)

    def _say_once(self, notes: Sequence[str]) -> None:
        """Print what a method assumed, where that has not been said of another picture."""
        telling.assumed([note for note in notes if note not in self.said], self.console)
        self.said.update(notes)

    def _hand_over(self, entry: Made) -> None:
        """Put the result on stdout: the picture itself, its record, or its path."""
        if entry.png is not None:
            sys.stdout.buffer.write(entry.png)
            sys.stdout.buffer.flush()
        elif self.json:
            emit(records.line(entry.record), self.console)
        else:
            emit(str(entry.output), self.console)

    def _fail(self, item: Item, error: Exception) -> None:
        if self.debug and isinstance(error, Fault):
            self.errors.print(Text(visible(error.trace, keep_lines=True)), soft_wrap=True)
        message = str(error) or type(error).__name__
        if len(self.failures) < telling.LISTED:
            self.failures.append(telling.in_a_line(message, item.called))
        if self.json:
            emit(records.line(self.batch.failure(item, error)), self.console)

    def _preview(self, entry: Made) -> None:
        if not self.console.is_terminal or self.console.no_color:
            self.console.print("--show needs a terminal with colours.")
            return
        if entry.shown is None:
            self.console.print("--show: the input of this model is no picture.")
            return
        from heatcli.pictures.terminal import preview

        width = min(self.console.width, 80)
        self.console.print(Text.from_ansi(preview(entry.shown, width)), no_wrap=True, crop=False)


def _of_others(names: Container[str], entry: records.Record) -> bool:
    return entry.get("input") not in names


class _Stoppable(AbstractContextManager[None]):
    """Says where a run ends before its end; there are ``total`` inputs, None where more may come."""

    def __init__(self, run: Run, total: int | None, *, goes_on: bool) -> None:
        self.run, self.total, self.goes_on = run, total, goes_on

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        run = self.run
        done = f"{run.batch.done:,}"
        so_far = f"{done} done" if self.total is None else f"{done} of {count(self.total, 'input')} done"
        if isinstance(error, KeyboardInterrupt):
            again = "; the same command goes on from there" if self.goes_on else ""
            error.args = (f"Interrupted: {so_far}{again}.",)
            with suppress(OSError):  # the terminal may be gone
                run.errors.print(*error.args)
        elif isinstance(error, OutputError | ClusterError):
            again = "; when that is mended, the same command goes on from there" if self.goes_on else ""
            run.errors.print(f"Stopped: {so_far}{again}.")


class _Lines:
    """Prints now and then how far a run is, for a log that somebody reads in the morning."""

    def __init__(self, console: Console, total: int, what: str) -> None:
        self.console, self.total, self.what = console, total, what
        self.done, self.begun = 0, time.monotonic()
        self.last = self.begun

    def __call__(self, failed: int) -> None:
        self.done += 1
        now = time.monotonic()
        if self.total > 1 and now - self.last >= EVERY and self.done < self.total:
            self.last = now
            rate = self.done / (now - self.begun)
            failures = f", {failed:,} failed" if failed else ""
            self.console.print(
                f"{self.what}: {self.done:,} of {self.total:,}{failures}, {rate:.2g} a second, "
                f"{duration((self.total - self.done) / rate)} left"
            )
