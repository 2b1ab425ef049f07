"""What runs in a worker, be it a thread, a process or another machine: its explainer is loaded once and kept."""

from __future__ import annotations

import pickle
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from heatcli.batch.job import Job, Loading, Ready
from heatcli.batch.work import Made, Work
from heatcli.errors import Fault, HeatcliError, ModelError, PictureError
from heatcli.places.items import Item

if TYPE_CHECKING:
    from heatcli.explainer import Explainer

ResultT = TypeVar("ResultT")


class _Held:
    """The explainer of this process: one, since each takes some hundred megabytes."""

    lock = threading.Lock()
    key: str | None = None
    explainer: Explainer | None = None


class _Given(threading.local):
    """What gives this thread its explainer, where that came from another machine."""

    explainer: Callable[[], Explainer] | None = None


_given = _Given()


def explainer(loading: Loading) -> Explainer:
    """Return the explainer of this process, loaded when it is first asked for; raises what ``heatcli.load`` raises."""
    if _given.explainer is not None:
        return _given.explainer()
    with _Held.lock:
        if _Held.explainer is None or _Held.key != loading.key:
            import heatcli

            _Held.explainer = None
            try:
                _Held.explainer = heatcli.load(loading.model, **loading.keywords, threads=loading.threads)
            except MemoryError:
                raise ModelError(
                    f"{loading.model}: there is not enough memory to load it, or --limit memory=N is too low"
                ) from None
            _Held.key = loading.key
        return _Held.explainer


def send(loading: Loading) -> bytes:
    """Return the explainer of this process in a form that other machines make theirs with ``received``."""
    return pickle.dumps(explainer(loading), protocol=5)


def received(key: str, content: bytes) -> Explainer:
    """Return the explainer that was sent, made of ``content`` once while the ``key`` stays; no file of it is needed."""
    with _Held.lock:
        if _Held.explainer is None or _Held.key != key:
            _Held.explainer = None
            _Held.explainer = pickle.loads(content)  # noqa: S301 - from the one whose worker this is
            _Held.key = key
        return _Held.explainer


def with_explainer(provide: Callable[[], Explainer], fn: Callable[..., ResultT], /, *args: Any) -> ResultT:
    """Return ``fn(*args)``, in which ``provide`` is asked for the explainer of every item."""
    _given.explainer = provide
    try:
        return fn(*args)
    finally:
        _given.explainer = None


def forget() -> None:
    """Let go of the explainer of this process: another run may find other files under the same names."""
    with _Held.lock:
        _Held.key = _Held.explainer = None


def ready(job: Job) -> Ready:
    """Load the model, hold what was asked for against it, and return what is known of it.

    Raises ModelError where the model cannot be used, UsageError for a target, method or rule that is not known, and
    UnsupportedModel for a method that needs layers where there are none.
    """
    try:
        return _ready(job)
    except HeatcliError:
        raise
    except Exception as error:  # other exceptions do not always survive the way to another process
        raise fault(error) from error


def _ready(job: Job) -> Ready:
    import numpy as np

    from heatcli.targets import resolve_target

    held, settings = explainer(job.loading), job.settings
    held.assigned_rules(**settings)
    for named in (job.targets, () if job.versus is None else (job.versus,)):
        resolve_target(named, np.zeros(held.network.output.classes), held.labels)
    return Ready(
        held.model,
        held.notes,
        held.preprocessing.record() if held.preprocessing else None,
        held.precision,
        held.steps(**settings),
        held.relevance_models(**settings),
        {name: entry.record() for name, entry in held.inputs.items()},
    )


def make(job: Job, item: Item, *, step: Callable[[], None] | None = None) -> tuple[Made, ...]:
    """Explain one item, write its heatmaps, and return what was made; raises HeatcliError, whatever went wrong.

    ``step`` is called after every step of the method; it cannot be sent to another process.
    """
    try:
        work = _work(job)
        return (work if step is None else replace(work, step=step)).make(item)
    except HeatcliError:
        raise
    except Exception as error:  # other exceptions do not always survive the way to another process
        raise fault(error) from error


def strongest(job: Job, item: Item) -> float:
    """Return the relevance that would get the strongest colour if the item were drawn alone; raises as ``make``."""
    try:
        return _work(job).strongest(item)
    except HeatcliError:
        raise
    except Exception as error:  # see above
        raise fault(error) from error


def fault(error: Exception) -> HeatcliError:
    """Return ``error``, which is none of ours, in a form that survives the way to another process."""
    if isinstance(error, MemoryError) or "start new thread" in str(
        error
    ):  # of this one picture: those beside it may have had the rest
        told = f" ({error})" if str(error) else ""
        return PictureError(
            f"out of memory{told}; fewer at once need less: --jobs 1, and --limit memory=N may give a process more"
        )
    trace = "".join(traceback.format_exception(error))
    return Fault(f"unexpected {type(error).__name__}: {error}", type(error).__name__, trace)


def _work(job: Job) -> Work:
    held = explainer(job.loading)
    if job.sha256 is not None and held.model.sha256 != job.sha256:
        raise ModelError(f"{job.loading.model}: is another file than when the run began; start it anew")
    return Work(job, held)
