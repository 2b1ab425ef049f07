"""Runs a piece of work over many items, in order, with bounded memory, and finds the item that kills a worker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from heatcli.batch.workers import Workers
from heatcli.errors import PictureError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

GRACE = 1.0
"""Seconds that work under way gets to end after an interrupt."""
TRIES = 2
"""So often an item is tried alone after a worker died with it."""


@dataclass(frozen=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item: its ``result``, or the ``error`` that was raised."""

    item: ItemT
    result: ResultT | None
    error: Exception | None


@dataclass
class _Chunk(Generic[ItemT, ResultT]):
    """Items that a worker gets at once, and the future of their outcomes."""

    items: Sequence[ItemT]
    future: Future[list[Outcome[ItemT, ResultT]]] = field(default_factory=Future)


def run(
    items: Iterable[ItemT],
    work: Callable[[ItemT], ResultT],
    workers: Workers | Executor,
    *,
    ahead: int | Callable[[], int],
    chunk: int | Callable[[], int] = 1,
) -> Iterator[Outcome[ItemT, ResultT]]:
    """Yield the outcome of ``work`` for every item, in the order of the items.

    Workers get ``chunk`` items at a time, and at most ``ahead`` chunks (both are asked again and again where they are
    functions) are under way or waiting to be taken, so memory does not grow with the number of items. An exception of
    ``work`` belongs to its item and does not stop the rest. Where a worker dies, everything that was under way there is
    done again, the items of one chunk each by itself: the one that a worker dies with again has failed. On
    KeyboardInterrupt nothing new is begun; what ends within ``GRACE`` seconds is yielded, and then the interrupt is
    raised again.
    """
    crew = workers if isinstance(workers, Workers) else Workers.of(workers)
    run_ = _Run(iter(items), work, crew, _asked(ahead), _asked(chunk))
    try:
        run_.fill()
        while run_.pending:
            yield from run_.first()
            run_.fill()
    except KeyboardInterrupt:
        yield from run_.under_way()
        raise
    finally:
        for entry in run_.pending:
            run_.workers.cancel(entry.future)


class _Run(Generic[ItemT, ResultT]):
    """The chunks that are under way, in order."""

    def __init__(
        self,
        rest: Iterator[ItemT],
        work: Callable[[ItemT], ResultT],
        workers: Workers,
        ahead: Callable[[], int],
        chunk: Callable[[], int],
    ) -> None:
        self.rest, self.work, self.workers, self.ahead, self.chunk = rest, work, workers, ahead, chunk
        self.pending: deque[_Chunk[ItemT, ResultT]] = deque()

    def fill(self) -> None:
        """Begin with as many chunks as there may be under way, as far as there are items."""
        while len(self.pending) < max(1, self.ahead()):
            if not (items := list(islice(self.rest, self.chunk()))):
                return
            self.pending.append(self._begun(_Chunk(items)))

    def first(self) -> list[Outcome[ItemT, ResultT]]:
        """Wait for the first chunk, take it out, and return what became of its items."""
        entry = self.pending[0]
        outcomes = self._waited(entry)
        if outcomes is None and len(entry.items) == 1 and (late := self.workers.overdue) is not None:
            self.workers.renew()
            outcomes = [Outcome(item, None, PictureError(late)) for item in entry.items]
            self.pending.popleft()
            self._begin_again()
            return outcomes
        if outcomes is None:
            self.workers.renew()
            outcomes = [self._alone(item) for item in entry.items]
            self.pending.popleft()
            self._begin_again()
            return outcomes
        self.pending.popleft()
        return outcomes

    def _begin_again(self) -> None:
        """Begin anew with what was lost when a worker ended, through no fault of its own."""
        for other in self.pending:
            if self._is_lost(other.future):
                self._begun(other)

    def under_way(self) -> Iterator[Outcome[ItemT, ResultT]]:
        """Yield what is done or will be within ``GRACE`` seconds; the rest is given up."""
        running = [entry for entry in self.pending if not self.workers.cancel(entry.future)]
        self.pending.clear()
        until = time.monotonic() + GRACE
        for entry in running:
            try:
                yield from entry.future.result(timeout=max(0.0, until - time.monotonic()))
            except TooLate:
                self.workers.give_up()
            except Exception:  # noqa: S112 - the worker died, by the same signal perhaps: nothing of it was kept
                continue

    def _begun(self, entry: _Chunk[ItemT, ResultT]) -> _Chunk[ItemT, ResultT]:
        try:
            entry.future = self.workers.submit(_each, self.work, entry.items)
        except Exception as error:  # a worker that died makes the next submission fail
            entry.future = Future()
            entry.future.set_exception(error)
        return entry

    def _waited(self, entry: _Chunk[ItemT, ResultT]) -> list[Outcome[ItemT, ResultT]] | None:
        """Return the outcomes of a chunk, None where a worker died with it."""
        try:
            return entry.future.result(self.workers.seconds and self.workers.seconds * len(entry.items))
        except TooLate as error:
            if entry.future.done():  # the work itself raised it
                return [Outcome(item, None, error) for item in entry.items]
            self.workers.stop_overdue()
            return None
        except Exception as error:  # whatever the work raises belongs to it
            if self.workers.is_lost(error):
                return None
            return [Outcome(item, None, error) for item in entry.items]

    def _is_lost(self, future: Future[Any]) -> bool:
        error = future.exception() if future.done() and not future.cancelled() else None
        return error is not None and self.workers.is_lost(error)

    def _alone(self, item: ItemT) -> Outcome[ItemT, ResultT]:
        """Do one item by itself, so that a worker's death is known to be its doing."""
        how: str | None = None
        for _ in range(TRIES):
            outcomes = self._waited(self._begun(_Chunk([item])))
            if outcomes is not None:
                return outcomes[0]
            late, how = self.workers.overdue, self.workers.died() or how
            self.workers.renew()
            if late is not None:
                return Outcome(item, None, PictureError(late))
        why = how or "out of memory, or a broken decoder"
        return Outcome(item, None, PictureError(f"the worker process died with it, and with nothing else: {why}"))


def _asked(number: int | Callable[[], int]) -> Callable[[], int]:
    return number if callable(number) else lambda: number


def _each(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[Outcome[ItemT, ResultT]]:
    """Do the work for every item; this is what runs in a worker."""
    outcomes: list[Outcome[ItemT, ResultT]] = []
    for item in items:
        try:
            outcomes.append(Outcome(item, work(item), None))
        except Exception as error:  # whatever the work raises belongs to its item
            outcomes.append(Outcome(item, None, error))
    return outcomes
