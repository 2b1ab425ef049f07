"""Files behind URLs, in object storage and on servers: the only place that knows fsspec.

Whatever a storage raises becomes a ``StorageError`` of one line, in which no credentials stand.
"""

from __future__ import annotations

import io
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, cast

from heatcli.errors import UsageError
from heatcli.places.addresses import on_the_web, scheme, shown

GET_IT = "python -m pip install 'heatcli[cloud]'"
OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"))
"""Storages where an object appears whole or not at all; elsewhere a temporary name is written and moved."""
S3 = frozenset(("s3", "s3a"))
BUCKETS = S3 | {"gs", "gcs"}
CHANGED = ("LastModified", "last_modified", "mtime", "modified", "updated", "created", "Last-Modified")
"""What storages call the time of the last change."""
BLOCK = 4 << 20
"""Bytes that are asked for at a time where a file is read from its beginning on."""
PATIENCE = 60
"""Seconds without a byte from a web server before it counts as silent; other storages have limits of their own."""
CLIENTS = ("adlfs", "aiobotocore", "aiohttp", "asyncio", "botocore", "fsspec", "gcsfs", "s3fs")
NO_PARTS = "the server does not serve parts of files, which archives need; fetch it first"
SECRET = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+://)(?:[^\s/'\"@]*@)?(?P<rest>[^\s'\"?#<>]*)(?:[?#][^\s'\"<>)]*)?"
)


class StorageError(OSError):
    """A remote storage cannot be reached, or says no; the message says why in one line, without the file's name."""


class NothingThere(StorageError):
    """There is no such object, folder or bucket."""


def require(url: str) -> None:
    """Raise UsageError where this kind of URL is not known, or the package that knows it is not installed."""
    kind = scheme(url)
    try:
        import fsspec
    except ImportError:
        raise UsageError(f"{shown(url)}: reading and writing URLs needs fsspec: {GET_IT}") from None
    try:
        fsspec.get_filesystem_class(kind)
    except ImportError as error:
        needed = " ".join(str(error).split())
        raise UsageError(f"{shown(url)}: a package for {kind}:// is missing ({needed}): {GET_IT}") from None
    except ValueError:
        raise UsageError(f"{shown(url)}: {kind}:// is no kind of storage that fsspec knows") from None


def read(url: str, limit: int) -> bytes:
    """Return the content; raises StorageError, also where it is larger than ``limit`` bytes."""
    with _translated(url):
        files, path = _opened(url)
        if on_the_web(url):  # one request, as a size that is given keeps fsspec from asking for it first
            with files.open(path, "rb", block_size=0, size=1) as stream:
                return bounded(stream, limit)
        content: bytes = files.cat_file(path, start=0, end=limit + 1)
    return bounded(io.BytesIO(content), limit)


def bounded(stream: BinaryIO, limit: int) -> bytes:
    """Return what is left in ``stream``; raises StorageError where that is more than ``limit`` bytes."""
    pieces, length = [], 0
    while length <= limit and (piece := stream.read(min(BLOCK, limit + 1 - length))):
        pieces.append(piece)
        length += len(piece)
    if length > limit:
        raise StorageError(f"more than {limit:,} bytes, which is the most that is read")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def part(url: str, start: int, size: int) -> bytes:
    """Return ``size`` bytes from ``start`` on; raises StorageError where the storage gives others."""
    if not size:
        return b""
    with _translated(url):
        files, path = _opened(url)
        content: bytes = files.cat_file(path, start=start, end=start + size)
    if len(content) != size:
        raise StorageError(NO_PARTS if len(content) > size else f"it ends after {len(content):,} bytes of {size:,}")
    return content


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """Open the file for reading from its beginning on, with jumps; raises StorageError, in the block as well."""
    stream = kept_open(url)
    try:
        yield stream
    finally:
        stream.close()


def kept_open(url: str) -> BinaryIO:
    """Open the file for reading with jumps; raises StorageError, now and when it is read."""
    with _translated(url):
        files, path = _opened(url)
        stream = files.open(path, "rb", block_size=BLOCK, cache_type="readahead")
        if not stream.seekable():
            stream.close()
            raise StorageError(NO_PARTS)
        return cast("BinaryIO", _Stream(stream, url))


class _Stream:
    """A file of a storage, of which every error is a StorageError."""

    def __init__(self, stream: BinaryIO, url: str) -> None:
        self._stream, self._url = stream, url
        self.tell, self.close, self.seekable = stream.tell, stream.close, stream.seekable

    def read(self, size: int = -1) -> bytes:
        with _translated(self._url):
            return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _translated(self._url):
            return self._stream.seek(offset, whence)


def is_folder(url: str) -> bool:
    """Whether there are objects below ``url``."""
    with _translated(url):
        files, path = _opened(url)
        files.invalidate_cache()
        return bool(files.isdir(path))


def exists(url: str) -> bool:
    """Whether there is an object of this name."""
    with _translated(url):
        files, path = _opened(url)
        return bool(files.isfile(path))


def below(url: str, *, recursive: bool) -> list[str]:
    """Return the places of all objects below the folder ``url``."""
    with _translated(url):
        return [below for below, _ in _objects(url, recursive=recursive)]


def matches(folder: str, pattern: str) -> list[str]:
    """Return the places below the URL ``folder`` of all objects and folders that fit the glob ``pattern``."""
    with _translated(folder):
        files, path = _opened(folder)
        files.invalidate_cache()
        found = files.glob(f"{path.rstrip('/')}/{pattern}")
        files.invalidate_cache()
        return _inside(path, found)


def _objects(url: str, *, recursive: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects below the folder ``url``, by their places in it, with what the storage says of them."""
    files, path = _opened(url)
    if scheme(url) in S3:
        yield from _pages(files, path, recursive=recursive)
        return
    files.invalidate_cache()
    if scheme(url) not in BUCKETS:  # elsewhere a search passes over what it cannot list
        files.ls(path, detail=False)
    found = files.find(path, maxdepth=None if recursive else 1, detail=True)
    files.invalidate_cache()
    base = path.rstrip("/") + "/"
    for name, info in found.items():
        if name.startswith(base) and len(name) > len(base):
            yield name[len(base) :], info


def _pages(files: Any, path: str, *, recursive: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Do the same for S3, page by page: fsspec would hold a kilobyte for each of a million objects."""
    bucket, folder, _ = files.split_path(path)
    base = folder.rstrip("/") + "/" if folder else ""
    asked = {"Bucket": bucket, "Prefix": base} | ({} if recursive else {"Delimiter": "/"})
    while True:
        page = files.call_s3("list_objects_v2", **asked)
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # what stands for an empty folder
                yield entry["Key"][len(base) :], {"LastModified": entry["LastModified"]}
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _inside(folder: str, found: Iterable[str]) -> list[str]:
    base = folder.rstrip("/") + "/"
    return [name[len(base) :] for name in found if name.startswith(base) and len(name) > len(base)]


def write(url: str, content: bytes) -> None:
    """Write an object whole: by one request where that is all or nothing, else under another name that is moved."""
    with _translated(url):
        files, path = _opened(url)
        if scheme(url) in OBJECT_STORES:
            files.pipe_file(path, content)
            return
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.part" if folder else f".{name}.part"
        files.makedirs(folder, exist_ok=True)
        files.pipe_file(temporary, content)
        if files.exists(path):
            files.rm_file(path)
        files.mv(temporary, path)


def fetch(url: str, stream: BinaryIO) -> None:
    """Write the content to ``stream``, piece by piece."""
    with _translated(url):
        files, path = _opened(url)
        with files.open(path, "rb") as source:
            shutil.copyfileobj(source, stream, 1 << 22)


def send(file: Path, url: str) -> None:
    """Write an object with what a ``file`` of this machine holds."""
    with _translated(url):
        files, path = _opened(url)
        files.put_file(str(file), path)


def remove(url: str) -> None:
    """Remove the object if it is there."""
    with _translated(url):
        files, path = _opened(url)
        try:
            files.rm_file(path)
        except FileNotFoundError:
            return


def modified(url: str) -> int | None:
    """Return when the object was last changed, in nanoseconds; None where it is not there or the storage is silent."""
    try:
        with _translated(url):
            files, path = _opened(url)
            return _when(files.info(path))
    except StorageError:
        return None


def listed(url: str) -> dict[str, int | None]:
    """Return all objects below the folder ``url``, by their places in it, and when they were last changed."""
    try:
        with _translated(url):
            return {below: _when(info) for below, info in _objects(url)}
    except NothingThere:
        return {}


def check_writable(url: str) -> None:
    """Raise UsageError where nothing can be written below ``url``, as far as can be told without writing."""
    require(url)
    if on_the_web(url):
        raise UsageError(
            f"cannot write to {shown(url)}: the web is for reading; give a folder or a storage such as s3://"
        )
    if scheme(url) not in BUCKETS:
        return
    bucket = url.partition("://")[2].partition("/")[0]
    try:
        with _translated(url):
            files, _ = _opened(url)
            try:
                files.info(bucket)
            except FileNotFoundError:
                raise StorageError(f"there is no bucket {bucket!r}") from None
            except PermissionError:  # who may write need not be allowed to look
                return
    except StorageError as error:
        raise UsageError(f"cannot write to {shown(url)}: {error}; give another -o") from error


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of ``url`` and the path in it."""
    import fsspec

    _quiet()
    options: dict[str, Any] = {}
    if "::" not in url and on_the_web(url):
        from aiohttp import ClientTimeout

        options["client_kwargs"] = {"timeout": ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)}
    files, path = fsspec.url_to_fs(url, **options)
    return files, path


@cache
def _quiet() -> None:
    """Keep what the clients log off the terminal: errors are said once, in a line, by whoever asked."""
    for name in CLIENTS:
        logging.getLogger(name).addHandler(logging.NullHandler())


def _when(info: dict[str, Any]) -> int | None:
    """Return the time of the last change from what a storage says of an object, in nanoseconds."""
    value = next((info[name] for name in CHANGED if info.get(name) is not None), None)
    if isinstance(value, str):
        from email.utils import parsedate_to_datetime

        parse: Callable[[str], datetime] = parsedate_to_datetime if "," in value else datetime.fromisoformat
        try:
            value = parse(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return int(value * 1e9) if isinstance(value, int | float) else None


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn whatever a storage raises into a StorageError; its clients have no common exception."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # no common base, see above
        # what the error itself says is left out where it may repeat a password or a signature
        kind = NothingThere if isinstance(error, FileNotFoundError) else StorageError
        raise kind(_reason(error, url)) from (error if shown(url) == url else None)


def _reason(error: BaseException, url: str) -> str:
    """Return why a storage said no, in one line without credentials."""
    while on_the_web(url) and isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # of a web server fsspec says that nothing is there, whatever it answers
    said = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    text = SECRET.sub(r"\g<scheme>\g<rest>", " ".join(said.split()))[:200]
    kind = type(error).__name__
    status = getattr(error, "status", None)
    if isinstance(error, ImportError):
        return f"a package for {scheme(url)}:// is missing: {GET_IT}"
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        return "there is no such bucket" if "specified bucket" in text else "there is none"
    if isinstance(status, int):
        return f"the server answers {status} {getattr(error, 'message', '')}".rstrip()
    if isinstance(error, PermissionError):
        return f"no permission ({text})" if text else "no permission"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if "Credentials" in kind:
        return f"no credentials for {scheme(url)}:// were found ({text}); a public bucket needs FSSPEC_S3_ANON=true"
    if "range" in text and "satisfiable" in text:
        return "the file is empty"
    if "range requests" in text:
        return NO_PARTS
    return f"{text} ({kind})" if text else kind
