"""A folder as ``heatcli explain`` leaves it, without a network: records, heatmaps and the pictures beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

LABELS = ("tench, Tinca tinca", "great white shark", "tiger cat", "owl")


def record(
    name: str = "photos/a.png", output: str | None = "maps/a.heatmap.png", target: int = 2, **changed: Any
) -> Any:
    """A record of schema 1 with numbers that can be told apart; ``changed`` replaces whole keys."""
    entry = {
        "schema": 1,
        "input": name,
        "output": output,
        "model": {"path": "nets/net.onnx", "sha256": "0123456789abcdef" * 4, "producer": "pytorch 2"},
        "method": "deep-taylor",
        "settings": {
            "method": "deep-taylor",
            "pool": "proportional",
            "rules": [],
            "style": "overlay",
            "size_like": "picture",
            "options": {"target": ["top"], "biases": "neurons"},
        },
        "preprocessing": {"preset": "caffe", "source": "option", "evidence": ["given: --preprocess caffe"]},
        "target": {"index": target, "label": LABELS[target], "score": 8.0, "probability": 0.75},
        "top": [
            {"index": place, "label": LABELS[place], "score": 8.0 - rank, "probability": 0.75 / (rank + 1)}
            for rank, place in enumerate((target, (target + 1) % 4))
        ],
        "ledger": {
            "score": 8.0, "start": 8.0, "pixels": 5.0, "biases": 1.0, "constants": 0.0, "lost": 2.0, "error": 1e-8,
        },
        "relevance": {"min": -0.5, "max": 2.5, "negative_share": 0.125, "border_share": 0.25},
        "seconds": {"read": 0.1, "forward": 0.2, "relevance": 0.3, "write": 0.4},
        "versions": {"heatcli": "0.1.0", "numpy": "2.0"},
        "warnings": [],
        "error": None,
    }  # fmt: skip
    return entry | changed


def failure(name: str, message: str = "broken picture", kind: str = "PictureError") -> Any:
    """A record of an input that has no heatmap."""
    empty = {"output": None, "target": None, "top": [], "ledger": None, "relevance": None}
    nothing = dict.fromkeys(("read", "forward", "relevance", "write"))
    return record(name) | empty | {"seconds": nothing, "error": {"type": kind, "message": message}}


def picture(path: Path, size: tuple[int, int] = (48, 32), seed: int = 0) -> Path:
    """A picture of (width, height) ``size`` in one colour, so that it is small and known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.random.default_rng(seed).integers(40, 220, 3, dtype=np.uint8)
    PIL.Image.fromarray(np.broadcast_to(colour, (size[1], size[0], 3)).copy()).save(path)
    return path


def write(path: Path, entries: Sequence[Any]) -> Path:
    """The file of records at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n" for entry in entries)
    path.write_bytes(b"".join(lines))
    return path


def run(folder: Path, count: int = 3) -> Path:
    """``count`` pictures in ``folder``/photos, heatmaps and records in ``folder``/maps; return the file of records."""
    entries = []
    for number in range(count):
        picture(folder / f"photos/p{number}.png", seed=number)
        picture(folder / f"maps/p{number}.heatmap.png", seed=100 + number)
        entries.append(record(f"photos/p{number}.png", f"maps/p{number}.heatmap.png", target=number % 4))
    return write(folder / "maps" / "records.jsonl", entries)


def data(page: Path) -> Any:
    """What the page's script is given."""
    text = page.read_text("utf-8")
    return json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])


def rows(page: Path) -> list[dict[str, Any]]:
    """The records that the page holds, by the names of their fields."""
    known = data(page)
    return [dict(zip(known["fields"], entry, strict=True)) for entry in known["records"]]


def images(page: Path) -> list[Any]:
    """All images in the page, in order."""
    found = []
    for part in page.read_text("utf-8").split('<script type="application/json" id="images-')[1:]:
        found += json.loads(part.split(">", 1)[1].split("</script>")[0])
    return found
