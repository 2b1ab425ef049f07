"""Files of this machine by their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from heatcli.places import storage


def test_writing_reading_listing_removing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("maps", ".", str(tmp_path / "maps")):
        place = storage.joined(folder, "a/b.png")
        storage.write(place, b"content")
        assert storage.read(place) == b"content"
        assert storage.listed(folder)[place] == storage.modified(place)
        assert Path(storage.parent(place)) == Path(folder) / "a"
    storage.remove(storage.joined("maps", "a/b.png"))
    storage.remove(storage.joined("maps", "a/b.png"))
    assert storage.listed("maps") == {}
    assert storage.modified(storage.joined("maps", "a/b.png")) is None
    assert storage.listed("none") == {}
    assert storage.parent("b.png") == "."


def test_no_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"12345")
    assert storage.read(str(file), limit=5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        storage.read(str(file), limit=4)
