"""What is the same for every picture of a run: small, and so it can be sent to another process or machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from heatcli.places.outputs import Plan
from heatcli.settings import Settings

if TYPE_CHECKING:
    from heatcli.explanation import Explanation, ModelInfo

SHARED = "shared"


@dataclass(frozen=True)
class Drawing:
    """How heatmaps are drawn; ``style`` None is an overlay where there is a picture, else the bare heatmap."""

    style: str | None = None
    colormap: str | None = None
    scale: str | float = "per-image"
    size_like: str = "picture"
    colorbar: bool = False

    def options(self, explanation: Explanation) -> dict[str, Any]:
        """Return the keywords that this explanation is rendered with."""
        style = self.style or ("heatmap" if explanation.image is None else "overlay")
        return {**self.record(), "style": style}

    def record(self) -> dict[str, Any]:
        """Return what is on record about drawing."""
        return asdict(self)


@dataclass(frozen=True)
class Loading:
    """How a worker comes to its explainer: the ``model`` and the keywords that ``heatcli.load`` takes."""

    model: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None

    @property
    def key(self) -> str:
        """What tells one explainer from another."""
        return repr((self.model, sorted(self.keywords.items(), key=str), self.threads))


@dataclass(frozen=True)
class Job:
    """What is asked for of every picture.

    ``options`` are on record as the user gave them. ``sha256`` is the model's, where it is known. ``show`` asks for a
    small picture of each heatmap, ``whole`` for the explanation itself, which is large: it is for one picture. With
    ``dry`` nothing is written. Relative places of outputs are seen from the folder ``base``, where it is given: workers
    on other machines stand elsewhere.
    """

    loading: Loading
    plan: Plan
    targets: Sequence[str | int] = ("top",)
    versus: str | int | None = None
    settings: Settings = field(default_factory=Settings)
    drawing: Drawing = Drawing()
    save: frozenset[str] = frozenset()
    layers: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    hash: str | None = None
    show: bool = False
    whole: bool = False
    dry: bool = False
    base: str = ""

    def on_record(self, heatmaps: int) -> dict[str, Any]:
        """Return what every record of the run says of what was asked for; an item has so many ``heatmaps``."""
        return {"options": self.options, "hash": self.hash, "heatmaps": heatmaps}


@dataclass(frozen=True)
class Ready:
    """What is known of a model before its first picture.

    ``steps`` says in how many of them a picture is explained. ``preprocessing``, ``relevance_models`` and ``inputs``
    are what records say of them.
    """

    model: ModelInfo
    notes: tuple[str, ...]
    preprocessing: dict[str, Any] | None
    precision: str
    steps: int
    relevance_models: dict[str, Any] | None
    inputs: dict[str, Any]


def settings_hash(options: Mapping[str, Any], ready: Ready) -> str:
    """Return what tells a run from one with other settings or another model: 16 hexadecimal digits."""
    known = {"options": options, "model": ready.model.sha256, "preprocessing": ready.preprocessing}
    text = json.dumps(known, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
