"""Records behind a URL, where nothing can be appended to: a copy on this machine, sent on in parts while it grows.

Parts lie in ``records.parts`` beside the file and are its end: whoever reads it while a run goes on, or after one was
killed, reads both. At the end the whole is sent in their place.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from heatcli.batch.record_file import RecordFile
from heatcli.batch.records import Record
from heatcli.errors import OutputError
from heatcli.places import storage

EVERY = 15.0
"""Seconds that records wait at most, as long as others come, until they are sent."""


def record_file(place: str) -> RecordFile | RemoteRecords:
    """Return the file of records at ``place``, a path or a URL, open for more."""
    return RemoteRecords(place) if storage.is_remote(place) else RecordFile(Path(place))


class RemoteRecords(AbstractContextManager["RemoteRecords"]):
    """A file of records behind a URL; a second run into the same folder is the user's to avoid."""

    def __init__(self, place: str) -> None:
        """Fetch what is there; raises OutputError where the storage gives no answer."""
        self._place, self._parts = place, f"{place.removesuffix('.jsonl')}.parts"
        self._folder = tempfile.TemporaryDirectory(prefix="heatcli-records-")
        self.path = Path(self._folder.name) / "records.jsonl"
        self._old = self._fetch()
        self._file = RecordFile(self.path)
        self._next = len(self._old)
        self._sent, self._last = self.path.stat().st_size, time.monotonic()
        self._whole = not self._old

    def keep(self, wanted: Callable[[Record], bool]) -> None:
        """Keep those records that are ``wanted``, in their order; torn lines go."""
        self._file.keep(wanted)
        if self.path.stat().st_size != self._sent:
            self._send_whole()

    def add(self, *entries: Record) -> None:
        """Append records; they are sent with those that follow, ``EVERY`` seconds later at most."""
        self._file.add(*entries)
        if time.monotonic() - self._last >= EVERY:
            self._send_part()

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the whole, and remove the parts that it holds."""
        try:
            if self.path.stat().st_size != self._sent or not self._whole:
                self._send_whole()
        finally:
            self._file.__exit__(None, None, None)
            self._folder.cleanup()

    def _fetch(self) -> list[str]:
        """Write what is there to the copy, and return the places of the parts."""
        try:
            folder, _, name = self._place.rpartition("/")
            there = storage.listed(folder)
            parts = sorted(place for place in there if place.startswith(f"{self._parts}/"))
            with self.path.open("wb") as stream:
                for place in ([self._place] if f"{folder}/{name}" in there else []) + parts:
                    storage.fetch(place, stream)
        except OSError as error:
            raise self._cannot(error) from error
        return parts

    def _send_part(self) -> None:
        with self.path.open("rb") as stream:
            stream.seek(self._sent)
            content = stream.read()
        place = f"{self._parts}/{self._next:08}.jsonl"
        try:
            storage.write(place, content)
        except OSError as error:
            raise self._cannot(error) from error
        self._old.append(place)
        self._next += 1
        self._sent += len(content)
        self._last, self._whole = time.monotonic(), False

    def _send_whole(self) -> None:
        try:
            storage.send(self.path, self._place)
            for place in self._old:
                storage.remove(place)
        except OSError as error:
            raise self._cannot(error) from error
        self._old = []
        self._sent, self._last, self._whole = self.path.stat().st_size, time.monotonic(), True

    def _cannot(self, error: OSError) -> OutputError:
        return OutputError(f"cannot keep records at {storage.shown(self._place)}: {storage.reason(error)}")
