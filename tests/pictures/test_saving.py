"""A picture is written whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.pictures.saving import save_png

IMAGE = PIL.Image.new("RGB", (7, 5), (1, 2, 3))


def test_to_a_path_and_to_a_stream(tmp_path: Path) -> None:
    path, stream = tmp_path / "a.png", io.BytesIO()
    save_png(IMAGE, path)
    save_png(IMAGE, stream)
    assert path.read_bytes() == stream.getvalue()
    with PIL.Image.open(path) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), np.asarray(IMAGE))


def test_it_is_png_whatever_the_name(tmp_path: Path) -> None:
    save_png(IMAGE, tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes().startswith(b"\x89PNG")


def test_a_failure_leaves_the_old_picture_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def half(self: PIL.Image.Image, target: BinaryIO, **_: object) -> None:
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PIL.Image.Image, "save", half)
    with pytest.raises(UsageError, match=r"a\.png: cannot be written \(No space left on device\)"):
        save_png(IMAGE, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        save_png(IMAGE, tmp_path / "none" / "a.png")
    with pytest.raises(UsageError, match="cannot be written"):
        save_png(IMAGE, tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")
def test_permissions_and_links_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    save_png(IMAGE, tmp_path / "a.png")
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == usual
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    save_png(PIL.Image.new("RGB", (1, 1)), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    with PIL.Image.open(tmp_path / "a.png") as image:
        assert image.size == (1, 1)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="this system has no null device")
def test_a_device_is_written_not_replaced() -> None:
    save_png(IMAGE, "/dev/null")
    assert not Path("/dev/null").is_file()
