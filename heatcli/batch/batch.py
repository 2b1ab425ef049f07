"""One run over many items: what is left to do, one colour scale for all, what is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from heatcli.batch import records, resuming, runner, storage, worker
from heatcli.batch.items import Item, carried
from heatcli.batch.job import SHARED, Job, Ready
from heatcli.batch.record_file import RecordFile, read
from heatcli.batch.remote_records import RemoteRecords
from heatcli.batch.runner import Outcome
from heatcli.batch.work import Made, changed_here
from heatcli.batch.workers import Workers
from heatcli.errors import HeatcliError, ModelError, OutputError, Unwritable, UsageError
from heatcli.replacing import is_leftover

SAMPLE = 200
"""One colour scale for all is settled by so many items at most, spread evenly over them all."""
SAID = 4
"""So many changed settings are named."""

IN_A_ROW = 20
"""After so many heatmaps one after the other that cannot be written, none will."""

Records = RecordFile | RemoteRecords
Advance = Callable[[], None]
Defer = Callable[[Item, Exception], bool]


def nothing() -> None:
    """Do nothing, where nobody watches."""


@dataclass
class Batch:
    """A ``job`` on its way: who does it, and what is known of the model.

    ``done`` counts the items that were explained, ``failed`` those that were not.
    """

    job: Job
    ready: Ready
    workers: Workers
    done: int = 0
    failed: int = 0

    @property
    def unsettled(self) -> bool:
        """Whether the colour scale is still to be settled."""
        return self.job.drawing.scale == SHARED

    def remaining(self, items: Sequence[Item], file: Records, *, resume: bool = True) -> tuple[Item, ...]:
        """Return the items that are still to do, and drop from ``file`` what is there about them.

        The one colour scale of an earlier run is taken on. Files that a killed run left half-written are removed.
        Without ``resume`` everything is to do. Raises UsageError where the earlier run had other settings.
        """
        folder = self.job.plan.folder
        there = {} if folder is None else storage.listed(folder)
        for place in there:
            if is_leftover(PurePath(place).name):
                storage.remove(place)
        if resume:
            earlier = self._survey(items, file.path, there)
            items = earlier.remaining(items)
            if self.unsettled and earlier.scale is not None:
                self._draw_with(earlier.scale)
        names, places = {item.name for item in items}, self._places(items)
        file.keep(lambda entry: entry.get("input") not in names and not places.hold(entry))
        return tuple(items)

    def unfinished(self, items: Sequence[Item], place: str) -> tuple[Item, ...]:
        """Return the items that would be left to do, as ``remaining`` does, and touch nothing."""
        folder = self.job.plan.folder
        if folder is None or storage.is_remote(place):
            return tuple(items)
        return self._survey(items, Path(place), storage.listed(folder)).remaining(items)

    def sample(self, items: Sequence[Item]) -> list[Item]:
        """Return the items that settle the colour scale, which is to be done before ``run``."""
        return evenly(items, SAMPLE)

    def settle_scale(self, sample: Sequence[Item], advance: Advance = nothing) -> float:
        """Explain a ``sample`` to find the strongest relevance, which gets the full colour in every heatmap."""
        work = partial(worker.strongest, self.job)
        largest = 0.0
        for outcome in self._outcomes(sample, work):
            advance()
            largest = max(largest, outcome.result or 0.0)
        self._draw_with(largest or "per-image")
        return largest

    def run(
        self, items: Iterable[Item], file: Records | None, *, step: Advance | None = None, defer: Defer | None = None
    ) -> Iterator[Outcome[Item, tuple[Made, ...]]]:
        """Yield what became of every item, in order, each after its records were added to ``file``.

        With ``step`` the work is done in this thread, and it is called after every step of the method. Where ``defer``
        says so of an item and its error, nothing is recorded: it is to be tried again. Raises an error
        that is no matter of one item: OutputError, and before anything has succeeded UsageError and ModelError.
        """
        unwritable = 0
        if not self.workers.here:
            items = map(carried, items)
        for outcome in self._outcomes(items, partial(worker.make, self.job, step=step)):
            if outcome.result is not None:
                entries = [made.record for made in outcome.result]
                unwritable = 0
            else:
                error = outcome.error or HeatcliError("nothing was made")
                unwritable = unwritable + 1 if isinstance(error, Unwritable) else 0
                if unwritable == IN_A_ROW:
                    raise OutputError(f"{unwritable} heatmaps in a row could not be written; the last: {error}")
                of_one = file is not None and isinstance(error, Unwritable)  # a sub-folder that is closed
                of_all = isinstance(error, UsageError | ModelError) and not self.done and not of_one
                if of_all or isinstance(error, OutputError):
                    raise error
                if defer is not None and defer(outcome.item, error):
                    continue
                entries = [self.failure(outcome.item, error)]
            if file is not None:
                file.add(*entries)
            self.done += outcome.result is not None
            self.failed += outcome.result is None
            yield outcome

    def failure(self, item: Item, error: BaseException) -> records.Record:
        """Return the record of an item that could not be explained."""
        job, ready = self.job, self.ready
        unknown = {"range": None, "precision": ready.precision, "stride": None, "reference": None}
        unknown |= {"versus": None if job.versus is None else str(job.versus)}
        return records.failure(
            error,
            source=item.name,
            model=ready.model,
            method=str(job.settings.get("method", "deep-taylor")),
            settings={**unknown, **job.settings, **job.drawing.record(), **job.on_record(0)},
            preprocessing=None if item.is_tensor else ready.preprocessing,
        )

    def _survey(self, items: Sequence[Item], records_: Path, there: dict[str, int | None]) -> resuming.Earlier:
        earlier = resuming.survey(
            items,
            read(records_),
            hash=self.job.hash or "",
            planned=self._places(items),
            output=there.get,
            source=changed_here,
        )
        if earlier.taken is not None:
            raise UsageError(
                f"{storage.shown(earlier.taken['output'])} is the heatmap of {earlier.taken['input']}, made before, "
                "and would be overwritten\nGive another output folder with -o, or --overwrite to do so."
            )
        if earlier.other is not None:
            raise self._changed(earlier.other, earlier.others)
        return earlier

    def _places(self, items: Iterable[Item]) -> resuming.Places:
        return resuming.Places(items, self.job.plan.heatmap)

    def _outcomes(self, items: Iterable[Item], work: Callable[[Item], Any]) -> Iterator[Outcome[Item, Any]]:
        crew = self.workers  # which may get more, and learn how much to take at once
        return runner.run(items, work, crew, ahead=lambda: 2 * crew.count, chunk=lambda: crew.chunk)

    def _draw_with(self, scale: float | str) -> None:
        self.job = replace(self.job, drawing=replace(self.job.drawing, scale=scale))

    def _changed(self, earlier: records.Record, count: int) -> UsageError:
        differing = resuming.changed(
            earlier,
            options=self.job.options,
            sha256=self.ready.model.sha256,
            preprocessing=self.ready.preprocessing,
        )
        more = f" and {len(differing) - SAID} more" if len(differing) > SAID else ""
        heatmaps = "a heatmap was" if count == 1 else f"{count:,} heatmaps were"
        return UsageError(
            f"{self.job.plan.records}: {heatmaps} made with other settings: {'; '.join(differing[:SAID])}{more}\n"
            "Give another output folder with -o, or --overwrite to do all again."
        )


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many of the ``items``, spread evenly over them all."""
    step = max(1.0, len(items) / most)
    return [items[int(place * step)] for place in range(min(len(items), most))]
