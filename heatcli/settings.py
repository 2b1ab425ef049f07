"""The settings of methods by name: what the interface in Python and the command line have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

OWN = {
    "window": "the side of what --method occlusion hides",
    "steps": "how many inputs integrated-gradients and smoothgrad average over, and how often simple-taylor searches",
    "baseline": "where the path of integrated-gradients begins",
    "noise": "how strong the noise of smoothgrad is",
    "seed": "what the noise of smoothgrad is drawn from",
    "time_limit": "how long simple-taylor searches for a root",
    "relevance_model": "the file of relevance models that deep-taylor-minmax goes by",
}
"""Settings that only some methods have, and what they are."""
BASELINES = ("black", "grey", "white")


class Settings(TypedDict, total=False):
    """What can be settled about a method; the keywords of ``Explainer.explain``, each named as its option is.

    ``rules`` are overrides ``PATTERN=RULE``; ``evidence`` is what is shared out: logit, one or probability. The others
    go with some methods only, see ``OWN``: ``window`` in elements of the input, ``baseline`` black, grey, white or a
    value of the input, ``noise`` as a share of the input's range, ``time_limit`` in seconds,
    ``relevance_model`` a file that ``heatcli fit`` wrote.
    """

    method: str
    input_rule: str | None
    rules: Sequence[str]
    pool: str | None
    biases: str
    evidence: str
    window: int | None
    steps: int | None
    baseline: str | float | None
    noise: float | None
    seed: int | None
    time_limit: float | None
    relevance_model: str | Path | None
