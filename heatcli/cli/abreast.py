"""How many runs go on side by side, and how many threads each gets."""

from __future__ import annotations

import os

from heatcli.cores import cores

MOST_JOBS = 4
"""How many pictures are explained at the same time without --jobs: each takes some hundred megabytes."""


def abreast(jobs: int | None, items: int) -> tuple[int, int | None]:
    """Return how many pictures are explained at once, and the threads of onnxruntime for each (None: its own choice).

    Many pictures go faster side by side on a thread each than one after the other on all of them. NumPy's own threads
    are bounded through the environment, which it reads when it is imported.
    """
    jobs = max(1, min(jobs or min(cores(), MOST_JOBS), items))
    if jobs == 1:
        return 1, None
    each = max(1, cores() // jobs)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, str(each))
    return jobs, each
