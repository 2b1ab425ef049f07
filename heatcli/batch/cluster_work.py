"""What a worker of a Dask cluster does: its part of a run, with the network as it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from heatcli.batch import worker
from heatcli.batch.versions import versions
from heatcli.errors import HeatcliError

if TYPE_CHECKING:
    from heatcli.explainer import Explainer

ResultT = TypeVar("ResultT")


class OtherVersions(Exception):
    """A worker that came later has other versions."""


def with_network(
    key: str,
    sender: dict[str, str],
    content: bytes,
    fn: Callable[[Any, Sequence[Any]], ResultT],
    work: Any,
    items: Sequence[Any],
) -> tuple[ResultT, float, int]:
    """Do ``fn(work, items)`` on a machine of the cluster, with the network as it was sent.

    Return its result, the seconds it took and the number of items.
    """
    own = own_versions()
    if {**own, "python": ""} != {**sender, "python": ""}:
        raise OtherVersions
    explainer = worker.received(key, content)
    here: Any = import_module("distributed").get_worker()
    task = here.get_current_task()

    def wanted() -> Explainer:
        """Return the explainer, unless nobody waits for the rest of this work any more."""
        known = here.state.tasks.get(task)
        if known is None or known.state == "cancelled":
            raise HeatcliError("the run was interrupted")
        return explainer

    begun = time.perf_counter()
    return worker.with_explainer(wanted, fn, work, items), time.perf_counter() - begun, len(items)


@cache
def own_versions() -> dict[str, str]:
    """Return the versions of this process, read once."""
    return versions()
