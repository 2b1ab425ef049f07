"""A Dask cluster as workers: pictures and heatmaps lie where all its machines see them, the network is sent once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Any, TypeVar

from heatcli.batch import reaching, worker
from heatcli.batch.cluster_work import OtherVersions, own_versions, with_network
from heatcli.batch.job import Job, Ready
from heatcli.batch.reaching import reason, within
from heatcli.batch.workers import AtOnce, Workers
from heatcli.errors import ClusterError, UsageError

ResultT = TypeVar("ResultT")

PATIENCE = 20.0
"""Seconds in which the scheduler must answer, and have at least one worker."""
LEAVING = 1.0
"""Seconds that saying goodbye may take."""
LOOK = 10.0
"""Seconds between two looks at how many workers there are."""
MOST = 8
"""So many items a worker gets at once at most."""
SPAN = 2.0
"""So many seconds of work it gets at once: enough for the way there not to count, little to do again when it dies."""
SHARES = 4
"""So many chunks each worker gets at least where there are as many items: none is left with much at the end."""
LOST = ("KilledWorker", "FutureCancelledError", "FuturesCancelledError", "FutureLostError")
"""What distributed calls work that is gone: with its worker again and again, with what was sent to it, with all."""


class Cluster(Workers):
    """The workers of the Dask scheduler at an address such as ``tcp://host:8786``."""

    here = False
    name = "cluster"

    def __init__(self, address: str, items: int | None = None) -> None:
        """Connect; raises UsageError where there is nobody, no worker, or another version of heatcli.

        So many ``items`` are to be shared out.
        """
        self._address = reaching.checked(address)
        try:
            self._distributed: Any = import_module("distributed")
        except ImportError:
            raise UsageError("--cluster needs Dask: python -m pip install 'heatcli[cluster]'") from None
        reaching.quiet()
        reaching.reach(self._address, PATIENCE)
        self._key, self._content = "", b""
        self._sent: Any = None
        self._under_way: dict[Future[Any], Any] = {}
        self._client = self._connected()
        try:
            if not self._waited_for_worker():
                raise UsageError(f"{self}: the scheduler has no worker; start some with: dask worker {self._address}")
            if (problem := self._problem()) is not None:
                raise UsageError(problem)
            super().__init__(AtOnce, self._threads())
        except BaseException:
            self._leave()
            raise
        self._looked = time.monotonic()
        self._most = MOST if items is None else max(1, min(MOST, items // (SHARES * self.count)))

    def __str__(self) -> str:
        """Name it as it was asked for."""
        return f"--cluster {self._address}"

    def prepare(self, job: Job) -> Ready:
        """Load the model here and send what was made of it to the workers, so that they need no file of it."""
        ready = super().prepare(job)
        self._content = worker.send(job.loading)
        worker.forget()
        self._key = hashlib.sha256(self._content).hexdigest()
        self._send()
        return ready

    def submit(self, fn: Callable[..., ResultT], /, *args: Any) -> Future[ResultT]:
        """Hand in ``fn(*args)``."""
        self._look()
        future: Future[ResultT] = Future()
        try:
            sent = self._key, own_versions(), self._sent
            theirs = self._client.submit(with_network, *sent, fn, *args, pure=False)
            self._under_way[future] = theirs
            theirs.add_done_callback(partial(self._done, future))
        except Exception as error:  # distributed raises what its transports raise
            self._under_way.pop(future, None)
            raise Unreachable from error
        return future

    def is_lost(self, error: BaseException) -> bool:
        """Whether workers died again and again with this work, what was sent to them is gone, or the way to them is."""
        lost = CancelledError | OSError | OtherVersions | Unreachable
        return isinstance(error, lost) or type(error).__name__ in LOST

    def renew(self) -> None:
        """Wait for what is under way, so that what comes next is alone, and send the network again if it is lost.

        Raises ClusterError where there is no scheduler or no worker any more.
        """
        while True:
            waiting = [future for future in self._under_way if not future.done()]
            done = wait(waiting, timeout=1.0)
            if not self._waited_for_worker():
                raise ClusterError(f"{self}: the scheduler or its workers are gone")
            if not done.not_done:
                break
        if (problem := self._problem()) is not None:
            raise ClusterError(problem)
        try:
            if not self._is_there():
                self._send()
        except Exception as error:  # see above
            raise ClusterError(f"{self}: the workers do not take the network ({reason(error)})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is under way, and leave the cluster as it was."""
        worker.forget()
        with suppress(Exception):
            if self._under_way:
                self._client.cancel(list(self._under_way.values()))
            elif kind is None:
                within(LEAVING, self._client.run, worker.forget, on_error="ignore")
        self._leave()

    def _connected(self) -> Any:
        try:
            # its own timeout does not count where somebody listens and says nothing
            return within(PATIENCE, self._distributed.Client, self._address, timeout=PATIENCE, set_as_default=False)
        except Exception as error:  # see above
            raise UsageError(f"{self}: no Dask scheduler answers there ({reason(error)})") from error

    def _leave(self) -> None:
        with suppress(Exception):
            self._client.close(timeout=LEAVING)

    def _done(self, future: Future[Any], theirs: Any) -> None:
        """Hand over what became of work on the cluster."""
        if future.set_running_or_notify_cancel():
            try:
                result, seconds, count = theirs.result()
            except BaseException as error:  # whatever it is belongs to the work
                future.set_exception(error)
            else:
                self.chunk = max(1, min(self._most, int(SPAN * count / max(seconds, 1e-3))))
                future.set_result(result)
        self._under_way.pop(future, None)

    def _waited_for_worker(self) -> bool:
        """Wait until there is a worker, for ``PATIENCE`` seconds, in which the scheduler may be started anew."""
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            try:
                if self._client.status == "closed":
                    self._client = self._connected()
                if self._client.status == "running":
                    within(left, self._client.wait_for_workers, 1, timeout=left)
                    return True
            except Exception as error:  # see above
                if isinstance(error, TimeoutError):
                    return False
            time.sleep(0.2)
        return False

    def _problem(self) -> str | None:
        """Return why a worker cannot be among those of this run: it has no heatcli, or another version."""
        try:
            found = within(PATIENCE, self._client.run, own_versions, on_error="return")
        except Exception as error:  # see above
            found = {"": error}
        return next(filter(None, (self._compared(place, theirs) for place, theirs in found.items())), None)

    def _compared(self, place: str, theirs: dict[str, str] | BaseException) -> str | None:
        if isinstance(theirs, BaseException):
            if isinstance(theirs, ImportError) or "ModuleNotFoundError" in str(theirs):
                return f"{self}: the worker {place} has no heatcli ({reason(theirs)}); install it there"
            return f"{self}: the worker {place} does not answer ({reason(theirs)})"
        for name, version in own_versions().items():
            if name != "python" and theirs.get(name) != version:
                return (
                    f"{self}: the worker {place} has {name} {theirs.get(name)}, this machine {version}; "
                    "heatmaps could differ: install the same there"
                )
        return None

    def _send(self) -> None:
        self._sent = within(
            10 * PATIENCE, self._client.scatter, self._content, broadcast=True, hash=False, timeout=PATIENCE
        )

    def _is_there(self) -> bool:
        """Whether a worker has the network as it was sent."""
        if self._sent.status != "finished":
            return False
        try:
            return bool(within(PATIENCE, self._client.who_has, [self._sent]).get(self._sent.key))
        except CancelledError:  # the scheduler has forgotten it
            return False

    def _threads(self) -> int:
        return sum(within(PATIENCE, self._client.nthreads).values())

    def _look(self) -> None:
        """Count the workers now and then: more may have come."""
        if time.monotonic() - self._looked > LOOK:
            with suppress(Exception):
                self.count = max(1, self._threads())
            self._looked = time.monotonic()


class Unreachable(Exception):
    """Work cannot be handed in."""
