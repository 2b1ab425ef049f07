"""Write a picture whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from PIL.Image import Image

from heatcli.errors import UsageError
from heatcli.replacing import replacing

PNG: dict[str, Any] = {"format": "PNG", "compress_level": 3, "compress_type": 3}
"""zlib's run-length strategy: on overlays two thirds of the usual strategy's time, and a tenth smaller."""


def save_png(image: Image, target: str | Path | BinaryIO) -> None:
    """Write ``image`` as PNG to a path or an open binary file.

    A path gets a temporary file beside it first, which then takes its place, so that no one ever sees half a picture;
    a device or pipe is written directly. Raises UsageError where the path cannot be written.
    """
    if not isinstance(target, str | Path):
        image.save(target, **PNG)
        return
    if not Path(target).parent.is_dir():
        raise UsageError(f"{target}: cannot be written (no such folder)")
    try:
        with replacing(Path(target)) as stream:
            image.save(stream, **PNG)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror or error})") from error
