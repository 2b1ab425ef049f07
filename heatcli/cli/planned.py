"""What ``heatcli explain --plan`` prints: how many, how long, how much room."""

from __future__ import annotations

from heatcli.batch.batch import Batch
from heatcli.batch.estimating import Estimate
from heatcli.cli.text import count, duration, shorten, size
from heatcli.places import storage
from heatcli.visible import visible


def rows(estimate: Estimate, batch: Batch, kind: str) -> list[tuple[str, str]]:
    """Return what there is to say, a heading and a line each; ``kind`` is what the workers are."""
    job = batch.job
    before = f", {estimate.finished:,} of them finished before" if estimate.finished else ""
    found = [
        ("inputs", f"{estimate.inputs:,}{before}"),
        ("network", f"{visible(job.loading.model)}, {job.settings.get('method', 'deep-taylor')}"),
        ("workers", f"{estimate.workers} {kind}"),
    ]
    if not estimate.remaining:
        return [*found, ("time", "none: there is nothing left to do")]
    if estimate.seconds is None or estimate.total_seconds is None or estimate.total_bytes is None:
        return [*found, ("time", f"not known: none of {count(estimate.failed, 'picture')} could be explained")]
    measured = f"measured on {count(estimate.measured, 'picture')}"
    if estimate.failed:
        measured += f", {estimate.failed} more failed"
    found.append(
        ("time", f"about {duration(estimate.total_seconds)}, {1 / estimate.seconds:.2g} a second ({measured})")
    )
    each = (estimate.bytes or 0.0) * 1.0
    room = f"about {size(estimate.total_bytes)}, {size(each)} a picture with its record"
    if estimate.free is not None and job.plan.folder is not None:
        folder = shorten(visible(storage.shown(job.plan.folder)), 30)
        enough = "" if estimate.free > estimate.total_bytes else ": NOT ENOUGH"
        room += f"; {size(estimate.free)} free in {'the current folder' if folder == '.' else folder}{enough}"
    return [*found, ("room", room)]
