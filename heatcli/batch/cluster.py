"""A Dask cluster as workers: pictures and heatmaps lie where all its machines see them, the network is sent once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from importlib import import_module
from types import TracebackType
from typing import Any, TypeVar

from heatcli.batch import worker
from heatcli.batch.job import Job, Ready
from heatcli.batch.versions import versions
from heatcli.batch.workers import Workers
from heatcli.errors import HeatcliError, UsageError

ResultT = TypeVar("ResultT")

PATIENCE = 30
"""Seconds in which the scheduler must answer, and have at least one worker."""


class Cluster(Workers):
    """The workers of the Dask scheduler at an address such as ``tcp://host:8786``."""

    here = False
    name = "cluster"
    chunk = 8

    def __init__(self, address: str) -> None:
        """Connect; raises UsageError where there is nobody, no worker, or another version of heatcli."""
        try:
            distributed: Any = import_module("distributed")
        except ImportError:
            raise UsageError("--cluster needs Dask: python -m pip install 'heatcli[cluster]'") from None
        self._address, self._content = address, b""
        self._sent: Any = None
        try:
            self._client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except Exception as error:  # distributed raises what its transports raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UsageError(f"--cluster {address}: no scheduler answers there ({reason})") from error
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
            _compare(self._client.run(_versions), address)
            count = sum(self._client.nthreads().values())
        except HeatcliError:
            self._client.close()
            raise
        except Exception as error:  # see above
            self._client.close()
            raise UsageError(
                f"--cluster {address}: the scheduler has no worker; start some with: dask worker {address}"
            ) from error
        super().__init__(self._executor_of_client, count)

    def prepare(self, job: Job) -> Ready:
        """Load the model here and send what was made of it to the workers, so that they need no file of it."""
        ready = super().prepare(job)
        self._content = worker.send(job.loading)
        self._sent = self._client.scatter(self._content, broadcast=True, hash=True)
        return ready

    def submit(self, fn: Callable[..., ResultT], /, *args: Any) -> Future[ResultT]:
        """Hand in ``fn(*args)``."""
        return super().submit(_with_network, self._sent, fn, *args)

    def is_lost(self, error: BaseException) -> bool:
        """Whether workers died again and again with this work, or what was sent to them is gone with them."""
        return isinstance(error, CancelledError) or type(error).__name__ in ("KilledWorker", "FutureCancelledError")

    def renew(self) -> None:
        """Send the network again, to the workers that are left or new; raises HeatcliError where there are none."""
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
            self._sent = self._client.scatter(self._content, broadcast=True, hash=False)
        except Exception as error:  # see above
            raise HeatcliError(
                f"--cluster {self._address}: the cluster is gone; the same command goes on from there"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is under way, and leave the cluster as it was."""
        super().__exit__(kind, error, trace)
        self._client.close()

    def _executor_of_client(self) -> Executor:
        executor: Executor = self._client.get_executor(pure=False)
        return executor


def _with_network(content: bytes, fn: Callable[..., ResultT], /, *args: Any) -> ResultT:
    """Do ``fn(*args)`` on a machine of the cluster, with the network as it was sent."""
    worker.receive(content)
    return fn(*args)


def _versions() -> dict[str, str]:
    return versions()


def _compare(found: dict[str, dict[str, str]], address: str) -> None:
    """Refuse workers with another version of what can change a heatmap."""
    own = versions()
    for place, theirs in found.items():
        for name, version in own.items():
            if name != "python" and theirs.get(name) != version:
                raise UsageError(
                    f"--cluster {address}: the worker {place} has {name} {theirs.get(name)}, this machine {version}; "
                    "heatmaps could differ: install the same there"
                )
