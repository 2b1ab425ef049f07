"""Where the model is that a user named: a path as it stands, or the cached file of a known model."""

from __future__ import annotations

import os
from pathlib import Path

from heatcli.errors import UsageError
from heatcli.known.cache import cached
from heatcli.known.registry import Known, find, is_name


def missing(model: str | Path) -> Known | None:
    """Return the known model that ``model`` names, where it is neither a file nor in the cache."""
    known = by_name(model)
    return None if known is None or cached(known) else known


def locate(model: str | Path) -> Path:
    """Return the path of ``model``; a file of that name goes before a known model.

    Raises UsageError for a known model that is not in the cache, and for a path that names no file.
    """
    if not Path(model).name:
        raise UsageError(f"'{model}' is no model; give the path of an .onnx file, or a name of `heatcli models list`")
    if known := missing(model):
        raise UsageError(
            f"{model}: this known model ({known.name}) is not on this computer yet; "
            f"`heatcli models pull {model}` fetches its {known.size:,} bytes"
        )
    known = by_name(model)
    return Path(model) if known is None else cached(known) or Path(model)


def by_name(model: str | Path) -> Known | None:
    """Return the known model that ``model`` names, None for a path and where there is a file of that name."""
    if not isinstance(model, str) or os.path.exists(model) or not is_name(model):  # noqa: PTH110 - pathlib raises for some names
        return None
    return find(model)
