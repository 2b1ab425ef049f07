"""Write a picture whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import BinaryIO

from PIL.Image import Image

from heatcli.errors import UsageError

COMPRESSION = 3
"""zlib's level: a third of the time of its usual 6, and photographs become 2 % larger."""


def save_png(image: Image, target: str | Path | BinaryIO) -> None:
    """Write ``image`` as PNG to a path or an open binary file.

    A path gets a temporary file beside it first, which then takes its place, so that no one ever sees half a picture;
    a device or pipe is written directly. Raises UsageError where the path cannot be written.
    """
    if not isinstance(target, str | Path):
        image.save(target, format="PNG", compress_level=COMPRESSION)
        return
    path = Path(target)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            image.save(path, format="PNG", compress_level=COMPRESSION)
            return
        path = path.resolve()  # a link keeps pointing where it does; the file behind it is replaced
        passing = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            image.save(passing, format="PNG", compress_level=COMPRESSION)
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror or error})") from error
