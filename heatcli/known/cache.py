"""Where known models lie on this computer."""

from __future__ import annotations

import os
from pathlib import Path

from heatcli.known.registry import Known


def folder() -> Path:
    """Return the cache: ``$HEATCLI_HOME``, else ``$XDG_CACHE_HOME/heatcli``, else ``~/.cache/heatcli``."""
    if home := os.environ.get("HEATCLI_HOME"):
        return Path(home)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "heatcli"
    return Path.home() / ".cache" / "heatcli"


def path_of(known: Known) -> Path:
    """Return where the file of ``known`` belongs."""
    return folder() / "models" / f"{known.name}.onnx"


def cached(known: Known) -> Path | None:
    """Return the file of ``known``, None where it is missing or has another size.

    Its checksum was verified before it got this name.
    """
    path = path_of(known)
    return path if path.is_file() and path.stat().st_size == known.size else None
