"""Who does the work: any ``concurrent.futures.Executor``; threads and processes of this machine among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self, TypeVar

from heatcli.batch import ending, worker
from heatcli.batch.job import Job, Ready
from heatcli.errors import ModelError
from heatcli.limits import installed

ResultT = TypeVar("ResultT")


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


class Workers:
    """An executor that can be started anew when a worker has died; ``count`` work at the same time.

    ``here`` says that they share this process, and so its explainer.
    """

    here = True
    name = "threads"
    one, many = "thread", "threads"
    chunk = 1
    """How many items a worker gets at once."""
    seconds: float | None = None
    """How long one item may take; None where it cannot be stopped."""
    overdue: str | None = None
    """What took longer, once it was stopped, in words; None where nothing was."""

    def __init__(self, start: Callable[[], Executor], count: int) -> None:
        """Keep what starts the executor; it is started when it is first needed."""
        self._start, self.count = start, count
        self._executor: Executor | None = None
        self.given_up = False

    @classmethod
    def of(cls, executor: Executor, count: int = 1) -> Workers:
        """Return an executor that someone else starts and stops as workers."""
        return cls(lambda: executor, count)

    def submit(self, fn: Callable[..., ResultT], /, *args: Any) -> Future[ResultT]:
        """Hand in ``fn(*args)``."""
        if self._executor is None:
            self._executor = self._start()
        return self._executor.submit(fn, *args)

    def cancel(self, future: Future[Any]) -> bool:
        """Take work back that was handed in, and return whether it was not begun and so never will be."""
        return future.cancel()

    def prepare(self, job: Job) -> Ready:
        """Have the model loaded anew and return what is known of it; raises what ``worker.ready`` raises."""
        worker.forget()
        return worker.ready(job)

    def is_lost(self, error: BaseException) -> bool:
        """Whether ``error`` says that a worker died and took its work with it."""
        return isinstance(error, BrokenExecutor)

    def died(self) -> str | None:
        """Return how the worker ended that was lost, in words that follow "it was"; None where that is not known."""
        return None

    def stop_overdue(self) -> None:
        """Stop what takes longer than ``seconds``; raises NotImplementedError where that cannot be done."""
        raise NotImplementedError

    def renew(self) -> None:
        """Start anew after a worker has died."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = None

    def give_up(self) -> None:
        """Do not wait any more for what is under way."""
        self.given_up = True

    def __enter__(self) -> Self:
        """Return the workers themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers; after an interrupt what is under way is not waited for."""
        if error is not None and not isinstance(error, Exception):
            self.give_up()
        if self._executor is not None:
            self._executor.shutdown(wait=not self.given_up, cancel_futures=True)
        if not self.given_up:
            worker.forget()


def threads(count: int) -> Workers:
    """Return ``count`` threads of this process; with one the work is done where it is handed in."""
    return Workers(AtOnce if count == 1 else lambda: ThreadPoolExecutor(count), count)


class Processes(Workers):
    """Processes of this machine, each with an explainer of its own: one that dies takes nothing else with it."""

    here = False
    name = "processes"
    one, many = "process", "processes"

    def __init__(self, count: int, *, memory: int | None = None, seconds: float | None = None) -> None:
        """Have ``count`` of them, with so many bytes of address space each, and so many seconds for a picture.

        Where the system knows no such limit on memory there is none.
        """
        super().__init__(lambda: _pool(count, memory), count)
        self.seconds, self._memory = seconds, memory
        self._processes: set[BaseProcess] = set()

    def prepare(self, job: Job) -> Ready:
        """Have one of the processes load the model; this one does not."""
        try:
            return self.submit(worker.ready, job).result(self.seconds)
        except TooLate:
            self.stop_overdue()
            raise ModelError(f"{job.loading.model}: loading {self.overdue}") from None
        except BrokenExecutor:
            how = self.died() or "out of memory, or a fault in onnxruntime"
            raise ModelError(f"{job.loading.model}: the process that loads it died: {how}") from None

    def submit(self, fn: Callable[..., ResultT], /, *args: Any) -> Future[ResultT]:
        """Hand in ``fn(*args)``; processes that are started for it do not hear interrupts, not even at their start."""
        if not hasattr(signal, "pthread_sigmask"):
            return self._submitted(fn, *args)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ending.UNHEARD)
        try:
            return self._submitted(fn, *args)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _submitted(self, fn: Callable[..., ResultT], /, *args: Any) -> Future[ResultT]:
        others = set(multiprocessing.active_children()) - self._processes
        future = super().submit(fn, *args)
        self._processes |= set(multiprocessing.active_children()) - others
        return future

    def cancel(self, future: Future[Any]) -> bool:  # noqa: ARG002 - other workers look at it
        """Leave it where it is: a pool of Python 3.11 whose processes end stumbles over what was cancelled."""
        return False

    def died(self) -> str | None:
        """Return by which signal or with which exit code it ended."""
        how = ending.told(self._processes)
        if how is None or self._memory is None or self._memory >= installed() or ending.BROKEN in how:
            return how
        return f"{how}; it had {self._memory / 1e9:.2g} GB of memory, --limit memory=N gives more"

    def stop_overdue(self) -> None:
        """End the processes, the one that takes too long among them."""
        self.overdue = f"took longer than {self.seconds:g} seconds and was stopped; --limit seconds=N allows more"
        ending.end(self._processes)

    def renew(self) -> None:
        """End the processes that are left, and start anew."""
        self.overdue = None
        ending.end(self._processes)
        self._processes.clear()
        if self._executor is not None:  # waited for, since Python would complain at its exit that it is still ending
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None

    def give_up(self) -> None:
        """End the processes at once; what they wrote is whole, since files are renamed into place."""
        super().give_up()
        ending.end(self._processes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers, after an error without waiting for what is under way."""
        if error is not None:
            ending.end(self._processes)
        super().__exit__(kind, error, trace)


def _pool(count: int, memory: int | None) -> ProcessPoolExecutor:
    """Return a pool whose processes are started anew: a fork would copy locks that onnxruntime's threads hold.

    Python watches the pool's semaphores and would report, after a run was killed, that it has cleared them away.
    """
    name = "PYTHONWARNINGS"
    before = os.environ.get(name)
    os.environ[name] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    try:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(count, mp_context=context, initializer=ending.begin, initargs=(memory,))
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
