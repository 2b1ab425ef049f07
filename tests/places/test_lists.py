"""Lists of names: what ends an entry, which bytes it may hold, and that an endless pipe is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heatcli.errors import PictureError, UsageError
from heatcli.places import items, lists, storage


def read(path: Path, content: bytes) -> list[bytes]:
    path.write_bytes(content)
    return [os.fsencode(name) for name in lists.read_list(str(path))]


def test_lines(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfa.png\r\n\n  \nb c.png\n'd\".png"
    assert read(tmp_path / "list", content) == [b"a.png", b"b c.png", b"'d\".png"]


@pytest.mark.skipif(sys.platform == "win32", reason="names hold no line breaks there")
def test_between_nul_names_keep_every_byte(tmp_path: Path) -> None:
    names = [b"two\nfrogs.png", b"ends in one\n", b" blank.png ", b"no text \xe4\xff.png", b"r\xc3\xa4kete.png"]
    assert read(tmp_path / "list", b"\0".join(names) + b"\0") == names


@pytest.mark.skipif(sys.platform == "win32", reason="names are no bytes there")
def test_where_names_are_ascii_the_list_is_as_well(tmp_path: Path) -> None:
    name = b"r\xc3\xa4kete.png"
    (tmp_path / "list").write_bytes(name + b"\n")
    program = "import os, sys; from heatcli.places.lists import read_list; print(*map(os.fsencode, read_list('list')))"
    plain = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    root = str(Path(lists.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **plain, "PYTHONPATH": root},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"{name!r}\n".encode()


class Piped:
    """A stdin that never ends."""

    class buffer:
        @staticmethod
        def read(size: int) -> bytes:
            assert size > 0, "an endless pipe would be read for ever"
            return b"y\n" * (size // 2 + 1)

    @staticmethod
    def isatty() -> bool:
        return False


def test_an_endless_pipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Piped)
    monkeypatch.setattr(storage, "MOST_BYTES", 1 << 10)
    with pytest.raises(UsageError, match="--list -: more than 0 GiB came in"):
        list(lists.read_list("-"))
    with pytest.raises(PictureError, match="stdin: more than 0 GiB came in"):
        items.stdin_bytes()


def test_what_is_piped_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.png\0b.png\0")))
    assert list(lists.read_list("-")) == ["a.png", "b.png"]
