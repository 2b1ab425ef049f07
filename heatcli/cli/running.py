"""One run of ``heatcli explain``: prints what comes on both streams, keeps the records, counts what failed."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from heatcli.batch import records, resuming
from heatcli.batch.items import Item
from heatcli.batch.records import RecordFile
from heatcli.batch.runner import AtOnce, Outcome
from heatcli.batch.sources import Sources
from heatcli.batch.work import Made, Work
from heatcli.cli import telling
from heatcli.cli.console import emit, stderr_console
from heatcli.cli.text import clean, count
from heatcli.errors import HeatcliError, ModelError, UsageError


class Run:
    """Takes the outcomes of ``work`` one by one; what is for eyes goes to stderr, data to stdout."""

    def __init__(
        self,
        work: Work,
        steps: int,
        *,
        json: bool = False,
        show: bool = False,
        fail_fast: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
    ) -> None:
        """Keep the options; a picture takes so many ``steps``; with ``quiet`` only errors go to stderr."""
        self.work, self.steps = work, steps
        self.json, self.show, self.fail_fast, self.verbose, self.debug = json, show, fail_fast, verbose, debug
        self.console, self.errors = stderr_console(quiet=quiet), stderr_console()
        self.done = 0
        self.failed: list[str] = []
        self.warnings: Counter[str] = Counter()
        self.said: set[str] = set()

    def over(self, found: Sources, *, jobs: int, resume: bool) -> int:
        """Explain all items with ``jobs`` at a time and return the exit code.

        Raises an error that is no matter of one item: a usage or model error before anything has succeeded.
        """
        items, kept = self._remaining(found, resume=resume)
        records_path = self.work.plan.records
        many = len(found.items) > 1 or bool(found.folders)
        telling.left_out(found, self.console)
        if many:
            self._announce(found, len(items))
        begun = time.perf_counter()
        try:
            with (
                nullcontext() if records_path is None else RecordFile(records_path, kept) as file,
                AtOnce() if len(items) == 1 else ThreadPoolExecutor(jobs) as executor,
                self._bar(self.steps if len(items) == 1 else len(items) * self.work.passes) as advance,
            ):
                for outcome in self._outcomes(items, executor, advance, ahead=2 * jobs):
                    self._take(outcome, file, many=many)
                    if outcome.error is not None and self.fail_fast:
                        break
        except KeyboardInterrupt:
            again = "; the same command goes on from there" if records_path is not None else ""
            self.errors.print(f"Interrupted: {self.done:,} of {count(len(items), 'input')} done{again}.")
            raise
        if many:
            self._conclude(len(items), time.perf_counter() - begun)
        telling.failures(self.failed, self.errors)
        return 1 if self.failed else 0

    def _outcomes(
        self, items: Sequence[Item], executor: Executor, advance: Callable[[], None], *, ahead: int
    ) -> Iterator[Outcome[Item, tuple[Made, ...]]]:
        """Explain ``items``; ``advance`` is called after each, or where there is only one after each step of it."""
        if len(items) == 1:
            return replace(self.work, step=advance).run(items, executor, ahead=1)
        return self.work.run(items, executor, ahead=ahead, advance=advance)

    def _bar(self, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Return a progress bar on a terminal, if there is more than one thing to do."""
        if total > 1 and self.console.is_terminal:
            from heatcli.cli.bars import progress

            return progress(total, self.console)
        return nullcontext(lambda: None)

    def _remaining(self, found: Sources, *, resume: bool) -> tuple[Sequence[Item], Sequence[records.Record]]:
        """Return the items that are to do, and the records of an earlier run to keep."""
        path = self.work.plan.records
        if path is None:
            return found.items, ()
        # one colour scale for all needs every picture anew, and no model has an empty checksum
        sha256 = self.work.explainer.model.sha256 if resume and self.work.passes == 1 else ""
        return resuming.split(found.items, records.read(path), sha256=sha256, options=self.work.options)

    def _announce(self, found: Sources, remaining: int) -> None:
        finished = len(found.items) - remaining
        if finished:
            was = "was" if finished == 1 else "were"
            self.console.print(
                f"{count(finished, 'input')} of {len(found.items):,} {was} finished before; --overwrite does all again."
            )
        if remaining:
            telling.assumed(self._notes([item for item in found.items if not item.is_tensor]), self.console)

    def _notes(self, pictures: Sequence[Item]) -> Sequence[str]:
        """Return what was guessed and matters to these inputs; without ``pictures`` all are tensors."""
        notes = self.work.explainer.notes
        return notes if pictures else telling.for_tensors(notes)

    def _take(self, outcome: Outcome[Item, tuple[Made, ...]], file: RecordFile | None, *, many: bool) -> None:
        item = outcome.item
        if outcome.result is None:
            error = outcome.error or HeatcliError("nothing was made")
            everyones = isinstance(error, UsageError | ModelError) and not self.done
            if everyones or not (many or isinstance(error, HeatcliError)):
                raise error
            self._fail(item, error, file)
            return
        self.done += 1
        if file is not None:
            file.add(*(entry.record for entry in outcome.result))
        if not many:
            telling.show(
                outcome.result,
                name=item.called,
                notes=[
                    *self._notes([item] if outcome.result[0].explanation.image is not None else []),
                    *outcome.result[0].explanation.notes,
                ],
                console=self.console,
                verbose=self.verbose,
                wrote=self.json or not sys.stdout.isatty(),
            )
        else:
            self._say_once(outcome.result[0].explanation.notes)
        for entry in outcome.result:
            if many:
                self.warnings.update(entry.explanation.warnings)
                if self.verbose:
                    self.console.print(_summary(item, entry), soft_wrap=True)
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
            path = str(entry.output)
            emit(clean(path) if sys.stdout.isatty() else path, self.console)

    def _fail(self, item: Item, error: Exception, file: RecordFile | None) -> None:
        if self.debug:
            traceback.print_exception(error)
        message = str(error) or type(error).__name__
        if not isinstance(error, HeatcliError):
            message = f"unexpected {type(error).__name__}: {message}"
        self.failed.append(message if item.called in message else f"{item.called}: {message}")
        entry = self.work.failure(item, error)
        if file is not None:
            file.add(entry)
        if self.json:
            emit(records.line(entry), self.console)

    def _preview(self, entry: Made) -> None:
        if not self.console.is_terminal or self.console.no_color:
            self.console.print("--show needs a terminal with colours.")
            return
        if entry.explanation.heatmap.ndim != 2:
            self.console.print("--show: the input of this model is no picture.")
            return
        from heatcli.pictures.terminal import preview

        image = entry.explanation.render(**entry.drawn)
        self.console.print(Text.from_ansi(preview(image, min(self.console.width, 80))), no_wrap=True, crop=False)

    def _conclude(self, total: int, seconds: float) -> None:
        """Print the summary of a batch."""
        for warning, times in self.warnings.most_common(telling.LISTED):
            repeated = f" ({times:,} heatmaps)" if times > 1 else ""
            self.console.print(Text.assemble(("Warning: ", "yellow"), clean(warning), repeated))
        if len(self.warnings) > telling.LISTED:
            self.console.print(
                f"… and {len(self.warnings) - telling.LISTED:,} warnings more; the records hold them all."
            )
        if self.done:
            plan = self.work.plan
            where = "the current folder" if plan.folder in (None, Path()) else clean(str(plan.folder))
            rate = f" ({self.done / seconds:.2g} a second)" if seconds else ""
            self.console.print(
                f"{count(self.done, 'input')} of {total:,} explained in {seconds:.1f} s{rate}; heatmaps are in {where}."
            )


def _summary(item: Item, entry: Made) -> Text:
    """Return one heatmap in a line: the input, the class, the account."""
    explanation = entry.explanation
    label = f" {clean(explanation.label)}" if explanation.label else ""
    return Text(f"{clean(item.called)}: class {explanation.target}{label}; {telling.account(explanation)}")
