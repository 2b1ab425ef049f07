"""Where known models lie on this computer."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from heatcli.errors import HeatcliError, UnreadableModel
from heatcli.known.registry import Known
from heatcli.opening import opened, reason


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

    Its checksum was verified before it got this name, and is again before the file is used: see ``genuine``.
    """
    path = path_of(known)
    return path if path.is_file() and path.stat().st_size == known.size else None


def genuine(path: Path, known: Known) -> bool:
    """Whether the file at ``path`` is that of ``known``, by its checksum; raises UnreadableModel."""
    try:
        with opened(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == known.sha256
    except OSError as error:
        raise UnreadableModel(f"{path}: cannot be read ({reason(error)})") from error


def altered(path: Path, known: Known) -> str:
    """Return what is said of a file in the cache that is another than it was."""
    return (
        f"{path}: is not the file of {known.name} any more (its sha256 is another)\n"
        f"`heatcli models pull {known.name}` fetches it again; a file of your own goes by its path, outside the cache"
    )


def made() -> Path:
    """Return the folder of the models, made where it is missing, for its owner alone; raises HeatcliError.

    A folder into which everybody on this computer may write is refused: they could put other files in its place.
    """
    place = folder() / "models"
    try:
        for missing in reversed([parent for parent in (place, *place.parents) if not parent.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        status = place.stat()
    except OSError as error:
        raise HeatcliError(
            f"{place}: the cache cannot be made ({reason(error)}); HEATCLI_HOME names another folder"
        ) from error
    if os.name == "posix" and status.st_mode & stat.S_IWOTH:
        raise HeatcliError(f"{place}: everybody on this computer may write into this cache; chmod o-w {place}")
    return place
