"""Runs a piece of work over many items on any ``concurrent.futures.Executor``, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item: its ``result``, or the ``error`` that was raised."""

    item: ItemT
    result: ResultT | None
    error: Exception | None


class AtOnce(Executor):
    """Does the work where it is handed in, so that an interrupt reaches the work itself."""

    def submit(self, fn: Callable[..., ResultT], /, *args: Any, **kwargs: Any) -> Future[ResultT]:
        """Call ``fn`` and return a future that is done."""
        future: Future[ResultT] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # whatever the work raises belongs to it
            future.set_exception(error)
        return future


def run(
    items: Iterable[ItemT],
    work: Callable[[ItemT], ResultT],
    executor: Executor,
    *,
    ahead: int,
) -> Iterator[Outcome[ItemT, ResultT]]:
    """Yield the outcome of ``work`` for every item, in the order of the items.

    At most ``ahead`` items are under way or waiting to be taken, so memory does not grow with the number of items. An
    exception of ``work`` belongs to its item and does not stop the rest. On KeyboardInterrupt nothing new is begun;
    what is already under way is finished and yielded, and then the interrupt is raised again.
    """
    rest = iter(items)
    pending: deque[tuple[ItemT, Future[ResultT]]] = deque()

    def submit(count: int) -> None:
        pending.extend((item, executor.submit(work, item)) for item in islice(rest, count))

    try:
        submit(max(1, ahead))
        while pending:
            outcome = _outcome(*pending[0])
            pending.popleft()
            submit(1)
            yield outcome
    except KeyboardInterrupt:
        running = [entry for entry in pending if not entry[1].cancel()]
        for item, future in running:
            yield _outcome(item, future)
        raise
    finally:
        for _, future in pending:
            future.cancel()


def _outcome(item: ItemT, future: Future[ResultT]) -> Outcome[ItemT, ResultT]:
    """Wait for one item."""
    try:
        return Outcome(item, future.result(), None)
    except Exception as error:  # whatever the work raises belongs to its item
        return Outcome(item, None, error)
