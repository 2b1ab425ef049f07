"""Gathers what a page shows of a run: the first records in short, and the totals of all of them."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path, PurePath
from statistics import median
from typing import Any

import heatcli
from heatcli.batch.records import SECONDS, Record
from heatcli.reporting.common import Common, Facts
from heatcli.reporting.fields import at, listed, number, text, whole
from heatcli.reporting.places import Places, link
from heatcli.reporting.rows import TOP, lost_share
from heatcli.visible import visible

FIELDS = (
    *("name", "fragment", "index", "label", "score", "probability"),
    *("start", "pixels", "biases", "constants", "lost", "error", "lostShare"),
    *("min", "max", "negative", "border", "seconds", "top", "warnings", "failure", "method", "beside"),
    *("picture", "heatmap", "pictureLink", "heatmapLink", "output", "differing"),
)
"""What the page knows of a record, in this order; the script reads them by name."""
LONGEST = 4000
"""Signs of a message that are shown."""
TITLE = 160
"""Signs of the model's name in the heading."""

Source = tuple[str, Record]
"""An image to be shown: ``picture`` or ``heatmap``, and the record that names it."""


class Gathered:
    """Takes all records of a run and keeps the first ``most`` of them in short; ``sources`` are their images."""

    def __init__(self, most: int) -> None:
        """Begin with no record."""
        self._most = most
        self._words: dict[str, int] = {}
        self._common, self._failed_common = Common(), Common()
        self._short: list[tuple[dict[str, Any], Record, Facts]] = []
        self._inputs: set[int] = set()
        self._seconds = array("d")
        self._methods: Counter[str] = Counter()
        self._images: dict[tuple[str, str], int] = {}
        self._fragments: Counter[str] = Counter()
        self.sources: list[Source] = []
        self.records = self.failed = self.warned = 0

    @property
    def held(self) -> int:
        """How many records the page shows."""
        return len(self._short)

    def add(self, record: Record) -> None:
        """Count ``record`` in, and keep it in short where there is still room."""
        self.records += 1
        failed = record.get("error") is not None
        self.failed += failed
        self.warned += bool(listed(record.get("warnings")))
        # a hash a name: what many millions of inputs are called would not fit into memory
        self._inputs.add(hash(text(record.get("input")) or ""))
        self._methods[text(record.get("method")) or ""] += 1
        seconds = [number(at(record, "seconds", name)) for name in SECONDS]
        if not failed and any(step is not None for step in seconds):
            self._seconds.append(sum(step or 0.0 for step in seconds))
        common = self._failed_common if failed else self._common
        facts = common.facts(record)
        common.add(facts)
        if self.held < self._most:
            self._short.append((self._shortened(record, seconds), _kept(record), facts))

    def inputs(self) -> list[str]:
        """Return the names of the pictures that the page shows."""
        return [name for _, record, _ in self._short if (name := text(record.get("input")))]

    def outputs(self) -> list[str]:
        """Return the names of the heatmaps that the page shows."""
        return [name for _, record, _ in self._short if (name := text(record.get("output")))]

    def data(self, places: Places, page: Path) -> dict[str, Any]:
        """Return all that the page's script is given; links lead from ``page`` to the files that are in ``places``."""
        common = self._common if self.records > self.failed else self._failed_common
        differing = common.differing()
        rows = []
        for entry, record, facts in self._short:
            entry["pictureLink"] = _link(places.input(text(record.get("input"))), page)
            entry["heatmapLink"] = _link(places.output(text(record.get("output"))), page)
            entry["differing"] = [
                self._word(facts[place].get(name)) if record.get("error") is None else None for place, name in differing
            ]
            rows.append([entry[name] for name in FIELDS])
        model: Record = next((record["model"] for _, record, _ in self._short if isinstance(record["model"], dict)), {})
        path, sha256 = text(model.get("path")) or "", text(model.get("sha256")) or ""
        return {
            "version": heatcli.__version__,
            "model": {
                "name": visible(PurePath(path).name or "unknown model")[:TITLE],
                "sha256": visible(sha256)[:12],
                "producer": visible(text(model.get("producer")) or "")[:TITLE],
            },
            "methods": [[visible(name), times] for name, times in self._methods.most_common()],
            "totals": {
                "records": self.records,
                "held": self.held,
                "inputs": len(self._inputs),
                "failed": self.failed,
                "warned": self.warned,
                "seconds": median(self._seconds) if self._seconds else None,
            },
            "steps": list(SECONDS),
            "common": common.shown(),
            "differing": [visible(name) for _, name in differing],
            "fields": list(FIELDS),
            "records": rows,
            "words": list(self._words),
        }

    def _shortened(self, record: Record, seconds: list[float | None]) -> dict[str, Any]:
        name = text(record.get("input")) or ""
        index = whole(at(record, "target", "index"))
        fragment = visible(name) if index is None else f"{visible(name)}@{index}"
        self._fragments[fragment] += 1
        times = self._fragments[fragment]
        return {
            "name": "stdin" if name == "-" else visible(name),
            "fragment": fragment if times == 1 else f"{fragment}~{times}",
            **self._class(record.get("target")),
            **{key: _digits(number(at(record, "ledger", key))) for key in ("start", "pixels", "biases", "constants")},
            **{key: _digits(number(at(record, "ledger", key))) for key in ("lost", "error")},
            "lostShare": _digits(lost_share(record)),
            **{key: _digits(number(at(record, "relevance", key))) for key in ("min", "max")},
            "negative": _digits(number(at(record, "relevance", "negative_share"))),
            "border": _digits(number(at(record, "relevance", "border_share"))),
            "seconds": [_digits(step, 3) for step in seconds],
            "top": [list(self._class(entry).values()) for entry in listed(record.get("top"))[:TOP]],
            "warnings": [self._word(str(warning)) for warning in listed(record.get("warnings"))],
            "failure": None
            if record.get("error") is None
            else [
                self._word(text(at(record, "error", "type")) or "Error"),
                self._word(text(at(record, "error", "message")) or str(record["error"])),
            ],
            "method": self._word(text(record.get("method"))),
            # on such a heatmap a place of the picture is somewhere else
            "beside": at(record, "settings", "style") == "side-by-side"
            or at(record, "settings", "size_like") == "network",
            "picture": self._image("picture", name, record),
            "heatmap": self._image("heatmap", text(record.get("output")), record),
            "output": self._word(text(record.get("output"))),
        }

    def _class(self, entry: Any) -> dict[str, Any]:
        return {
            "index": whole(at(entry, "index")),
            "label": self._word(text(at(entry, "label"))),
            "score": _digits(number(at(entry, "score"))),
            "probability": _digits(number(at(entry, "probability"))),
        }

    def _image(self, kind: str, name: str | None, record: Record) -> int | None:
        """Return the number of an image; records of one picture share it."""
        if not name:
            return None
        if (kind, name) not in self._images:
            self._images[kind, name] = len(self.sources)
            self.sources.append((kind, _kept(record)))
        return self._images[kind, name]

    def _word(self, said: str | None) -> int | None:
        """Return the number of a text that may occur many times."""
        return None if said is None else self._words.setdefault(visible(said[:LONGEST]), len(self._words))


def _kept(record: Record) -> Record:
    """Return what finding the files of a record takes."""
    return {name: record.get(name) for name in ("input", "output", "model", "error")}


def _link(path: Path | None, page: Path) -> str | None:
    return None if path is None else link(path, page)


def _digits(value: float | None, digits: int = 6) -> float | None:
    """Return ``value`` with as many digits as are ever shown."""
    return None if value is None else float(f"{value:.{digits}g}")
